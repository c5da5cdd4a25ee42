package oauth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepgate/stepgate/factors/oauth"
	"github.com/stepgate/stepgate/factors/oauth/oidctest"
)

// Each fault that a provider can have is answered as it must be.
func TestEveryFault(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, kind, "")
			tried := 0
			for _, f := range oidctest.Faults {
				if slices.Contains(f.Types, kind) {
					tried++
					t.Run(f.Name, func(t *testing.T) { w.try(t, f) })
				}
			}
			if tried < 20 {
				t.Errorf("only %d faults", tried)
			}
			must(t, w.SetFault(""))
			if _, err := w.signIn(w.client(nil)); err != nil {
				t.Errorf("without a fault: %v", err)
			}
		})
	}
}

func (w *world) try(t *testing.T, f oidctest.Fault) {
	must(t, w.SetFault(f.Name))
	p := w.client(func(c *oauth.Config) {
		c.Client = &http.Client{}
		if strings.HasSuffix(f.Name, ": slow") {
			c.Client.Timeout = 100 * time.Millisecond
		}
	})
	var i oauth.Identity
	var code string
	asked := w.Exchanges()
	a, to, err := p.Begin(context.Background(), rand.Reader, start, redirectURI, 0)
	if strings.HasPrefix(f.Name, "discovery: ") && err == nil {
		t.Error("a sign-in begins all the same")
	}
	if err == nil {
		var answer url.Values
		_, _, answer, err = w.SignIn(to)
		must(t, err)
		code = answer.Get("code")
		i, err = p.Finish(context.Background(), start, a, answer)
	}
	if strings.HasPrefix(f.Name, "answer: ") && f.Name != "answer: code made up" && w.Exchanges() != asked {
		t.Error("the answer went on to the token endpoint")
	}
	var denied *oauth.ProviderError
	isDenied := errors.As(err, &denied)
	got := map[oidctest.Outcome]bool{
		oidctest.Refused: errors.Is(err, oauth.ErrRefused), oidctest.Unavailable: errors.Is(err, oauth.ErrUnavailable),
		oidctest.Denied: isDenied, oidctest.Unverified: err == nil && i.Subject != "" && !i.EmailVerified,
	}
	for outcome, is := range got {
		if is != (outcome == f.Want) {
			t.Errorf("%s is %t, want %s; the identity is %+v and the error: %v", outcome, is, f.Want, i, err)
		}
	}
	if err != nil && (i.Subject != "" || i.Email != "" || i.Issuer != "") {
		t.Errorf("an identity in spite of the error: %+v", i)
	}
	if fetched := w.Fetched(); fetched != nil {
		t.Errorf("fetched %q", fetched)
	}
	if err == nil {
		return
	}
	detail := err.Error()
	for _, secret := range []string{code, a.Verifier, a.Nonce, a.State, "eyJ"} {
		if len(secret) > 1 && strings.Contains(detail, secret) {
			t.Errorf("the error tells a secret: %s", detail)
		}
	}
	if len(detail) > 500 || strings.ContainsFunc(detail, func(r rune) bool { return r < ' ' || r == '<' && isDenied }) {
		t.Errorf("the error is nothing for a log: %q", detail)
	}
	if denied != nil && (len(denied.Description) > 200 || strings.ContainsAny(denied.Description, "\x1b\r\n\"\\") || len(denied.Code) > 40) {
		t.Errorf("%q", denied)
	}
}

// A code that somebody else obtained is worth nothing with one's own attempt.
func TestInjectedCodeIsRefused(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t, kind, "")
			p := w.client(nil)
			mine, answer := w.answer(p, 0)
			w.Put("mallory", nil)
			w.As("mallory")
			_, theirs := w.answer(p, 0)
			answer.Set("code", theirs.Get("code"))
			if i, err := p.Finish(context.Background(), start, mine, answer); !errors.Is(err, oauth.ErrRefused) {
				t.Errorf("%+v, %v", i, err)
			}
		})
	}
}

