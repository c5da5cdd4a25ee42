package oauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/factors/oauth"
	"github.com/stepgate/stepgate/factors/oauth/oidctest"
)

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

const redirectURI = "https://app.example.com/.stepgate/api/v1/oauth/corp/callback"

// world is a provider and what a client of it needs.
type world struct {
	*oidctest.Provider
	t    *testing.T
	kind string
	key  *oauth.AppleKey
}

func newWorld(t *testing.T, kind string, algorithm jose.SignatureAlgorithm) *world {
	t.Helper()
	w := &world{t: t, kind: kind}
	o := oidctest.Options{Type: kind, Algorithm: algorithm, Now: func() time.Time { return start }}
	if kind == oauth.Apple {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		must(t, err)
		w.key, err = oauth.NewAppleKey("TEAM", "KEY", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		must(t, err)
		o.AppleTeamID, o.AppleKey = "TEAM", &key.PublicKey
	}
	var err error
	w.Provider, err = oidctest.New(o)
	must(t, err)
	t.Cleanup(w.Close)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) config() oauth.Config {
	c := oauth.Config{Name: "corp", Type: w.kind, ClientID: "client", ClientSecret: "secret", Issuer: w.Issuer()}
	if w.kind == oauth.Apple {
		c.ClientSecret, c.Key = "", w.key
	}
	return c
}

// client returns a new client, which knows nothing of the provider yet.
func (w *world) client(change func(*oauth.Config)) *oauth.Provider {
	w.t.Helper()
	c := w.config()
	if change != nil {
		change(&c)
	}
	p, err := oauth.New(c)
	must(w.t, err)
	return p
}

// answer begins a sign-in and has the provider answer it.
func (w *world) answer(p *oauth.Provider, maxAge time.Duration) (oauth.Attempt, url.Values) {
	w.t.Helper()
	a, to, err := p.Begin(context.Background(), rand.Reader, start, redirectURI, maxAge)
	must(w.t, err)
	back, mode, answer, err := w.SignIn(to)
	must(w.t, err)
	if back != redirectURI {
		w.t.Fatalf("sent back to %s", back)
	}
	if want := map[bool]string{false: "query", true: "form_post"}[w.kind == oauth.Apple]; mode != want {
		w.t.Fatalf("response mode %s, want %s", mode, want)
	}
	return a, answer
}

// signIn does all of a sign-in.
func (w *world) signIn(p *oauth.Provider) (oauth.Identity, error) {
	w.t.Helper()
	a, answer := w.answer(p, 0)
	return p.Finish(context.Background(), start, a, answer)
}

var kinds = []string{oauth.OIDC, oauth.Google, oauth.Microsoft, oauth.Apple, oauth.GitHub}

func TestSignIn(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind, "")
			got, err := w.signIn(w.client(nil))
			must(t, err)
			want := oauth.Identity{Issuer: w.URL(), Subject: "alice", Email: "alice@example.org", EmailVerified: true, Name: "Alice"}
			switch kind {
			case oauth.Microsoft:
				want.Issuer, want.Subject, want.EmailVerified = w.URL()+"/"+oidctest.Tenant+"/v2.0", "oid-alice", false
			case oauth.GitHub:
				want.Subject = "1000"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if f := w.Fetched(); f != nil {
				t.Errorf("fetched what claims name: %q", f)
			}
		})
	}
}

func TestEveryAlgorithm(t *testing.T) {
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA} {
		t.Run(string(algorithm), func(t *testing.T) {
			w := newWorld(t, oauth.OIDC, algorithm)
			_, err := w.signIn(w.client(nil))
			must(t, err)
		})
	}
}

func TestWithoutDiscovery(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	p := w.client(func(c *oauth.Config) {
		c.AuthURL, c.TokenURL, c.JWKSURL = w.URL()+"/authorize", w.URL()+"/token", w.URL()+"/jwks"
	})
	must(t, w.SetFault("discovery: 500"))
	_, err := w.signIn(p)
	must(t, err)
}

