package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/ui"
)

const testPolicy = `
version: 1
rules:
  - {name: public, match: {path: /public/*}, allow: true}
  - {name: forbidden, match: {path: /forbidden/*}, deny: true}
  - {name: admin, match: {path: /admin/*}, require: {factors: 2, max_age: 10m}}
  - {name: export, match: {path: /export, query: {format: csv}}, require: mfa}
default: {require: signed_in}
`

// users is the one user of these tests.
type users struct {
	mu       sync.Mutex
	identity session.Identity
}

func (u *users) change(f func(*session.Identity)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f(&u.identity)
}

func (u *users) Identity(_ context.Context, id string) (session.Identity, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	who := u.identity
	if id != who.ID && !strings.HasPrefix(id, "user-of-many-") {
		return session.Identity{}, store.ErrNotFound
	}
	who.ID = id
	return who, nil
}

// sessions lets a test break the lookup and the use of proofs.
type sessions struct {
	*session.Manager
	err, spendErr error
}

func (s *sessions) Spend(ctx context.Context, of *session.Session, proofs []policy.Factor) error {
	if s.spendErr != nil {
		return s.spendErr
	}
	return s.Manager.Spend(ctx, of, proofs)
}

func (s *sessions) Lookup(ctx context.Context, cookie string) (*session.Session, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.Manager.Lookup(ctx, cookie)
}

// flows remembers what was begun.
type flows struct {
	mu    sync.Mutex
	begun []flow.Pending
	err   error
}

func (f *flows) Begin(p flow.Pending) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun = append(f.begun, p)
	if p.Held != "" {
		return "FLOW-" + p.Held, f.err
	}
	return "FLOW", f.err
}

// Pending opens what was begun last for the held request that an id names.
func (f *flows) Pending(v flow.Visitor, host, id string) (flow.Pending, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range slices.Backward(f.begun) {
		if id == "FLOW-"+p.Held && p.Family == v.Session.Family && p.Host == host {
			return p, nil
		}
	}
	return flow.Pending{}, flow.ErrNotFound
}

func (*flows) NewBrowser() (string, error) { return strings.Repeat("N", 42) + "A", nil }

func (*flows) FormToken(string, string) string { return "token" }

// RememberedAt knows the devices of the identity by their plain value.
func (*flows) RememberedAt(s *session.Session, device string) time.Time {
	for _, d := range s.User.Devices {
		if d.Secret == device {
			return d.ProvenAt
		}
	}
	return time.Time{}
}

// yard is a gate with one user and an upstream that remembers what reached it.
type yard struct {
	*Gate
	t        testing.TB
	clock    *storetest.Clock
	db       *store.DB
	manager  *session.Manager
	sessions *sessions
	flows    *flows
	users    *users
	policy   atomic.Pointer[policy.Policy]
	tick     chan time.Time
	// seen are the requests that reached the upstream.
	seen []*http.Request
	// respond is what the upstream answers; nil is 200.
	respond func(http.ResponseWriter, *http.Request)
}

func newYard(t testing.TB) *yard { return newYardOf(t, 1000) }

// newYardOf is newYard with room for so many sessions in memory.
func newYardOf(t testing.TB, capacity int) *yard {
	t.Helper()
	y := &yard{t: t, clock: storetest.NewClock(), flows: &flows{}, tick: make(chan time.Time), users: &users{identity: session.Identity{
		ID: "user-1", Email: "bob@example.com", Name: "Bob", Groups: []string{"staff", "ops"},
	}}}
	y.db = storetest.Open(t, y.clock.Now)
	y.manager = session.NewManager(y.db, y.users, session.DefaultLimits, capacity, rand.Reader)
	y.sessions = &sessions{Manager: y.manager}
	signer, err := NewSigner(y.db.Keyring())
	if err != nil {
		t.Fatal(err)
	}
	pages, err := ui.New(ui.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Load("p", []byte(testPolicy))
	if err != nil {
		t.Fatal(err)
	}
	y.Gate = &Gate{
		Engine: &Engine{
			Sessions: y.sessions, Flows: y.flows, Signer: signer, Pages: pages, Now: y.db.Now, Rand: rand.Reader,
			Portal: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "portal") }),
			Tick:   func(time.Duration) <-chan time.Time { return y.tick },
			Log:    func(context.Context, string, error, ...any) {},
			Held:   held.New(y.db, rand.Reader), HoldLimit: 1 << 20,
		},
		Site: Site{Policy: y.policy.Load, Known: []string{"a.test"}},
	}
	y.policy.Store(p)
	return y
}

