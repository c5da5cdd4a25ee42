package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

// request is what a service got.
type request struct {
	method, path string
	header       http.Header
	body         []byte
}

// service is a web service that keeps what it gets and answers as it is told.
type service struct {
	*httptest.Server
	mu      sync.Mutex
	got     []request
	answers []func(w http.ResponseWriter, r request) // the last one stays
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	one := request{r.Method, r.URL.RequestURI(), r.Header, body}
	s.mu.Lock()
	s.got = append(s.got, one)
	var answer func(http.ResponseWriter, request)
	if len(s.answers) > 0 {
		answer = s.answers[0]
	}
	if len(s.answers) > 1 {
		s.answers = s.answers[1:]
	}
	s.mu.Unlock()
	if answer != nil {
		answer(w, one)
	}
}

// says makes the service forget what it got, and answer with each of these in turn.
func (s *service) says(answers ...func(http.ResponseWriter, request)) {
	s.mu.Lock()
	s.got, s.answers = nil, answers
	s.mu.Unlock()
}

func (s *service) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func status(code int, body string) func(http.ResponseWriter, request) {
	return func(w http.ResponseWriter, _ request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

const (
	phone     = "+442079460958"
	rawSecret = "0123456789abcdef01234567" // 24 bytes
)

var (
	text     = Message{Channel: SMS, To: phone, Text: "747723 is your code.\n\n@wiki.example.com #747723", Code: "747723", Host: "wiki.example.com"}
	whatsapp = Message{Channel: WhatsApp, To: phone, Text: "747723 is your code.", Code: "747723", Host: "wiki.example.com"}
)

func webhookFor(t *testing.T, address, secret string, now func() time.Time) Sender {
	t.Helper()
	s, err := NewWebhook(Webhook{URL: address, Secret: secret, InsecurePlaintext: true}, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func twilioFor(t *testing.T, address string, change func(*Twilio)) Sender {
	t.Helper()
	c := Twilio{AccountSID: "AC0123", AuthToken: "token-of-twilio", From: "+12125550100", BaseURL: address, InsecurePlaintext: true}
	if change != nil {
		change(&c)
	}
	s, err := NewTwilio(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func metaFor(t *testing.T, address string) Sender {
	t.Helper()
	s, err := NewMeta(Meta{PhoneNumberID: "106540352242922", AccessToken: "token-of-meta", Template: "sign_in", BaseURL: address, InsecurePlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verify checks a signature as a receiver does, without the code that made it.
func verify(t *testing.T, r request, key []byte) {
	t.Helper()
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, r.header.Get("webhook-id")+"."+r.header.Get("webhook-timestamp")+"."+string(r.body))
	if want := "v1," + base64.StdEncoding.EncodeToString(h.Sum(nil)); r.header.Get("webhook-signature") != want {
		t.Errorf("signature %q, want %q", r.header.Get("webhook-signature"), want)
	}
}

// The example of the libraries of Standard Webhooks.
func TestWebhookSignature(t *testing.T) {
	key, err := webhookKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	if got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); got != "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
}

func TestWebhook(t *testing.T) {
	s := newService(t)
	clock := storetest.NewClock()
	binary := []byte("\x00\x01\xfe\xff key of thirty-two bytes .....")
	for name, one := range map[string]struct {
		secret string
		key    []byte
	}{
		"raw":             {rawSecret, []byte(rawSecret)},
		"base64":          {"whsec_" + base64.StdEncoding.EncodeToString(binary), binary},
		"without padding": {"whsec_" + base64.RawStdEncoding.EncodeToString(binary), binary},
	} {
		s.says(status(204, ""))
		m := text
		m.ID = "abc"
		if err := webhookFor(t, s.URL+"/send?a=b", one.secret, clock.Now).Send(t.Context(), m); err != nil {
			t.Fatal(name, err)
		}
		r := s.requests()[0]
		verify(t, r, one.key)
		if r.method != "POST" || r.path != "/send?a=b" || r.header.Get("Content-Type") != "application/json" || r.header.Get("webhook-id") != "abc" {
			t.Errorf("%s: %+v", name, r)
		}
		var got map[string]any
		if err := json.Unmarshal(r.body, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]any{
			"id": "abc", "channel": "sms", "to": phone, "text": m.Text, "code": "747723", "host": "wiki.example.com",
			"sent_at": clock.Now().UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano),
		}, got); diff != "" {
			t.Error(name, diff)
		}
	}
	// A message that comes from no queue has an id too.
	s.says(status(200, ""))
	hook := webhookFor(t, s.URL, rawSecret, clock.Now)
	for range 2 {
		if err := hook.Send(t.Context(), whatsapp); err != nil {
			t.Fatal(err)
		}
	}
	a, b := s.requests()[0].header.Get("webhook-id"), s.requests()[1].header.Get("webhook-id")
	if len(a) < 20 || a == b {
		t.Error(a, b)
	}
}

func TestWebhookStatus(t *testing.T) {
	s := newService(t)
	hook := webhookFor(t, s.URL, rawSecret, storetest.NewClock().Now)
	for code, want := range map[int]string{
		200: "sent", 201: "sent", 202: "sent", 204: "sent", 299: "sent",
		400: "rejected", 401: "rejected", 403: "rejected", 404: "rejected", 410: "rejected", 422: "rejected", 499: "rejected",
		408: "retry", 425: "retry", 429: "retry", 500: "retry", 502: "retry", 503: "retry", 599: "retry", 300: "retry", 304: "retry",
	} {
		s.says(status(code, ""))
		err := hook.Send(t.Context(), text)
		got := "retry"
		switch {
		case err == nil:
			got = "sent"
		case errors.Is(err, ErrRejected):
			got = "rejected"
		}
		if got != want {
			t.Errorf("%d: %s, want %s: %v", code, got, want, err)
		}
	}
}

// textQueue is a queue that sends texts by one sender.
func textQueue(t *testing.T, db *store.DB, s Sender, now time.Time) *Queue {
	t.Helper()
	q := NewQueue(db, rand.Reader, func(string, error) {})
	q.SetSenders(map[Channel]Sender{SMS: s, WhatsApp: s})
	var c store.Change
	if err := q.Enqueue(&c, text, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := db.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return q
}

// A service that fails gets the same message again, under the same id; one that rejects a
// message does not.
func TestWebhookBehindQueue(t *testing.T) {
	s := newService(t)
	clock := storetest.NewClock()
	db := storetest.Open(t, clock.Now)
	hook := webhookFor(t, s.URL, rawSecret, clock.Now)
	s.says(status(503, "down"), status(429, "slowly"), status(200, ""))
	q := textQueue(t, db, hook, clock.Now())
	for range 6 {
		q.Deliver(t.Context())
		clock.Advance(time.Minute)
	}
	got := s.requests()
	if len(got) != 3 {
		t.Fatalf("%d requests", len(got))
	}
	for _, r := range got {
		verify(t, r, []byte(rawSecret))
		var body webhookMessage
		if err := json.Unmarshal(r.body, &body); err != nil {
			t.Fatal(err)
		}
		if id := r.header.Get("webhook-id"); id != got[0].header.Get("webhook-id") || body.ID != id || len(id) < 20 || body.Code != "747723" || body.Host != "wiki.example.com" {
			t.Errorf("%s: %+v", id, body)
		}
	}
	if got[0].header.Get("webhook-timestamp") == got[1].header.Get("webhook-timestamp") {
		t.Error("a later try has the time of the first")
	}
	first := got[0].header.Get("webhook-id")
	s.says(status(422, "no"))
	q = textQueue(t, db, hook, clock.Now())
	for range 3 {
		q.Deliver(t.Context())
		clock.Advance(time.Minute)
	}
	if got = s.requests(); len(got) != 1 || got[0].header.Get("webhook-id") == first {
		t.Fatalf("%d requests", len(got))
	}
}

func TestTwilio(t *testing.T) {
	s := newService(t)
	created := status(201, `{"sid":"SM1","status":"queued","error_code":null}`)
	for name, one := range map[string]struct {
		change func(*Twilio)
		m      Message
		login  string
		form   url.Values
	}{
		"sms": {nil, text, "AC0123:token-of-twilio", url.Values{"To": {phone}, "From": {"+12125550100"}, "Body": {text.Text}}},
		"service": {
			func(c *Twilio) { c.From, c.MessagingService = "", "MG9" }, text, "AC0123:token-of-twilio",
			url.Values{"To": {phone}, "MessagingServiceSid": {"MG9"}, "Body": {text.Text}},
		},
		"name": {
			func(c *Twilio) { c.From = "Acme 24" }, text, "AC0123:token-of-twilio",
			url.Values{"To": {phone}, "From": {"Acme 24"}, "Body": {text.Text}},
		},
		"key": {
			func(c *Twilio) { c.AuthToken, c.APIKey, c.APISecret = "", "SK7", "secret-of-key" }, text, "SK7:secret-of-key",
			url.Values{"To": {phone}, "From": {"+12125550100"}, "Body": {text.Text}},
		},
		"whatsapp": {
			nil, whatsapp, "AC0123:token-of-twilio",
			url.Values{"To": {"whatsapp:" + phone}, "From": {"whatsapp:+12125550100"}, "Body": {whatsapp.Text}},
		},
		"whatsapp template": {
			func(c *Twilio) { c.ContentSID = "HX3" }, whatsapp, "AC0123:token-of-twilio",
			url.Values{"To": {"whatsapp:" + phone}, "From": {"whatsapp:+12125550100"}, "ContentSid": {"HX3"}, "ContentVariables": {`{"1":"747723"}`}},
		},
		"template is for whatsapp": {
			func(c *Twilio) { c.ContentSID = "HX3" }, text, "AC0123:token-of-twilio",
			url.Values{"To": {phone}, "From": {"+12125550100"}, "Body": {text.Text}},
		},
	} {
		s.says(created)
		if err := twilioFor(t, s.URL+"/", one.change).Send(t.Context(), one.m); err != nil {
			t.Fatal(name, err)
		}
		r := s.requests()[0]
		if r.method != "POST" || r.path != "/2010-04-01/Accounts/AC0123/Messages.json" || r.header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%s: %+v", name, r)
		}
		if want := "Basic " + base64.StdEncoding.EncodeToString([]byte(one.login)); r.header.Get("Authorization") != want {
			t.Errorf("%s: %s", name, r.header.Get("Authorization"))
		}
		form, err := url.ParseQuery(string(r.body))
		if diff := cmp.Diff(one.form, form); err != nil || diff != "" {
			t.Error(name, err, diff)
		}
	}
}

func TestMeta(t *testing.T) {
	s := newService(t)
	s.says(status(200, `{"messaging_product":"whatsapp","messages":[{"id":"wamid.1","message_status":"accepted"}]}`))
	if err := metaFor(t, s.URL).Send(t.Context(), whatsapp); err != nil {
		t.Fatal(err)
	}
	r := s.requests()[0]
	if r.method != "POST" || r.path != "/v23.0/106540352242922/messages" || r.header.Get("Authorization") != "Bearer token-of-meta" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("%+v", r)
	}
	var got, want any
	if err := json.Unmarshal(r.body, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"messaging_product": "whatsapp", "recipient_type": "individual", "to": "+442079460958", "type": "template",
		"template": {"name": "sign_in", "language": {"code": "en_US"}, "components": [
			{"type": "body", "parameters": [{"type": "text", "text": "747723"}]},
			{"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "747723"}]}
		]}}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	other, err := NewMeta(Meta{PhoneNumberID: "1", AccessToken: "x", Template: "t", Language: "de", GraphVersion: "v25.0", BaseURL: s.URL, InsecurePlaintext: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Send(t.Context(), whatsapp); err != nil {
		t.Fatal(err)
	}
	if r := s.requests()[1]; r.path != "/v25.0/1/messages" || !strings.Contains(string(r.body), `"language":{"code":"de"}`) {
		t.Errorf("%+v", r)
	}
	for _, code := range []string{"", "1234567890123456"} {
		m := whatsapp
		m.Code = code
		if err := other.Send(t.Context(), m); !errors.Is(err, ErrRejected) {
			t.Errorf("%q: %v", code, err)
		}
	}
}

// A number that the service will never reach is given up, every other failure is tried again:
// the operator may have mended it by then.
func TestNumbersOfErrors(t *testing.T) {
	s := newService(t)
	clock := storetest.NewClock()
	db := storetest.Open(t, clock.Now)
	for _, one := range []struct {
		name   string
		sender Sender
		code   int
		body   string
		tries  int
	}{
		{"twilio", twilioFor(t, s.URL, nil), 400, `{"code":21211,"message":"Invalid 'To' Phone Number: +442079460000","more_info":"https://www.twilio.com/docs/errors/21211","status":400}`, 1},
		{"twilio", twilioFor(t, s.URL, nil), 403, `{"code":21408,"status":403}`, 1},
		{"twilio", twilioFor(t, s.URL, nil), 400, `{"code":21610,"status":400}`, 1},
		{"twilio", twilioFor(t, s.URL, nil), 400, `{"code":63024,"status":400}`, 1},
		{"twilio", twilioFor(t, s.URL, nil), 401, `{"code":20003,"message":"Authenticate","status":401}`, 3},
		{"twilio", twilioFor(t, s.URL, nil), 429, `{"code":20429,"status":429}`, 3},
		{"twilio", twilioFor(t, s.URL, nil), 400, `{"code":21606,"status":400}`, 3},
		{"twilio", twilioFor(t, s.URL, nil), 503, `<html>`, 3},
		{"twilio", twilioFor(t, s.URL, nil), 400, `{"code":"21211"}`, 3},
		{"twilio", twilioFor(t, s.URL, nil), 500, `null`, 3},
		{"meta", metaFor(t, s.URL), 400, `{"error":{"message":"(#131030) Recipient phone number not in allowed list","type":"OAuthException","code":131030,"error_data":{"messaging_product":"whatsapp","details":"…"},"fbtrace_id":"A"}}`, 1},
		{"meta", metaFor(t, s.URL), 400, `{"error":{"code":131026}}`, 1},
		{"meta", metaFor(t, s.URL), 401, `{"error":{"code":190,"message":"expired"}}`, 3},
		{"meta", metaFor(t, s.URL), 429, `{"error":{"code":130429}}`, 3},
		{"meta", metaFor(t, s.URL), 404, `{"error":{"code":132001}}`, 3},
		{"meta", metaFor(t, s.URL), 500, `oops`, 3},
	} {
		s.says(status(one.code, one.body), status(one.code, one.body), status(200, "{}"))
		q := NewQueue(db, rand.Reader, func(string, error) {})
		q.SetSenders(map[Channel]Sender{WhatsApp: one.sender})
		var c store.Change
		if err := q.Enqueue(&c, whatsapp, clock.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := db.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			q.Deliver(t.Context())
			clock.Advance(time.Minute)
		}
		if got := len(s.requests()); got != one.tries {
			t.Errorf("%s, %d %s: %d tries, want %d", one.name, one.code, one.body, got, one.tries)
		}
	}
}

// every returns each sender for a service at an address.
func every(t *testing.T, address string) map[string]Sender {
	t.Helper()
	return map[string]Sender{
		"webhook": webhookFor(t, address+"/token-in-path", rawSecret, storetest.NewClock().Now),
		"twilio":  twilioFor(t, address+"/token-in-path", nil),
		"key": twilioFor(t, address+"/token-in-path", func(c *Twilio) {
			c.AuthToken, c.APIKey, c.APISecret = "", "SK7", "secret-of-key"
		}),
		"meta": metaFor(t, address+"/token-in-path"),
	}
}

// told lists what of a message or a configuration an error repeats.
func told(err error) (out []string) {
	for _, s := range []string{rawSecret, "token-of", "secret-of", "token-in-path", phone, phone[1:], text.Code, "wiki.example.com", "AC0123", "106540352242922", base64.StdEncoding.EncodeToString([]byte("AC0123:token-of-twilio"))} {
		if err != nil && strings.Contains(err.Error(), s) {
			out = append(out, s)
		}
	}
	return out
}

// Whatever a service does, no error has a secret, a number or a code: errors go to the log.
func TestErrorsTellNoSecrets(t *testing.T) {
	s := newService(t)
	echo := func(code int) func(http.ResponseWriter, request) {
		return func(w http.ResponseWriter, r request) {
			all := r.header.Get("Authorization") + string(r.body) + r.path + phone
			w.Header().Set("Location", "/"+url.PathEscape(all)+"%zz")
			w.Header().Set("X-Echo", url.PathEscape(all))
			w.WriteHeader(code)
			_ = json.NewEncoder(w).Encode(map[string]any{"code": 21211, "message": all, "error": map[string]any{"code": 131026, "message": all}})
		}
	}
	for name, sender := range every(t, s.URL) {
		for _, code := range []int{302, 307, 400, 401, 404, 500} {
			s.says(echo(code))
			if err := sender.Send(t.Context(), whatsapp); err == nil || told(err) != nil {
				t.Errorf("%s, %d: %v tells %q", name, code, err, told(err))
			}
		}
		s.says(func(http.ResponseWriter, request) { panic(http.ErrAbortHandler) })
		if err := sender.Send(t.Context(), whatsapp); err == nil || errors.Is(err, ErrRejected) || told(err) != nil {
			t.Errorf("%s, broken: %v", name, err)
		}
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		answered := make(chan struct{})
		s.says(func(http.ResponseWriter, request) { <-answered })
		if err := sender.Send(short, whatsapp); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrRejected) || told(err) != nil {
			t.Errorf("%s, slow: %v", name, err)
		}
		close(answered)
		cancel()
	}
	down := newService(t)
	address := down.URL
	down.Close()
	for name, sender := range every(t, address) {
		if err := sender.Send(t.Context(), whatsapp); err == nil || errors.Is(err, ErrRejected) || told(err) != nil {
			t.Errorf("%s, down: %v", name, err)
		}
	}
}

// A redirect would carry a code, and perhaps a login, elsewhere.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := newService(t)
	s := newService(t)
	for name, sender := range every(t, s.URL) {
		for _, code := range []int{301, 302, 303, 307, 308} {
			s.says(func(w http.ResponseWriter, _ request) {
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(code)
			})
			if err := sender.Send(t.Context(), whatsapp); err == nil || errors.Is(err, ErrRejected) {
				t.Errorf("%s, %d: %v", name, code, err)
			}
		}
	}
	if len(elsewhere.requests()) != 0 {
		t.Error("followed")
	}
}

// An answer without end does not hold a sender, nor fill the memory.
func TestEndlessAnswers(t *testing.T) {
	s := newService(t)
	for name, sender := range every(t, s.URL) {
		for code, want := range map[int]bool{200: true, 500: false} {
			gone := make(chan int, 1)
			s.says(func(w http.ResponseWriter, _ request) {
				w.WriteHeader(code)
				n, piece := 0, make([]byte, 16<<10)
				for {
					k, err := w.Write(piece)
					n += k
					if err != nil || n > 1<<30 {
						gone <- n
						return
					}
				}
			})
			began := time.Now()
			if err := sender.Send(t.Context(), whatsapp); (err == nil) != want {
				t.Errorf("%s, %d: %v", name, code, err)
			}
			if n := <-gone; n > 64<<20 || time.Since(began) > apiTimeout/2 {
				t.Errorf("%s, %d: %d bytes in %v", name, code, n, time.Since(began))
			}
		}
	}
}

// Only texts to numbers leave: a prefix in the number would choose another channel.
func TestOnlyTextsToNumbers(t *testing.T) {
	s := newService(t)
	for name, sender := range every(t, s.URL) {
		for _, to := range []string{"", "a@example.com", "442079460958", "+", "+0442079460958", "messenger:1", "whatsapp:" + phone, phone + "\r\nX: y", phone + "\n", phone + " ", "+" + strings.Repeat("1", 16)} {
			m := whatsapp
			m.To = to
			if err := sender.Send(t.Context(), m); !errors.Is(err, ErrRejected) || to != "" && to != "+" && to != phone && strings.Contains(err.Error(), to) {
				t.Errorf("%s, %q: %v", name, to, err)
			}
		}
		m := whatsapp
		m.Channel = Email
		if err := sender.Send(t.Context(), m); !errors.Is(err, ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := metaFor(t, s.URL).Send(t.Context(), text); !errors.Is(err, ErrRejected) {
		t.Error(err)
	}
	if len(s.requests()) != 0 {
		t.Error(s.requests())
	}
}

// Whoever has no certificate that is trusted gets nothing.
func TestTextsNeedTLS(t *testing.T) {
	s := &service{}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	for _, trust := range []*tls.Config{nil, {RootCAs: pool}} {
		hook, err := NewWebhook(Webhook{URL: s.URL, Secret: rawSecret, TLS: trust}, storetest.NewClock().Now)
		if err != nil {
			t.Fatal(err)
		}
		twilio, err := NewTwilio(Twilio{AccountSID: "AC1", AuthToken: "x", From: "24242", BaseURL: s.URL, TLS: trust})
		if err != nil {
			t.Fatal(err)
		}
		meta, err := NewMeta(Meta{PhoneNumberID: "1", AccessToken: "x", Template: "t", BaseURL: s.URL, TLS: trust})
		if err != nil {
			t.Fatal(err)
		}
		for name, sender := range map[string]Sender{"webhook": hook, "twilio": twilio, "meta": meta} {
			s.says(status(200, ""))
			err := sender.Send(t.Context(), whatsapp)
			if trusted := trust != nil; (err == nil) != trusted || len(s.requests()) == 1 != trusted || errors.Is(err, ErrRejected) {
				t.Errorf("%s: %v, %d requests", name, err, len(s.requests()))
			}
		}
	}
}

func TestTextSendersThatCannotBe(t *testing.T) {
	now := storetest.NewClock().Now
	for name, c := range map[string]Webhook{
		"no address":    {Secret: rawSecret},
		"no URL":        {URL: "https://sms.example.com/%zztoken-in-path", Secret: rawSecret},
		"no host":       {URL: "https:///token-in-path", Secret: rawSecret},
		"only a port":   {URL: "https://:443/token-in-path", Secret: rawSecret},
		"plain":         {URL: "http://sms.example.com/token-in-path", Secret: rawSecret},
		"other scheme":  {URL: "ftp://sms.example.com/token-in-path", Secret: rawSecret, InsecurePlaintext: true},
		"login":         {URL: "https://a:token-of@sms.example.com", Secret: rawSecret},
		"fragment":      {URL: "https://sms.example.com#token-in-path", Secret: rawSecret},
		"no secret":     {URL: "https://sms.example.com"},
		"short":         {URL: "https://sms.example.com", Secret: "token-of-short"},
		"short base64":  {URL: "https://sms.example.com", Secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte(rawSecret[1:]))},
		"no base64":     {URL: "https://sms.example.com", Secret: "whsec_token-of-" + rawSecret},
		"empty base64":  {URL: "https://sms.example.com", Secret: "whsec_"},
		"spaced base64": {URL: "https://sms.example.com", Secret: "whsec_token of " + rawSecret},
	} {
		if s, err := NewWebhook(c, now); err == nil || s != nil || told(err) != nil {
			t.Errorf("webhook, %s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Twilio){
		"no account":      func(c *Twilio) { c.AccountSID = "" },
		"account":         func(c *Twilio) { c.AccountSID = "../token-of" },
		"no token":        func(c *Twilio) { c.AuthToken = "" },
		"token":           func(c *Twilio) { c.AuthToken = "token-of twilio" },
		"two logins":      func(c *Twilio) { c.APIKey, c.APISecret = "SK7", "secret-of-key" },
		"no key":          func(c *Twilio) { c.AuthToken, c.APISecret = "", "secret-of-key" },
		"no key's secret": func(c *Twilio) { c.AuthToken, c.APIKey = "", "SK7" },
		"key":             func(c *Twilio) { c.AuthToken, c.APIKey, c.APISecret = "", "S:7", "secret-of-key" },
		"no sender":       func(c *Twilio) { c.From = "" },
		"two senders":     func(c *Twilio) { c.MessagingService = "MG1" },
		"long name":       func(c *Twilio) { c.From = "Acme Company" },
		"name":            func(c *Twilio) { c.From = "Acme!" },
		"no letter":       func(c *Twilio) { c.From = "123456789" },
		"prefix":          func(c *Twilio) { c.From = "whatsapp:+12125550100" },
		"service":         func(c *Twilio) { c.From, c.MessagingService = "", "M G" },
		"content":         func(c *Twilio) { c.ContentSID = "H/X" },
		"plain":           func(c *Twilio) { c.BaseURL = "http://api.twilio.com" },
		"query":           func(c *Twilio) { c.BaseURL = "https://api.twilio.com/?token-of" },
	} {
		c := Twilio{AccountSID: "AC0123", AuthToken: "token-of-twilio", From: "+12125550100"}
		change(&c)
		if s, err := NewTwilio(c); err == nil || s != nil || told(err) != nil {
			t.Errorf("twilio, %s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*Meta){
		"no id":       func(c *Meta) { c.PhoneNumberID = "" },
		"id":          func(c *Meta) { c.PhoneNumberID = "../1" },
		"no token":    func(c *Meta) { c.AccessToken = "" },
		"token":       func(c *Meta) { c.AccessToken = "token-of\r\nX: y" },
		"no template": func(c *Meta) { c.Template = "" },
		"template":    func(c *Meta) { c.Template = "Sign In" },
		"language":    func(c *Meta) { c.Language = "English" },
		"version":     func(c *Meta) { c.GraphVersion = "23" },
		"plain":       func(c *Meta) { c.BaseURL = "http://graph.facebook.com" },
		"query":       func(c *Meta) { c.BaseURL = "https://graph.facebook.com/?a" },
	} {
		c := Meta{PhoneNumberID: "106540352242922", AccessToken: "token-of-meta", Template: "sign_in"}
		change(&c)
		if s, err := NewMeta(c); err == nil || s != nil || told(err) != nil {
			t.Errorf("meta, %s: %v", name, err)
		}
	}
	for from, want := range map[string]bool{"": true, "+12125550100": true, "24242": false, "Acme": false} {
		if c := (Twilio{From: from}); !c.Carries(SMS) || c.Carries(WhatsApp) != want || c.Carries(Email) {
			t.Errorf("%q", from)
		}
	}
}
