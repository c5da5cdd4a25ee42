package portal_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/magiclink"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/portal"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
	"github.com/stepgate/stepgate/internal/visit"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/ui"
)

const (
	origin       = "https://app.test"
	goodPassword = "seven quiet lamps over water"
	alice, bob   = "alice@example.org", "bob@example.org"
)

const sitePolicy = `
version: 1
rules:
  - {name: corp, match: {path: /corp/*}, require: {factor: oauth, provider: corp}}
  - {name: fresh, match: {path: /fresh/*}, require: {factor: oauth, max_age: 5m}}
  - {name: two, match: {path: /two/*}, require: mfa}
  - {name: texted, match: {path: /texted/*}, require: sms_otp}
  - {name: linked, match: {path: /linked/*}, require: {factor: magic_link, max_age: 10m}}
  - {name: wallet, match: {path: /wallet/*}, require: crypto_wallet}
default: {require: signed_in}
`

// site is a whole gateway in one process: gate, portal, engine and store, with an application
// behind it that counts, a clock that the test moves, and messages that the test reads.
type site struct {
	*flow.Engine
	t        *testing.T
	clock    *storetest.Clock
	accounts *account.Accounts
	queue    *delivery.Queue
	outbox   *delivery.Outbox
	gate     *gate.Gate
	// served counts what reached the application.
	served atomic.Int32
	// body is what came in the last of them.
	body atomic.Value
	// visitors counts browsers, each of which has an address of its own.
	visitors atomic.Int32
	db       *store.DB
	config   flow.Config
}

type unrecorded struct{}

func (unrecorded) Record(audit.Event) {}

var hasher = sync.OnceValues(func() (*password.Hasher, error) {
	return password.NewHasher(password.Options{MemoryKiB: 8, Iterations: 1, Concurrent: 8, Peppers: [][]byte{storetest.Secret()}})
})

// newSite starts a site. change may say what is offered; nil leaves passwords and e-mail codes.
func newSite(t *testing.T, change func(*flow.Config)) *site {
	t.Helper()
	s := &site{t: t, clock: storetest.NewClock()}
	s.db = storetest.Open(t, s.clock.Now)
	var err error
	s.accounts, err = account.New(s.db, account.DefaultLockout, rand.Reader)
	must(t, err)
	sessions := session.NewManager(s.db, flow.Identities{Accounts: s.accounts}, session.DefaultLimits, 1000, rand.Reader)
	s.accounts.OnChange(sessions.UserChanged)
	s.queue = delivery.NewQueue(s.db, rand.Reader, func(msg string, err error) { t.Errorf("%s: %v", msg, err) })
	s.outbox = delivery.NewOutbox(s.clock.Now)
	s.queue.SetSenders(map[delivery.Channel]delivery.Sender{delivery.Email: s.outbox, delivery.SMS: s.outbox, delivery.WhatsApp: s.outbox})
	hash, err := hasher()
	must(t, err)
	s.config = flow.Config{
		DB: s.db, Accounts: s.accounts, Sessions: sessions, Hasher: hash, Queue: s.queue, Audit: unrecorded{}, Rand: rand.Reader,
		Options: flow.Options{
			Offered:  []factors.Product{factors.Password, factors.EmailOTP, factors.TOTP},
			Primary:  []factors.Product{factors.Password, factors.EmailOTP},
			CodeLife: 2 * time.Minute, LinkLife: magiclink.DefaultLife, Issuer: "Test",
		},
	}
	s.gate = &gate.Gate{Engine: &gate.Engine{
		Sessions: sessions, Now: s.clock.Now, Rand: rand.Reader, Tick: func(time.Duration) <-chan time.Time { return nil },
		Log: func(context.Context, string, error, ...any) {}, Held: held.New(s.db, rand.Reader), HoldLimit: 1 << 20,
	}, Site: gate.Site{Known: []string{"app.test"}}}
	s.gate.Signer, err = gate.NewSigner(s.db.Keyring())
	must(t, err)
	s.gate.Pages, err = ui.New(ui.Options{Now: s.clock.Now})
	must(t, err)
	p, err := policy.Load("p", []byte(sitePolicy))
	must(t, err)
	s.gate.Policy = func() *policy.Policy { return p }
	s.configure(change)
	return s
}