// An answer belongs to one attempt, at one provider, for ten minutes, once.
func TestAnswerOfAnotherAttemptIsRefused(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	p := w.client(nil)
	for name, change := range map[string]func(*oauth.Attempt, *time.Time){
		"expired":             func(a *oauth.Attempt, now *time.Time) { a.ExpiresAt = *now },
		"not begun":           func(_ *oauth.Attempt, now *time.Time) { *now = start.Add(-time.Second) },
		"of another provider": func(a *oauth.Attempt, _ *time.Time) { a.Provider = "other" },
		"another state":       func(a *oauth.Attempt, _ *time.Time) { a.State = "x" },
		"no state":            func(a *oauth.Attempt, _ *time.Time) { a.State = "" },
		"another nonce":       func(a *oauth.Attempt, _ *time.Time) { a.Nonce = "x" },
		"another verifier":    func(a *oauth.Attempt, _ *time.Time) { a.Verifier = strings.Repeat("x", 43) },
		"another redirect":    func(a *oauth.Attempt, _ *time.Time) { a.RedirectURI = "https://other.example.com/" },
		"nothing at all":      func(a *oauth.Attempt, _ *time.Time) { *a = oauth.Attempt{} },
	} {
		a, answer := w.answer(p, 0)
		now := start
		change(&a, &now)
		if i, err := p.Finish(context.Background(), now, a, answer); !errors.Is(err, oauth.ErrRefused) {
			t.Errorf("%s: %+v, %v", name, i, err)
		}
	}
	a, answer := w.answer(p, 0)
	none := url.Values{"code": answer["code"], "iss": answer["iss"]}
	stateless := a
	stateless.State = ""
	if i, err := p.Finish(context.Background(), start, stateless, none); !errors.Is(err, oauth.ErrRefused) {
		t.Errorf("no state at all: %+v, %v", i, err)
	}
	_, err := p.Finish(context.Background(), start, a, answer)
	must(t, err)
	if _, err := p.Finish(context.Background(), start, a, answer); !errors.Is(err, oauth.ErrRefused) {
		t.Errorf("twice: %v", err)
	}
}

// An empty nonce in an attempt is no wildcard for tokens without one.
func TestNoNonceMatchesNothing(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	p := w.client(nil)
	must(t, w.SetFault("nonce: absent"))
	a, answer := w.answer(p, 0)
	a.Nonce = ""
	if i, err := p.Finish(context.Background(), start, a, answer); !errors.Is(err, oauth.ErrRefused) {
		t.Errorf("%+v, %v", i, err)
	}
}

// Two providers that know the same subject and address know two identities.
func TestIdentityIsOfItsIssuer(t *testing.T) {
	one, two := newWorld(t, oauth.OIDC, jose.ES256), newWorld(t, oauth.OIDC, jose.ES256)
	first, err := one.signIn(one.client(nil))
	must(t, err)
	second, err := two.signIn(two.client(nil))
	must(t, err)
	if first.Subject != second.Subject || first.Issuer == second.Issuer {
		t.Errorf("%+v, %+v", first, second)
	}
	// Mix-up: the answer of one, brought to the attempt at the other.
	p := one.client(nil)
	a, _ := one.answer(p, 0)
	_, answer := two.answer(two.client(nil), 0)
	answer.Set("state", a.State)
	if i, err := p.Finish(context.Background(), start, a, answer); !errors.Is(err, oauth.ErrRefused) {
		t.Errorf("%+v, %v", i, err)
	}
}

// The subject of one tenant is nobody in another, and the object id is the subject.
func TestTenantsAreApart(t *testing.T) {
	w := newWorld(t, oauth.Microsoft, jose.ES256)
	w.Put("mallory", map[string]any{"tid": "11111111-2222-3333-4444-555555555555", "oid": "oid-alice", "email": "alice@example.org"})
	first, err := w.signIn(w.client(nil))
	must(t, err)
	w.As("mallory")
	second, err := w.signIn(w.client(nil))
	must(t, err)
	if first.Issuer == second.Issuer || second.EmailVerified {
		t.Errorf("%+v, %+v", first, second)
	}
	if _, err := w.signIn(w.client(func(c *oauth.Config) { c.Tenants = []string{oidctest.Tenant} })); !errors.Is(err, oauth.ErrRefused) {
		t.Errorf("a tenant that is not on the list: %v", err)
	}
	// Discovery that names all tenants is none for a client of one.
	_, _, err = w.client(func(c *oauth.Config) { c.Issuer = w.URL() + "/" + oidctest.Tenant + "/v2.0" }).Begin(context.Background(), rand.Reader, start, redirectURI, 0)
	if !errors.Is(err, oauth.ErrRefused) {
		t.Errorf("discovery of all tenants: %v", err)
	}
}