// What the provider tells beyond the person is taken over only where the operator maps it.
func TestClaims(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	at := start.Add(-time.Minute)
	w.Put("alice", map[string]any{
		"groups": []any{"staff", 7, "", "ops", strings.Repeat("g", 2000)}, "dept": "R&D", "acr": "high", "amr": []string{"pwd", "otp"},
		"auth_time": at.Unix(), "secret": "not mapped", "": "no name",
	})
	got, err := w.signIn(w.client(func(c *oauth.Config) { c.GroupsClaim, c.Claims = "groups", []string{"dept", "missing"} }))
	must(t, err)
	want := oauth.Identity{
		Issuer: w.URL(), Subject: "alice", Email: "alice@example.org", EmailVerified: true, Name: "Alice", Groups: []string{"staff", "ops"},
		Claims: map[string]any{"dept": "R&D"}, ACR: "high", AMR: []string{"pwd", "otp"}, AuthTime: at,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got, err = w.signIn(w.client(nil))
	must(t, err)
	if got.Groups != nil || got.Claims != nil {
		t.Errorf("taken over unasked: %v, %v", got.Groups, got.Claims)
	}
	w.Put("alice", map[string]any{"acr": 1, "amr": "pwd", "auth_time": 0, "name": 7, "email": []string{"x"}, "groups": "one"})
	got, err = w.signIn(w.client(func(c *oauth.Config) { c.GroupsClaim = "groups" }))
	must(t, err)
	want = oauth.Identity{Issuer: w.URL(), Subject: "alice", Groups: []string{"one"}, AMR: []string{"pwd"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestKeysRotate(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	p := w.client(nil)
	for range 3 {
		_, err := w.signIn(p)
		must(t, err)
		must(t, w.Rotate())
	}
}

// Discovery is asked once, by one of many, and asked again some time after it failed.
func TestDiscoveryIsCoalescedAndRetried(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	count := &counter{}
	p := w.client(func(c *oauth.Config) { c.Client = &http.Client{Transport: count} })
	begin := func(now time.Time) error {
		_, _, err := p.Begin(context.Background(), rand.Reader, now, redirectURI, 0)
		return err
	}
	must(t, w.SetFault("discovery: 500"))
	for range 3 {
		if err := begin(start); !errors.Is(err, oauth.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if n := count.take(); n != 1 {
		t.Errorf("a provider that failed was asked %d times", n)
	}
	must(t, w.SetFault(""))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := begin(start.Add(time.Minute)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := count.take(); n != 1 {
		t.Errorf("20 sign-ins asked %d times", n)
	}
}

// A visitor who leaves does not make the provider fail for others.
func TestDiscoveryOutlivesTheVisitor(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	p := w.client(nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, _ = p.Begin(ctx, rand.Reader, start, redirectURI, 0)
	if _, _, err := p.Begin(context.Background(), rand.Reader, start, redirectURI, 0); err != nil {
		t.Error(err)
	}
}

// A provider that hangs keeps everybody for its own timeout at most, whenever they came, and
// nobody who leaves.
func TestSlowDiscoveryHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &silent{}
		p, err := oauth.New(oauth.Config{
			Name: "corp", Type: oauth.OIDC, ClientID: "client", Issuer: "https://id.example.org", Client: &http.Client{Transport: slow},
		})
		must(t, err)
		began := time.Now()
		var all sync.WaitGroup
		begin := func(ctx context.Context, until time.Duration) {
			all.Go(func() {
				if _, _, err := p.Begin(ctx, rand.Reader, time.Now(), redirectURI, 0); !errors.Is(err, oauth.ErrUnavailable) {
					t.Error(err)
				}
				if took := time.Since(began); took != until {
					t.Errorf("answered after %s, want %s", took, until)
				}
			})
		}
		begin(t.Context(), 10*time.Second)
		for range 3 {
			time.Sleep(3 * time.Second)
			begin(t.Context(), 10*time.Second)
		}
		leaving, leave := context.WithTimeout(t.Context(), time.Second/2)
		defer leave()
		begin(leaving, 9*time.Second+time.Second/2)
		all.Wait()
		if n := slow.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// silent is a transport to somebody who never answers.
type silent struct{ asked atomic.Int32 }

func (s *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	<-r.Context().Done()
	return nil, r.Context().Err()
}

type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

func (c *counter) take() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = 0
	return n
}

func TestAttempt(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	p := w.client(func(c *oauth.Config) { c.Scopes, c.ACRValues = []string{"groups"}, []string{"high", "mid"} })
	a, to, err := p.Begin(context.Background(), rand.Reader, start, redirectURI, time.Hour)
	must(t, err)
	u, err := url.Parse(to)
	must(t, err)
	got := u.Query()
	challenge := got.Get("code_challenge")
	got.Del("code_challenge")
	want := url.Values{
		"response_type": {"code"}, "client_id": {"client"}, "redirect_uri": {redirectURI}, "scope": {"openid email profile groups"},
		"state": {a.State}, "nonce": {a.Nonce}, "code_challenge_method": {"S256"}, "acr_values": {"high mid"},
		"max_age": {"3600"}, "prompt": {"login"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for name, value := range map[string]string{"state": a.State, "nonce": a.Nonce, "verifier": a.Verifier} {
		if len(value) != 43 || strings.Contains(to, a.Verifier) || value == challenge {
			t.Errorf("%s is weak or told", name)
		}
	}
	if a.State == a.Nonce || a.Nonce == a.Verifier || !a.ExpiresAt.Equal(start.Add(10*time.Minute)) || a.Provider != "corp" {
		t.Errorf("%+v", a)
	}
	raw, err := cbor.Marshal(a)
	must(t, err)
	var again oauth.Attempt
	must(t, cbor.Unmarshal(raw, &again))
	if again.State != a.State || again.Verifier != a.Verifier || again.MaxAge != time.Hour {
		t.Errorf("kept as %+v", again)
	}
	if _, _, err := p.Begin(context.Background(), strings.NewReader("short"), start, redirectURI, 0); err == nil {
		t.Error("began without randomness")
	}
}

func TestConfig(t *testing.T) {
	good := func(kind string) oauth.Config {
		c := oauth.Config{Name: "x", Type: kind, ClientID: "client", ClientSecret: "secret"}
		if kind == oauth.OIDC {
			c.Issuer = "https://id.example.org"
		}
		return c
	}
	for _, kind := range []string{oauth.OIDC, oauth.Google, oauth.Microsoft, oauth.GitHub} {
		if _, err := oauth.New(good(kind)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for name, c := range map[string]struct {
		kind   string
		change func(*oauth.Config)
	}{
		"no name":          {oauth.OIDC, func(c *oauth.Config) { c.Name = "" }},
		"a path as a name": {oauth.OIDC, func(c *oauth.Config) { c.Name = "../x" }},
		"capitals":         {oauth.OIDC, func(c *oauth.Config) { c.Name = "Corp" }},
		"unknown type":     {oauth.OIDC, func(c *oauth.Config) { c.Type = "saml" }},
		"no client":        {oauth.OIDC, func(c *oauth.Config) { c.ClientID = "" }},
		"no secret":        {oauth.Google, func(c *oauth.Config) { c.ClientSecret = "" }},
		"no issuer":        {oauth.OIDC, func(c *oauth.Config) { c.Issuer = "" }},
		"issuer in clear":  {oauth.OIDC, func(c *oauth.Config) { c.Issuer = "http://id.example.org" }},
		"like loopback":    {oauth.OIDC, func(c *oauth.Config) { c.Issuer = "http://127.attacker.example" }},
		"user in issuer":   {oauth.OIDC, func(c *oauth.Config) { c.Issuer = "https://u:p@id.example.org" }},
		"no host":          {oauth.OIDC, func(c *oauth.Config) { c.Issuer = "https:///x" }},
		"half manual":      {oauth.OIDC, func(c *oauth.Config) { c.AuthURL = "https://id.example.org/a" }},
		"userinfo alone":   {oauth.OIDC, func(c *oauth.Config) { c.UserInfoURL = "https://id.example.org/u" }},
		"userinfo in clear": {oauth.OIDC, func(c *oauth.Config) {
			c.AuthURL, c.TokenURL, c.JWKSURL = "https://a.example/a", "https://a.example/t", "https://a.example/k"
			c.UserInfoURL = "http://a.example/u"
		}},
		"manual google": {oauth.Google, func(c *oauth.Config) {
			c.AuthURL, c.TokenURL, c.JWKSURL = "https://a.example/a", "https://a.example/t", "https://a.example/k"
		}},
		"apple, no key":       {oauth.Apple, func(c *oauth.Config) { c.ClientSecret = "" }},
		"a key for others":    {oauth.OIDC, func(c *oauth.Config) { c.Key = &oauth.AppleKey{} }},
		"tenants of others":   {oauth.OIDC, func(c *oauth.Config) { c.Tenants = []string{"x"} }},
		"domains, microsoft":  {oauth.Microsoft, func(c *oauth.Config) { c.Domains = []string{"example.org"} }},
		"acr of github":       {oauth.GitHub, func(c *oauth.Config) { c.ACRValues = []string{"x"} }},
		"leeway of a day":     {oauth.OIDC, func(c *oauth.Config) { c.Leeway = 24 * time.Hour }},
		"leeway below nought": {oauth.OIDC, func(c *oauth.Config) { c.Leeway = -1 }},
	} {
		conf := good(c.kind)
		c.change(&conf)
		if _, err := oauth.New(conf); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, file := range map[string]string{"no PEM": "x", "no key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := oauth.NewAppleKey("T", "K", []byte(file)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEveryShapeIsTried(t *testing.T) {
	for _, f := range oidctest.Faults {
		for _, kind := range f.Types {
			if !slices.Contains(kinds, kind) {
				t.Errorf("%s: %s", f.Name, kind)
			}
		}
	}
	if len(oidctest.Faults) < 20 {
		t.Errorf("only %d faults", len(oidctest.Faults))
	}
}