// configure is what a reload does: the same store under other options.
func (s *site) configure(change func(*flow.Config)) {
	c := s.config
	if change != nil {
		change(&c)
	}
	s.Engine = flow.New(c)
	s.gate.Flows = s.Engine
	own := portal.New(portal.Config{Engine: s.Engine, Held: s.gate.Held, Pages: s.gate.Pages, Log: func(string, error) {}})
	s.gate.Portal, s.gate.WellKnown = own, own.WellKnown
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// user makes an account with the good password.
func (s *site) user(email string, verified bool) account.User {
	s.t.Helper()
	u, err := s.Operator(false).Create(s.t.Context(), account.NewUser{Email: email, Verified: verified}, goodPassword)
	must(s.t, err)
	return u
}

// reread is a user as stored.
func (s *site) reread(u account.User) account.User {
	s.t.Helper()
	u, _, err := s.accounts.Get(s.t.Context(), u.ID)
	must(s.t, err)
	return u
}

// mail is the newest message to somebody with a code or a link in it.
func (s *site) mail(to string) delivery.Kept {
	s.t.Helper()
	s.queue.Deliver(s.t.Context())
	for _, m := range s.outbox.List() {
		if m.To == to && (m.Code != "" || m.Link != "") {
			return m
		}
	}
	s.t.Fatalf("no message to %s", to)
	return delivery.Kept{}
}

// browser is one visitor with cookies and an address of their own, who follows no redirects.
type browser struct {
	s    *site
	ip   netip.Addr
	http *http.Client
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	must(s.t, err)
	b := &browser{s: s, ip: s.address()}
	b.http = &http.Client{Transport: b, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return b
}

// address is a client address that nobody had before.
func (s *site) address() netip.Addr {
	n := s.visitors.Add(1)
	return netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)})
}

// copy is a browser with the same cookies, which from then on are its own.
func (b *browser) copy() *browser {
	b.s.t.Helper()
	other := b.s.browser()
	u, err := url.Parse(origin)
	must(b.s.t, err)
	var cookies []*http.Cookie
	for _, c := range b.http.Jar.Cookies(u) {
		cookies = append(cookies, &http.Cookie{Name: c.Name, Value: c.Value, Path: "/", Secure: true})
	}
	other.http.Jar.SetCookies(u, cookies)
	return other
}

// RoundTrip implements http.RoundTripper: it hands a request to the gate as a server would.
func (b *browser) RoundTrip(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.RequestURI(), r.Body)
	in.Host, in.Header, in.ContentLength = r.URL.Host, r.Header.Clone(), r.ContentLength
	in.TLS = &tls.ConnectionState{HandshakeComplete: true}
	w := httptest.NewRecorder()
	err := b.s.serve(w, in, b.ip)
	out := w.Result()
	out.Request = r
	return out, err
}

// serve answers a request as a server would, with the application behind the gate.
func (s *site) serve(w http.ResponseWriter, r *http.Request, client netip.Addr) error {
	return s.gate.ServeHTTP(w, r, gate.Arrival{ClientIP: client}, func(w http.ResponseWriter, r *http.Request) error {
		s.served.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		s.body.Store(string(body))
		_, err = fmt.Fprintf(w, "application: %s", r.URL.Path)
		return err
	})
}

// page is an answer that was read.
type page struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(method, address, contentType, body string, headers ...string) page {
	b.s.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = origin + address
	}
	r, err := http.NewRequestWithContext(b.s.t.Context(), method, address, strings.NewReader(body))
	must(b.s.t, err)
	r.Header.Set("Accept", "text/html")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.http.Do(r)
	must(b.s.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	must(b.s.t, err)
	return page{status: response.StatusCode, header: response.Header, body: string(text)}
}

