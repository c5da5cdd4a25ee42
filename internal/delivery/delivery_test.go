package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

// flaky is a sender that fails as it is told.
type flaky struct {
	mu   sync.Mutex
	fail error
	sent []Message
	try  int
}

func (f *flaky) Send(_ context.Context, m Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.try++
	if f.fail == nil {
		f.sent = append(f.sent, m)
	}
	return f.fail
}

func newQueue(db *store.DB, s Sender) *Queue {
	q := NewQueue(db, rand.Reader, func(string, error) {})
	q.SetSenders(map[Channel]Sender{Email: s})
	return q
}

func enqueue(t *testing.T, db *store.DB, q *Queue, useful time.Time) {
	t.Helper()
	var c store.Change
	if err := q.Enqueue(&c, Message{Channel: Email, To: "a@example.com", Subject: "s", Text: "t", Code: "123456"}, useful); err != nil {
		t.Fatal(err)
	}
	if err := db.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// A server that is down loses nothing: the message is tried again later, by another process
// too, and is sent once.
func TestQueueSurvives(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Open(t, clock.Now)
	down := &flaky{fail: errors.New("connection refused")}
	first := newQueue(db, down)
	enqueue(t, db, first, clock.Now().Add(time.Hour))
	first.Deliver(t.Context())
	first.Deliver(t.Context()) // too early to try again
	if down.try != 1 {
		t.Fatalf("%d tries at once", down.try)
	}
	clock.Advance(3 * time.Second)
	up := &flaky{}
	second := newQueue(db, up) // after a restart
	second.Deliver(t.Context())
	second.Deliver(t.Context())
	if len(up.sent) != 1 || up.sent[0].Code != "123456" {
		t.Fatalf("%+v", up.sent)
	}
}

// A message that cannot be delivered is given up at once when it is rejected, after a bounded
// number of tries otherwise, and when it is of no more use.
func TestQueueGivesUp(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Open(t, clock.Now)
	rejected := &flaky{fail: fmt.Errorf("%w: no such mailbox", ErrRejected)}
	q := newQueue(db, rejected)
	enqueue(t, db, q, clock.Now().Add(time.Hour))
	for range 5 {
		q.Deliver(t.Context())
		clock.Advance(time.Minute)
	}
	if rejected.try != 1 {
		t.Errorf("a rejected message was tried %d times", rejected.try)
	}
	failing := &flaky{fail: errors.New("down")}
	q = newQueue(db, failing)
	enqueue(t, db, q, clock.Now().Add(1000*time.Hour))
	for range 100 {
		q.Deliver(t.Context())
		clock.Advance(15 * time.Minute)
	}
	if failing.try != maxAttempts {
		t.Errorf("tried %d times", failing.try)
	}
	up := &flaky{}
	q = newQueue(db, up)
	enqueue(t, db, q, clock.Now().Add(time.Minute))
	clock.Advance(time.Minute)
	q.Deliver(t.Context())
	if len(up.sent) != 0 {
		t.Error("a code went out after its time")
	}
}

// Several processes that look at one queue send each message once.
func TestQueueSendsOnce(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Open(t, clock.Now)
	s := &flaky{}
	q := newQueue(db, s)
	for range 30 {
		enqueue(t, db, q, clock.Now().Add(time.Hour))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { newQueue(db, s).Deliver(t.Context()) })
	}
	wg.Wait()
	if len(s.sent) != 30 {
		t.Fatalf("%d sent", len(s.sent))
	}
}

