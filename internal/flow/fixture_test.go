package flow

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

const secret = "seven quiet lamps over water"

// house is an engine over a store of its own, with a clock that the test moves and mail that
// the test reads.
type house struct {
	*Engine
	t      *testing.T
	clock  *storetest.Clock
	outbox *delivery.Outbox
	events *events
}

type events struct {
	mu   sync.Mutex
	list []audit.Event
}

func (e *events) Record(ev audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

func (e *events) count(kind audit.Kind) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.list {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

var hasher = sync.OnceValues(func() (*password.Hasher, error) {
	return password.NewHasher(password.Options{MemoryKiB: 8, Iterations: 1, Concurrent: 8, Peppers: [][]byte{storetest.Secret()}})
})

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, clock: storetest.NewClock(), events: &events{}}
	db := storetest.Open(t, h.clock.Now)
	accounts, err := account.New(db, account.DefaultLockout, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sessions := session.NewManager(db, Identities{Accounts: accounts}, session.DefaultLimits, 1000, rand.Reader)
	accounts.OnChange(sessions.UserChanged)
	queue := delivery.NewQueue(db, rand.Reader, func(msg string, err error) { t.Errorf("%s: %v", msg, err) })
	h.outbox = delivery.NewOutbox(h.clock.Now)
	queue.SetSenders(map[delivery.Channel]delivery.Sender{delivery.Email: h.outbox})
	hash, err := hasher()
	if err != nil {
		t.Fatal(err)
	}
	h.Engine = New(Config{
		DB: db, Accounts: accounts, Sessions: sessions, Hasher: hash, Queue: queue, Audit: h.events, Rand: rand.Reader,
		Options: Options{
			Offered:  []factors.Product{factors.Password, factors.EmailOTP, factors.TOTP},
			Primary:  []factors.Product{factors.Password, factors.EmailOTP},
			CodeLife: 2 * time.Minute, Issuer: "Test",
		},
	})
	return h
}

// anon is a visitor who is not signed in.
func anon() Visitor {
	return Visitor{IP: netip.MustParseAddr("192.0.2.7"), Origin: "https://app.test", UserAgent: "test"}
}

func as(r Result) Visitor {
	v := anon()
	v.Session = r.Session
	return v
}

func (h *house) user(email string, verified bool) account.User {
	h.t.Helper()
	u, err := h.Operator(false).Create(h.t.Context(), account.NewUser{Email: email, Verified: verified}, secret)
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

func (h *house) signIn(email string) Result {
	h.t.Helper()
	r, err := h.AuthenticatePassword(h.t.Context(), anon(), email, secret)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// code asks for an e-mail code and reads it from the mail.
func (h *house) code(v Visitor, email string) (methodID, code string) {
	h.t.Helper()
	id, err := h.SendEmailCode(h.t.Context(), v, email)
	if err != nil {
		h.t.Fatal(err)
	}
	return id, h.newest(email).Code
}

func (h *house) newest(email string) delivery.Kept {
	h.t.Helper()
	h.queue.Deliver(h.t.Context())
	for _, m := range h.outbox.List() {
		if m.To == email && (m.Code != "" || m.Link != "") {
			return m
		}
	}
	h.t.Fatalf("no mail to %s", email)
	return delivery.Kept{}
}

// enrol gives a signed-in user an authenticator app and returns the upgraded session.
func (h *house) enrol(v Visitor) (Result, []string) {
	h.t.Helper()
	if _, err := h.StartTOTP(h.t.Context(), v); err != nil {
		h.t.Fatal(err)
	}
	r, err := h.AuthenticateTOTP(h.t.Context(), v, h.totp(v.Session.UserID))
	if err != nil {
		h.t.Fatal(err)
	}
	h.clock.Advance(31 * time.Second) // so that the next step is a new one
	return r, r.RecoveryCodes
}

// totp is the code that the user's app shows now.
func (h *house) totp(userID string) string { return h.totpAt(userID, h.clock.Now()) }

func (h *house) totpAt(userID string, at time.Time) string {
	h.t.Helper()
	u, _, err := h.accounts.Get(h.t.Context(), userID)
	if err != nil {
		h.t.Fatal(err)
	}
	c := u.TOTP
	if c == nil {
		c = u.PendingTOTP
	}
	// Try all codes against a fresh copy: slow, but it uses nothing but the public contract.
	return codeFor(h.t, c.SecretText(), at)
}

// refused demands an error of a type.
func refused(t *testing.T, err error, want *Error) {
	t.Helper()
	var got *Error
	if !errors.As(err, &got) || got.Type != want.Type {
		t.Fatalf("error %v, expected %s", err, want.Type)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) lookup2(cookie string) (*session.Session, error) {
	return h.sessions.Lookup(h.t.Context(), cookie)
}

var errAbsent = store.ErrNotFound