func (b *browser) get(address string, headers ...string) page {
	b.s.t.Helper()
	return b.do(http.MethodGet, address, "", "", headers...)
}

// follow is get, with redirects followed on the site.
func (b *browser) follow(p page) page {
	b.s.t.Helper()
	for range 10 {
		to := p.header.Get("Location")
		if p.status != http.StatusSeeOther || !strings.HasPrefix(to, "/") {
			return p
		}
		p = b.get(to)
	}
	b.s.t.Fatal("redirected in a circle")
	return page{}
}

// post sends a form with the hidden fields of the page that it stands on.
func (b *browser) post(on page, path string, fields url.Values) page {
	b.s.t.Helper()
	form := url.Values{"csrf": {on.field("csrf")}}
	if id := on.field("flow"); id != "" {
		form.Set("flow", id)
	}
	for name, values := range fields {
		form[name] = values
	}
	return b.do(http.MethodPost, path, "application/x-www-form-urlencoded", form.Encode(), "Sec-Fetch-Site", "same-origin", "Origin", origin)
}

// api calls the JSON API.
func (b *browser) api(method, path string, in any) (page, map[string]any) {
	b.s.t.Helper()
	body, err := json.Marshal(in)
	must(b.s.t, err)
	p := b.do(method, "/.stepgate/api/v1/"+path, "application/json", string(body))
	var out map[string]any
	if err := json.Unmarshal([]byte(p.body), &out); err != nil {
		b.s.t.Fatalf("%s %s: %v: %s", method, path, err, p.body)
	}
	return p, out
}

// signIn signs in by the good password.
func (b *browser) signIn(email string) {
	b.s.t.Helper()
	if p, _ := b.api(http.MethodPost, "passwords/authenticate", map[string]string{"email": email, "password": goodPassword}); p.status != http.StatusOK {
		b.s.t.Fatalf("sign in: %d %s", p.status, p.body)
	}
}

// cookie is the session cookie; empty without one.
func (b *browser) cookie() string {
	u, err := url.Parse(origin)
	must(b.s.t, err)
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == visit.CookieName {
			return c.Value
		}
	}
	return ""
}

// who is the e-mail address of who is signed in, and the names of what they have proven.
func (b *browser) who() (email string, proven []string) {
	b.s.t.Helper()
	p, out := b.api(http.MethodGet, "session", nil)
	if p.status != http.StatusOK {
		return "", nil
	}
	var in struct {
		Session struct {
			UserID  string `json:"user_id"`
			Factors []struct {
				Method string `json:"delivery_method"`
			} `json:"authentication_factors"`
		} `json:"session"`
	}
	raw, err := json.Marshal(out)
	must(b.s.t, err)
	must(b.s.t, json.Unmarshal(raw, &in))
	u, _, err := b.s.accounts.Get(b.s.t.Context(), in.Session.UserID)
	must(b.s.t, err)
	for _, f := range in.Session.Factors {
		proven = append(proven, f.Method)
	}
	return u.PrimaryEmail().Address, proven
}

// nobody demands that no one is signed in, and that the application saw nothing.
func (b *browser) nobody(t *testing.T) {
	t.Helper()
	if b.cookie() != "" {
		t.Error("there is a session cookie")
	}
	if p := b.get("/"); p.status != http.StatusSeeOther || !strings.HasPrefix(p.header.Get("Location"), "/.stepgate/sign-in?flow=") {
		t.Errorf("the site answers %d %s", p.status, p.header.Get("Location"))
	}
	if n := b.s.served.Load(); n != 0 {
		t.Errorf("%d requests reached the application", n)
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([a-z-]+)" value="([^"]*)">`)

// field is the value of a hidden field; empty when the page has none.
func (p page) field(name string) string {
	for _, m := range hidden.FindAllStringSubmatch(p.body, -1) {
		if m[1] == name {
			return html.UnescapeString(m[2])
		}
	}
	return ""
}

// says tells whether a page shows a text.
func (p page) says(text string) bool {
	return strings.Contains(html.UnescapeString(p.body), text)
}
