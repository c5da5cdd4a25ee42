package portal_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/portal"
)

// keys makes the site offer passkeys and security keys.
func keys(c *flow.Config) {
	c.Keys = webauthn.New(webauthn.Options{})
	c.Options.Offered = append(slices.Clone(c.Options.Offered), factors.WebAuthn, factors.Passkey)
	c.Options.Primary = append(slices.Clone(c.Options.Primary), factors.WebAuthn, factors.Passkey)
}

// options begins a ceremony and returns what the browser is asked.
func (b *browser) options(path string, in map[string]any) json.RawMessage {
	b.s.t.Helper()
	p, out := b.api(http.MethodPost, path, in)
	if p.status != http.StatusOK || out["request_id"] == "" {
		b.s.t.Fatalf("%s: %d %s", path, p.status, p.body)
	}
	raw, err := json.Marshal(out["publicKey"])
	must(b.s.t, err)
	return raw
}

// enrol registers a key and returns its id.
func (b *browser) enrol(a *webauthntest.Authenticator, kind string) string {
	b.s.t.Helper()
	credential, err := a.Create(b.options("webauthn/register/start", map[string]any{"authenticator_type": kind}), origin)
	must(b.s.t, err)
	p, out := b.api(http.MethodPost, "webauthn/register", map[string]any{"credential": json.RawMessage(credential), "name": "Mine"})
	id, _ := out["webauthn_registration_id"].(string)
	if p.status != http.StatusOK || id == "" || out["user_id"] == "" {
		b.s.t.Fatalf("register: %d %s", p.status, p.body)
	}
	return id
}

// prove proves a key, and returns the answer and what was sent.
func (b *browser) prove(a *webauthntest.Authenticator, in map[string]any) (p page, out, sent map[string]any) {
	b.s.t.Helper()
	credential, err := a.Get(b.options("webauthn/authenticate/start", in), origin)
	must(b.s.t, err)
	sent = map[string]any{"credential": json.RawMessage(credential)}
	if in["flow"] != nil {
		sent["flow"] = in["flow"]
	}
	p, out = b.api(http.MethodPost, "webauthn/authenticate", sent)
	return p, out, sent
}

// A program registers a passkey, signs in with nothing else, and removes it; each proof changes
// the session's id and cookie.
func TestPasskeyByAPI(t *testing.T) {
	s := newSite(t, keys)
	s.user(alice, true)
	b := s.browser()
	b.signIn(alice)
	before := b.cookie()
	a := &webauthntest.Authenticator{Verifies: true, Attachment: "platform"}
	id := b.enrol(a, "platform")
	if b.cookie() == before {
		t.Error("the cookie did not change with the added factor")
	}
	if _, proven := b.who(); !slices.Equal(proven, []string{"knowledge", "webauthn_registration"}) {
		t.Errorf("proven: %v", proven)
	}
	_, out := b.api(http.MethodGet, "session", nil)
	list := out["session"].(map[string]any)["authentication_factors"].([]any)
	factor := list[1].(map[string]any)
	key := factor["webauthn_factor"].(map[string]any)
	if factor["type"] != "webauthn" || key["webauthn_registration_id"] != id || key["domain"] != "app.test" ||
		key["authenticator_type"] != "platform" || key["user_verified"] != true || key["discoverable"] != true || len(key) > 7 {
		t.Errorf("factor: %v", factor)
	}

	other := s.browser()
	p, _, sent := other.prove(a, map[string]any{})
	if email, proven := other.who(); p.status != http.StatusOK || email != alice || len(proven) != 1 {
		t.Fatalf("sign in: %d %s", p.status, p.body)
	}
	if p, out := other.api(http.MethodPost, "webauthn/authenticate", sent); p.status != http.StatusUnauthorized || out["error_type"] != "webauthn_incorrect" {
		t.Errorf("in the session that it started: %d %s", p.status, p.body)
	}
	thief := s.browser()
	if p, out := thief.api(http.MethodPost, "webauthn/authenticate", sent); p.status != http.StatusUnauthorized || out["error_type"] != "webauthn_incorrect" {
		t.Errorf("in another browser: %d %s", p.status, p.body)
	}
	thief.nobody(t)

	if p := b.do(http.MethodDelete, "/.stepgate/api/v1/factors/"+id, "", ""); p.status != http.StatusOK {
		t.Fatalf("remove: %d %s", p.status, p.body)
	}
	gone := s.browser()
	if p, out, _ := gone.prove(a, map[string]any{}); p.status != http.StatusUnauthorized || out["error_type"] != "webauthn_incorrect" {
		t.Errorf("removed: %d %s", p.status, p.body)
	}
	if email, _ := other.who(); email != "" {
		t.Error("the session of the removed key lives on")
	}
}