func TestDomains(t *testing.T) {
	for _, c := range []struct {
		kind   string
		claims map[string]any
		want   bool
	}{
		{oauth.OIDC, nil, true},
		{oauth.OIDC, map[string]any{"email": "alice@EXAMPLE.org"}, true},
		{oauth.OIDC, map[string]any{"email_verified": false}, false},
		{oauth.OIDC, map[string]any{"email": "alice@example.org.attacker.example"}, false},
		{oauth.OIDC, map[string]any{"email": "alice@sub.example.org"}, false},
		{oauth.OIDC, map[string]any{"email": "alice@attacker.example@example.org"}, false},
		{oauth.OIDC, map[string]any{"email": nil}, false},
		{oauth.OIDC, map[string]any{"hd": "example.org", "email": "alice@attacker.example"}, false},
		{oauth.Google, nil, true},
		{oauth.Google, map[string]any{"hd": nil}, false}, // a private account may have any address
		{oauth.Google, map[string]any{"hd": "attacker.example"}, false},
		{oauth.Google, map[string]any{"hd": []string{"example.org"}}, false},
		{oauth.GitHub, nil, true},
		{oauth.GitHub, map[string]any{"email": "alice@attacker.example"}, false},
		{oauth.GitHub, map[string]any{"email_verified": false}, false},
	} {
		w := newWorld(t, c.kind, jose.ES256)
		w.Put("alice", c.claims)
		i, err := w.signIn(w.client(func(c *oauth.Config) { c.Domains = []string{"Example.org"} }))
		if (err == nil) != (i.Subject != "") {
			t.Errorf("%+v with the error %v", i, err)
		}
		if (err == nil) != c.want || err != nil && !errors.Is(err, oauth.ErrRefused) {
			t.Errorf("%s %v: %v", c.kind, c.claims, err)
		}
	}
}

// What was asked of the provider's own sign-in is held against the token, not believed.
func TestWhatWasAskedIsChecked(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	acr := w.client(func(c *oauth.Config) { c.ACRValues = []string{"high"} })
	for _, c := range []struct {
		claims map[string]any
		want   bool
	}{{nil, false}, {map[string]any{"acr": "low"}, false}, {map[string]any{"acr": []string{"high"}}, false}, {map[string]any{"acr": "high"}, true}} {
		w.Put("alice", c.claims)
		if _, err := w.signIn(acr); (err == nil) != c.want {
			t.Errorf("%v: %v", c.claims, err)
		}
	}
}

// A fresh identity is one that the provider says is fresh, wherever it can tell.
func TestFreshnessIsTold(t *testing.T) {
	for _, c := range []struct {
		at   any
		want map[string]bool // by type; others refuse
	}{
		{start.Unix(), map[string]bool{oauth.OIDC: true, oauth.Microsoft: true, oauth.Google: true, oauth.Apple: true}},
		{start.Add(-5 * time.Minute).Unix(), map[string]bool{oauth.OIDC: true, oauth.Microsoft: true, oauth.Google: true, oauth.Apple: true}},
		{start.Add(-7 * time.Minute).Unix(), nil},
		{0, map[string]bool{oauth.Google: true, oauth.Apple: true}}, // they cannot tell
		{start.Add(time.Hour).Unix(), nil},
		{"now", nil},
	} {
		for _, kind := range []string{oauth.OIDC, oauth.Microsoft, oauth.Google, oauth.Apple} {
			w := newWorld(t, kind, jose.ES256)
			w.Put("alice", map[string]any{"auth_time": c.at})
			p := w.client(nil)
			a, answer := w.answer(p, 5*time.Minute)
			if _, err := p.Finish(context.Background(), start, a, answer); (err == nil) != c.want[kind] || err != nil && !errors.Is(err, oauth.ErrRefused) {
				t.Errorf("%s, auth_time %v: %v", kind, c.at, err)
			}
		}
	}
}

// The clock of a provider may be off by the leeway and no more.
func TestLeeway(t *testing.T) {
	for _, c := range []struct {
		claims map[string]any
		leeway time.Duration
		want   bool
	}{
		{map[string]any{"auth_time": start.Add(50 * time.Second).Unix()}, 0, true},
		{map[string]any{"auth_time": start.Add(70 * time.Second).Unix()}, 0, false},
		{map[string]any{"auth_time": start.Add(70 * time.Second).Unix()}, 2 * time.Minute, true},
	} {
		w := newWorld(t, oauth.OIDC, jose.ES256)
		w.Put("alice", c.claims)
		if _, err := w.signIn(w.client(func(o *oauth.Config) { o.Leeway = c.leeway })); (err == nil) != c.want {
			t.Errorf("%v with %s: %v", c.claims, c.leeway, err)
		}
	}
	w := newWorld(t, oauth.OIDC, jose.ES256)
	p := w.client(nil)
	for by, want := range map[time.Duration]bool{5*time.Minute + 50*time.Second: true, 6*time.Minute + 10*time.Second: false} {
		a, answer := w.answer(p, 0) // the token lives for 5 minutes
		if _, err := p.Finish(context.Background(), start.Add(by), a, answer); (err == nil) != want {
			t.Errorf("%s later: %v", by, err)
		}
	}
	a, answer := w.answer(p, 0)
	a.CreatedAt = start.Add(-90 * time.Second) // the token is 90 s ahead of a clock that is slow
	if _, err := p.Finish(context.Background(), start.Add(-50*time.Second), a, answer); err != nil {
		t.Errorf("50 s ahead: %v", err)
	}
	a, answer = w.answer(p, 0)
	a.CreatedAt = start.Add(-90 * time.Second)
	if _, err := p.Finish(context.Background(), start.Add(-70*time.Second), a, answer); !errors.Is(err, oauth.ErrRefused) {
		t.Errorf("70 s ahead: %v", err)
	}
}