func TestOutbox(t *testing.T) {
	clock := storetest.NewClock()
	o := NewOutbox(clock.Now)
	for i := range outboxSize + 5 {
		if err := o.Send(t.Context(), Message{Channel: Email, To: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if list := o.List(); len(list) != outboxSize || list[0].To != fmt.Sprint(outboxSize+4) {
		t.Fatal(len(list), list[0])
	}
}

// What a person typed adds no header, no recipient and no markup.
func TestLettersCannotBeInjected(t *testing.T) {
	evil := "x\r\nBcc: victim@example.com\u2028<a href=\"https://evil.test\">click</a>"
	for name, compose := range map[string]func() (Message, error){
		"code": func() (Message, error) {
			return EmailCode(Letter{To: "a@example.com", Host: evil, Code: "123456", Life: 2 * time.Minute})
		},
		"confirm": func() (Message, error) {
			return EmailConfirmation(Letter{To: "a@example.com", Host: evil, Code: "123456"})
		},
		"reset": func() (Message, error) {
			return PasswordReset(Letter{To: "a@example.com", Host: evil, Link: "https://a.test/x"})
		},
		"invite": func() (Message, error) {
			return Invite(Letter{To: "a@example.com", Name: evil, Host: evil, Link: "https://a.test/x"})
		},
		"notice": func() (Message, error) {
			return Notice(NoticeFactorAdded, NoticeLetter{To: "a@example.com", Host: evil, Detail: evil, IPAddress: evil})
		},
	} {
		m, err := compose()
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(m.Subject, "\r\n\u2028") || strings.Contains(m.HTML, "<a href=\"https://evil") || m.To != "a@example.com" || m.Text == "" || m.HTML == "" {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if _, err := Notice("unknown", NoticeLetter{}); err == nil {
		t.Error("a notice of no kind")
	}
}

// mailbox is a mail server that keeps what it gets.
type mailbox struct {
	mu   sync.Mutex
	from []string
	to   []string
	data []string
}

func (b *mailbox) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return b, nil }
func (b *mailbox) Reset()                                          {}
func (b *mailbox) Logout() error                                   { return nil }
func (b *mailbox) Mail(from string, _ *gosmtp.MailOptions) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from = append(b.from, from)
	return nil
}

func (b *mailbox) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.HasPrefix(to, "nobody@") {
		return &gosmtp.SMTPError{Code: 550, Message: "no such mailbox"}
	}
	b.to = append(b.to, to)
	return nil
}

func (b *mailbox) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, string(text))
	return err
}

func mailServer(t *testing.T) (*mailbox, int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &mailbox{}
	s := gosmtp.NewServer(b)
	s.Domain = "localhost"
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return b, l.Addr().(*net.TCPAddr).Port
}

func TestSMTP(t *testing.T) {
	b, port := mailServer(t)
	m, err := EmailCode(Letter{To: "a@example.com", Host: "wiki.example.com", Code: "123456", Life: 2 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	// The server offers no TLS: by default it gets nothing.
	strict, err := NewSMTP(SMTP{Host: "127.0.0.1", Port: port, From: "Stepgate <no-reply@example.com>"})
	if err != nil {
		t.Fatal(err)
	}
	if err := strict.Send(t.Context(), m); err == nil || len(b.data) != 0 {
		t.Fatalf("mail went out in plain text: %v", err)
	}
	plain, err := NewSMTP(SMTP{Host: "127.0.0.1", Port: port, From: "Stepgate <no-reply@example.com>", InsecurePlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := plain.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if len(b.to) != 1 || b.to[0] != "a@example.com" || b.from[0] != "no-reply@example.com" {
		t.Fatalf("%+v", b)
	}
	for _, part := range []string{"Subject: Your code for wiki.example.com: 123456", "Auto-Submitted: auto-generated", "text/plain", "text/html", "Message-ID: <"} {
		if !strings.Contains(b.data[0], part) {
			t.Errorf("the mail lacks %q:\n%s", part, b.data[0])
		}
	}
	for _, to := range []string{"a@example.com\r\nRCPT TO:<b@example.com>", "not an address", "nobody@example.com"} {
		m.To = to
		if err := plain.Send(t.Context(), m); !errors.Is(err, ErrRejected) {
			t.Errorf("%q: %v", to, err)
		}
	}
	for _, subject := range []string{"Hello\r\nBcc: b@example.com", "Hello\nBcc: b@example.com", "Hello\rBcc: b@example.com", "Hello\x00"} {
		m.To, m.Subject = "a@example.com", subject
		if err := plain.Send(t.Context(), m); !errors.Is(err, ErrRejected) {
			t.Errorf("%q: %v", subject, err)
		}
	}
	if len(b.data) != 1 {
		t.Fatalf("%d mails", len(b.data))
	}
	if _, err := NewSMTP(SMTP{Host: "x", Port: 25, From: "nobody"}); err == nil {
		t.Error("a sender without an address")
	}
}