// A plain security key, which verifies nobody, is the second factor that a rule asks for.
func TestSecurityKeyInAChallenge(t *testing.T) {
	s := newSite(t, keys)
	s.user(alice, true)
	a := &webauthntest.Authenticator{Counts: true, Attachment: "cross-platform"}
	first := s.browser()
	first.signIn(alice)
	first.enrol(a, "cross-platform")
	b := s.browser()
	b.signIn(alice)
	p := b.get("/two/x")
	_, id, ok := strings.Cut(p.header.Get("Location"), "/.stepgate/challenge?flow=")
	if p.status != http.StatusSeeOther || !ok {
		t.Fatalf("%d %v", p.status, p.header)
	}
	if p, _, _ := b.prove(a, map[string]any{"flow": id}); p.status != http.StatusOK {
		t.Fatalf("prove: %d %s", p.status, p.body)
	}
	if p := b.get("/two/x"); p.body != "application: /two/x" {
		t.Errorf("%d %s", p.status, p.body)
	}
}

// What is no answer of an authenticator is told as that, and never as a fault of ours.
func TestBadCredentials(t *testing.T) {
	s := newSite(t, keys)
	s.user(alice, true)
	b := s.browser()
	b.signIn(alice)
	for _, path := range []string{"webauthn/register", "webauthn/authenticate"} {
		for name, body := range map[string]string{
			"nothing": `{}`, "null": `{"credential":null}`, "text": `{"credential":"x"}`, "list": `{"credential":[]}`, "empty": `{"credential":{}}`,
			"no bytes": `{"credential":{"rawId":"","response":{"clientDataJSON":""}}}`, "numbers": `{"credential":{"rawId":1,"response":2}}`,
		} {
			p := b.do(http.MethodPost, "/.stepgate/api/v1/"+path, "application/json", body)
			if p.status != http.StatusBadRequest || !strings.Contains(p.body, `"error_type":"invalid_credential"`) {
				t.Errorf("%s, %s: %d %s", path, name, p.status, p.body)
			}
		}
		p := b.do(http.MethodPost, "/.stepgate/api/v1/"+path, "application/json", `{"credential":{"rawId":"`+strings.Repeat("A", 70_000)+`"}}`)
		if p.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s, large: %d %s", path, p.status, p.body)
		}
	}
	for _, kind := range []any{"laser", 1} {
		if p := b.do(http.MethodPost, "/.stepgate/api/v1/webauthn/register/start", "application/json", string(must1(json.Marshal(map[string]any{"authenticator_type": kind})))); p.status != http.StatusBadRequest {
			t.Errorf("kind %v: %d %s", kind, p.status, p.body)
		}
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The portal claims the addresses for what is offered, and no others.
func TestWellKnownClaims(t *testing.T) {
	s := newSite(t, nil)
	claims := func(change func(*flow.Config)) *portal.Portal {
		s.configure(change)
		return s.gate.Portal.(*portal.Portal)
	}
	related := func(c *flow.Config) {
		keys(c)
		c.Options.RPID, c.Options.RelatedOrigins = "example.com", []string{"https://shop.example.org"}
	}
	without := func(c *flow.Config) { c.Options.Offered = []factors.Product{factors.EmailOTP} }
	for _, c := range []struct {
		change       func(*flow.Config)
		host, path   string
		ours, always bool
	}{
		{nil, "app.test", "/.well-known/change-password", true, false},
		{without, "app.test", "/.well-known/change-password", false, false},
		{nil, "app.test", "/.well-known/passkey-endpoints", false, false},
		{keys, "app.test", "/.well-known/passkey-endpoints", true, false},
		{keys, "app.test", "/.well-known/webauthn", false, false},
		{related, "example.com", "/.well-known/webauthn", true, true},
		{related, "app.example.com", "/.well-known/webauthn", false, false},
		{related, "example.com", "/.well-known/openid-configuration", false, false},
		{related, "example.com", "/", false, false},
	} {
		if ours, always := claims(c.change).WellKnown(c.host, c.path); ours != c.ours || always != c.always {
			t.Errorf("%s at %s: %v %v", c.path, c.host, ours, always)
		}
	}
}

// A password manager that follows the well-known address ends where the password is changed,
// by way of the sign-in.
func TestChangePasswordAddress(t *testing.T) {
	s := newSite(t, nil)
	s.user(alice, true)
	b := s.browser()
	p := b.get("/.well-known/change-password")
	if p.status != http.StatusSeeOther || p.header.Get("Location") != "/.stepgate/account/password" || p.header.Get("Stepgate-Response") != "portal" {
		t.Fatalf("%d %v", p.status, p.header)
	}
	p = b.follow(p)
	p = b.follow(b.post(p, "/.stepgate/sign-in", url.Values{"action": {"password"}, "email": {alice}, "password": {goodPassword}}))
	if p.status != http.StatusOK || !strings.Contains(p.body, `autocomplete="new-password"`) {
		t.Errorf("%d %s", p.status, p.body)
	}
	// For a visitor, the application comes first.
	if p := b.get("/.well-known/change-password"); p.body != "application: /.well-known/change-password" {
		t.Errorf("%d %s", p.status, p.body)
	}
}