// A claim source names an address, which nobody fetches.
func TestClaimSourcesAreNotFetched(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	w.Put("alice", map[string]any{
		"_claim_names":   map[string]any{"groups": "src"},
		"_claim_sources": map[string]any{"src": map[string]any{"endpoint": w.URL() + "/canary?source", "access_token": "x"}},
	})
	i, err := w.signIn(w.client(func(c *oauth.Config) { c.GroupsClaim = "groups" }))
	if err != nil || i.Groups != nil || w.Fetched() != nil {
		t.Errorf("%+v, %v, %q", i, err, w.Fetched())
	}
}

// An issuer with TLS cannot send the gateway to addresses of its own machine.
func TestDiscoveryCannotPointInside(t *testing.T) {
	p, err := oauth.New(oauth.Config{
		Name: "corp", Type: oauth.OIDC, ClientID: "client", Issuer: "https://id.example.org",
		Client: &http.Client{Transport: document(`{"issuer":"https://id.example.org","authorization_endpoint":"https://id.example.org/a",
			"token_endpoint":"https://id.example.org/t","jwks_uri":"http://127.0.0.1:2019/config/"}`)},
	})
	must(t, err)
	if _, _, err := p.Begin(context.Background(), rand.Reader, start, redirectURI, 0); !errors.Is(err, oauth.ErrRefused) {
		t.Error(err)
	}
}

// Of an answer, 1 MB is read.
func TestAnswersAreCapped(t *testing.T) {
	const right = `{"issuer":"https://id.example.org","authorization_endpoint":"https://id.example.org/a",
		"token_endpoint":"https://id.example.org/t","jwks_uri":"https://id.example.org/k"}`
	for length, want := range map[int]bool{1<<20 - 1: true, 1<<20 + 1: false} {
		p, err := oauth.New(oauth.Config{
			Name: "corp", Type: oauth.OIDC, ClientID: "client", Issuer: "https://id.example.org",
			Client: &http.Client{Transport: document(right + strings.Repeat(" ", length-len(right)))},
		})
		must(t, err)
		_, _, err = p.Begin(context.Background(), rand.Reader, start, redirectURI, 0)
		if (err == nil) != want || err != nil && !errors.Is(err, oauth.ErrUnavailable) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

// FuzzCallback: whatever a browser brings, only the very answer of the attempt is exchanged.
func FuzzCallback(f *testing.F) {
	p, err := oauth.New(oauth.Config{
		Name: "corp", Type: oauth.OIDC, ClientID: "client", Issuer: "https://id.example.org",
		AuthURL: "https://id.example.org/a", TokenURL: "https://id.example.org/t", JWKSURL: "https://id.example.org/k",
		Client: &http.Client{Transport: document(`{"access_token":"a","token_type":"Bearer"}`)},
	})
	if err != nil {
		f.Fatal(err)
	}
	a := oauth.Attempt{Provider: "corp", State: "right", Nonce: "n", Verifier: "v", CreatedAt: start, ExpiresAt: start.Add(oauth.Life)}
	for _, seed := range []string{
		"state=right&code=x", "state=right&code=x&code=y", "state=right&error=access_denied", "state=wrong&code=x", "state=right&code=x&iss=",
		"code=x", "state=right&error=%1b%00&error_description=%22%5c", "state=right&code=x&id_token=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		callback, _ := url.ParseQuery(query)
		i, err := p.Finish(context.Background(), start, a, callback)
		var denied *oauth.ProviderError
		switch {
		case err == nil || i.Subject != "":
			t.Fatalf("%+v, %v", i, err)
		case !errors.Is(err, oauth.ErrRefused) && !errors.Is(err, oauth.ErrUnavailable) && !errors.As(err, &denied):
			t.Fatalf("untyped: %v", err)
		}
		if strings.HasSuffix(err.Error(), "no id_token") && // what the provider was asked about
			(callback.Get("state") != "right" || len(callback["code"]) != 1 || callback.Has("id_token") || callback.Has("error")) {
			t.Fatalf("%q was exchanged", query)
		}
	})
}

// document is a transport that answers everything with one document.
type document string

func (d document) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(string(d))), ContentLength: -1,
	}, nil
}
