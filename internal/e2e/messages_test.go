package e2e

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// mailbox is a mail server that hands on what it receives.
type mailbox chan received

type received struct {
	to, text string
}

func (b mailbox) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return &delivery{box: b}, nil }

// delivery is one mail on its way in.
type delivery struct {
	box mailbox
	to  []string
}

func (*delivery) Reset()                                 {}
func (*delivery) Logout() error                          { return nil }
func (*delivery) Mail(string, *gosmtp.MailOptions) error { return nil }

func (d *delivery) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	d.to = append(d.to, to)
	return nil
}

// Data reads a mail as a mail program would: its plain part, decoded.
func (d *delivery) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return fmt.Errorf("%s: %w", kind, err)
	}
	part, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
	if err != nil {
		return err
	}
	var body io.Reader = part
	if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(part)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	d.box <- received{strings.Join(d.to, " "), string(text)}
	return nil
}

func startMailServer(t *testing.T) (mailbox, int) {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	b := make(mailbox, 10)
	s := gosmtp.NewServer(b)
	s.Domain = "localhost"
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return b, l.Addr().(*net.TCPAddr).Port
}

// startTexts is a service with the interface of Twilio, which is down for the first request.
func startTexts(t *testing.T) (texts chan url.Values, base string) {
	t.Helper()
	texts = make(chan url.Values, 10)
	down := make(chan struct{}, 1)
	down <- struct{}{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, secret, _ := r.BasicAuth()
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || user != "AC1" || secret != "a-token" ||
			r.URL.Path != "/2010-04-01/Accounts/AC1/Messages.json" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		select {
		case <-down:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			texts <- r.PostForm
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"sid":"SM1","status":"queued"}`)
		}
	}))
	t.Cleanup(s.Close)
	return texts, s.URL
}

func next[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(30 * time.Second):
		t.Fatal("no message came")
	}
	return v
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// Mail leaves by SMTP and texts by a service like Twilio, as a Caddyfile says; the codes in them
// open what asks for them. A service that is down for a moment loses nothing.
func TestMessagesLeaveAndComeBack(t *testing.T) {
	mails, port := startMailServer(t)
	texts, api := startTexts(t)
	d := startGateway(t, func(string) string {
		return fmt.Sprintf(`
		mail smtp localhost:%d {
			from "Gate <gate@example.com>"
			insecure_plaintext
		}
		sms twilio {
			account_sid AC1
			auth_token a-token
			from +12125550100
			api_base %s
			insecure_plaintext
		}
		factors {
			email_otp
			sms_otp {
				countries GB
			}
		}
		primary email_otp sms_otp`, port, api)
	}, `
version: 1
rules:
  - {name: texted, match: {path: /texted/*}, require: sms_otp}
default: {require: signed_in}
`)
	if out, code := d.run("", "users", "create", "alice@example.com", "--verified"); code != 0 {
		t.Fatal(out)
	}
	c := d.client()
	sent := c.api(200, http.MethodPost, "otps/email/send", map[string]string{"email": "alice@example.com"})
	m := next(t, mails)
	if m.to != "alice@example.com" {
		t.Errorf("mail to %s", m.to)
	}
	c.api(200, http.MethodPost, "otps/authenticate", map[string]any{"method_id": sent.json["method_id"], "code": sixDigits.FindString(m.text)})
	if a := c.get("/report"); a.body != "application /report for alice@example.com" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := c.get("/texted/report"); a.status != 401 || a.json["error_type"] != "step_up_required" {
		t.Fatalf("%d %s", a.status, a.body)
	}

	c.api(400, http.MethodPost, "phone_numbers", map[string]string{"phone_number": "+33 6 12 34 56 78"})
	added := c.api(200, http.MethodPost, "phone_numbers", map[string]string{"phone_number": "+44 7400 123456"})
	text := next(t, texts)
	if text.Get("To") != "+447400123456" || text.Get("From") != "+12125550100" {
		t.Errorf("%v", text)
	}
	if a := c.api(429, http.MethodPost, "otps/sms/send", map[string]string{"phone_number": "0044 7400-123456"}); a.header.Get("Retry-After") == "" {
		t.Error("it is not told when to try again")
	}
	c.api(200, http.MethodPost, "otps/authenticate", map[string]any{"method_id": added.json["method_id"], "code": sixDigits.FindString(text.Get("Body"))})
	if a := c.get("/texted/report"); a.body != "application /texted/report for alice@example.com" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if m := next(t, mails); !strings.Contains(m.text, "+447400123456") {
		t.Errorf("no notice of the number: %s", m.text)
	}
	select {
	case text := <-texts:
		t.Errorf("a text too many: %v", text)
	default:
	}
}