// signIn makes a session with the given products and returns its cookie.
func (y *yard) signIn(products ...factors.Product) string {
	y.t.Helper()
	var proofs []factors.Proof
	for _, p := range products {
		proofs = append(proofs, factors.Proof{Product: p})
	}
	return y.prove(proofs...)
}

// prove makes a session of the user with the given proofs, made now.
func (y *yard) prove(proofs ...factors.Proof) string {
	y.t.Helper()
	var cookie string
	var current *session.Session
	for _, proof := range proofs {
		cookie = y.upgrade(current, proof)
		var err error
		if current, err = y.manager.Lookup(context.Background(), cookie); err != nil {
			y.t.Fatal(err)
		}
	}
	return cookie
}

// upgrade adds a proof to a session, or starts one with it, and returns the cookie.
func (y *yard) upgrade(current *session.Session, proof factors.Proof) string {
	y.t.Helper()
	var c store.Change
	proof.UserID, proof.CredentialID, proof.AuthenticatedAt = "user-1", string(proof.Product), y.clock.Now()
	var issued session.Issued
	var err error
	if current == nil {
		issued, err = y.manager.Start(context.Background(), &c, proof, session.Attributes{})
	} else {
		issued, err = y.manager.Upgrade(context.Background(), &c, current, proof)
	}
	if err == nil {
		err = y.db.Apply(context.Background(), c)
	}
	if err == nil {
		_, err = y.manager.Issued(context.Background(), issued)
	}
	if err != nil {
		y.t.Fatal(err)
	}
	return issued.Cookie
}

const cookieName = "__Host-Http-stepgate"

// req builds a request as a server would hand it over. Headers come in pairs.
func req(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	r.RequestURI, r.Host = target, "a.test"
	if u, err := r.URL.Parse(target); err == nil {
		r.URL = u
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	return r
}

func with(cookie string) []string { return []string{"Cookie", cookieName + "=" + cookie} }

// pass sends a request through and returns the answer.
func (y *yard) pass(r *http.Request) *httptest.ResponseRecorder {
	y.t.Helper()
	w := httptest.NewRecorder()
	err := y.ServeHTTP(w, r, Arrival{ClientIP: netip.MustParseAddr("192.0.2.1")}, func(w http.ResponseWriter, r *http.Request) error {
		y.seen = append(y.seen, r)
		if y.respond != nil {
			y.respond(w, r)
		}
		return nil
	})
	if err != nil {
		y.t.Fatal(err)
	}
	return w
}

// blocked demands that a request is answered with a status and that nothing reaches upstream.
func (y *yard) blocked(status int, r *http.Request) *httptest.ResponseRecorder {
	y.t.Helper()
	before := len(y.seen)
	w := y.pass(r)
	if w.Code != status || len(y.seen) != before {
		y.t.Fatalf("%s %s: status %d, expected %d; %d requests reached upstream", r.Method, r.RequestURI, w.Code, status, len(y.seen)-before)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Stepgate-Response") == "" || w.Header().Get("Stepgate-Request-Id") == "" {
		y.t.Fatalf("%s: the answer is not marked: %v", r.RequestURI, w.Header())
	}
	return w
}

// forwarded demands that a request reaches upstream and returns it as it arrived there.
func (y *yard) forwarded(r *http.Request) *http.Request {
	y.t.Helper()
	before := len(y.seen)
	if w := y.pass(r); len(y.seen) != before+1 {
		y.t.Fatalf("%s %s did not reach upstream: %d %s", r.Method, r.RequestURI, w.Code, w.Body)
	}
	return y.seen[before]
}

var errBroken = errors.Join(store.ErrUnavailable, errors.New("disk on fire"))

func folded(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, name)
}
