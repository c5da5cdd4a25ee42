package flow

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
)

// newKeyHouse is a house that offers passkeys and security keys too.
func newKeyHouse(t *testing.T, demands ...webauthn.Options) *house {
	t.Helper()
	h := newHouse(t)
	o := h.opts
	o.Offered = append(slices.Clone(o.Offered), factors.WebAuthn, factors.Passkey)
	o.Primary = append(slices.Clone(o.Primary), factors.WebAuthn, factors.Passkey)
	h.rebuild(o, append(demands, webauthn.Options{})[0])
	return h
}

// rebuild makes the engine anew over the same store, as a reload does.
func (h *house) rebuild(o Options, demands webauthn.Options) {
	h.Engine = New(Config{
		DB: h.db, Accounts: h.accounts, Sessions: h.sessions, Hasher: h.hasher, Queue: h.queue, Audit: h.events, Rand: h.rand,
		Keys: webauthn.New(demands), Options: o,
	})
}

// guest is a visitor who is not signed in, with a browser that can be told from others.
func guest(browser string) Visitor {
	v := anon()
	v.Browser = browser
	return v
}

// passkey is an authenticator that verifies its user and keeps accounts.
func passkey() *webauthntest.Authenticator {
	return &webauthntest.Authenticator{Verifies: true, Attachment: "platform"}
}

// securityKey is one that does neither, and counts.
func securityKey() *webauthntest.Authenticator {
	return &webauthntest.Authenticator{Counts: true, Attachment: "cross-platform"}
}

// create begins a registration and has an authenticator answer it.
func (h *house) create(v Visitor, a *webauthntest.Authenticator, kind webauthn.Kind, faults ...webauthntest.Fault) []byte {
	h.t.Helper()
	options, err := h.StartRegistration(h.t.Context(), v, string(kind))
	ok(h.t, err)
	answer, err := a.Create(options, v.Origin, faults...)
	ok(h.t, err)
	return answer
}

// enrolKey registers a key in a session and returns the session that holds it, and its id.
func (h *house) enrolKey(v Visitor, a *webauthntest.Authenticator, kind webauthn.Kind, name string) (Result, string) {
	h.t.Helper()
	r, id, err := h.Register(h.t.Context(), v, h.create(v, a, kind), name)
	ok(h.t, err)
	return r, id
}

// get begins an authentication and has an authenticator answer it.
func (h *house) get(v Visitor, a *webauthntest.Authenticator, email string, required *policy.Requirement, faults ...webauthntest.Fault) []byte {
	h.t.Helper()
	options, err := h.StartAuthentication(h.t.Context(), v, email, required)
	ok(h.t, err)
	answer, err := a.Get(options, v.Origin, faults...)
	ok(h.t, err)
	return answer
}

// byKey signs a guest in with a passkey, without an e-mail address.
func (h *house) byKey(a *webauthntest.Authenticator) Result {
	h.t.Helper()
	v := guest("browser")
	r, err := h.AuthenticateKey(h.t.Context(), v, h.get(v, a, "", nil))
	ok(h.t, err)
	return r
}

func requirement(t *testing.T, text string) *policy.Requirement {
	t.Helper()
	r, err := policy.ParseRequirement(text)
	ok(t, err)
	return r
}

// What an authenticator showed is what policies judge: in the session that registered it, in
// one that it started, and in one that it was added to.
func TestWhatPoliciesLearnOfAKey(t *testing.T) {
	const model, other = "01020300-0000-0000-0000-000000000000", "ffffffff-0000-0000-0000-000000000000"
	laptop, stick, synced := passkey(), securityKey(), passkey()
	laptop.Model, stick.Model = [16]byte{1, 2, 3}, [16]byte{9}
	synced.Model, synced.BackupEligible, synced.BackedUp = [16]byte{1, 2, 3}, true, true
	for name, c := range map[string]struct {
		authenticator *webauthntest.Authenticator
		kind          webauthn.Kind
		met, unmet    []string
	}{
		"passkey of a laptop": {laptop, webauthn.Passkey, []string{
			`"webauthn"`, `"passkey"`, `"phishing_resistant"`, `"aal2"`, `"aal3"`, `{"factor":"webauthn","user_verification":"required"}`,
			`{"factor":"webauthn","attachment":"platform"}`, `{"factor":"passkey","aaguid":["` + other + `","` + model + `"]}`,
		}, []string{
			`"mfa"`, `{"factor":"passkey","attachment":"cross-platform"}`, `{"factor":"webauthn","aaguid":["` + other + `"]}`,
		}},
		"key on a ring": {stick, webauthn.SecurityKey, []string{
			`"webauthn"`, `"phishing_resistant"`, `{"factor":"webauthn","attachment":"cross-platform"}`,
		}, []string{
			`"passkey"`, `"aal2"`, `"aal3"`, `{"factor":"webauthn","user_verification":"required"}`,
			`{"factor":"webauthn","attachment":"platform"}`, `{"factor":"webauthn","aaguid":["` + model + `"]}`,
		}},
		"synced passkey": {synced, webauthn.Passkey, []string{`"passkey"`, `"aal2"`}, []string{`"aal3"`}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newKeyHouse(t)
			h.user("alice@example.com", true)
			registered, id := h.enrolKey(as(h.signIn("alice@example.com")), c.authenticator, c.kind, "")
			if f := registered.Session.Factors; len(f) != 2 || f[1].WebAuthnFactor == nil || f[1].WebAuthnFactor.WebAuthnRegistrationID != id ||
				f[1].WebAuthnFactor.Domain != "app.test" || f[1].WebAuthnFactor.AuthenticatorType != c.authenticator.Attachment {
				t.Errorf("registered: %+v", f)
			}
			v := guest("browser")
			email := ""
			if c.kind != webauthn.Passkey {
				email = "Alice@example.com"
			}
			started, err := h.AuthenticateKey(t.Context(), v, h.get(v, c.authenticator, email, nil))
			ok(t, err)
			v = as(h.signIn("alice@example.com"))
			upgraded, err := h.AuthenticateKey(t.Context(), v, h.get(v, c.authenticator, "", nil))
			ok(t, err)
			if !requirement(t, `{"all_of":["password","webauthn"]}`).Met(upgraded.Session.Subject().Factors, h.clock.Now()) {
				t.Errorf("upgraded: %+v", upgraded.Session.Factors)
			}
			for _, text := range c.met {
				if !requirement(t, text).Met(started.Session.Subject().Factors, h.clock.Now()) {
					t.Errorf("%s is not met", text)
				}
			}
			for _, text := range c.unmet {
				if requirement(t, text).Met(started.Session.Subject().Factors, h.clock.Now()) {
					t.Errorf("%s is met", text)
				}
			}
		})
	}
}

// Where the flow asks for it, the authenticator is asked to verify its user, and an answer
// without that proves nothing.
func TestFlowDemandsVerification(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	a := passkey()
	h.enrolKey(as(h.signIn("alice@example.com")), a, webauthn.Passkey, "")
	unverified := webauthntest.Fault{Sign: func(s *webauthntest.Statement) { s.Flags &^= webauthntest.UserVerified }}
	for text, demanded := range map[string]bool{
		`"passkey"`: true, `{"factor":"webauthn","user_verification":"required"}`: true, `"webauthn"`: false, `{"factors":2}`: false,
	} {
		v := as(h.signIn("alice@example.com"))
		r, err := h.AuthenticateKey(t.Context(), v, h.get(v, a, "", requirement(t, text), unverified))
		if demanded {
			refused(t, err, ErrKeyIncorrect)
			continue
		}
		ok(t, err)
		if r.Session.Factors[1].WebAuthnFactor.UserVerified {
			t.Errorf("%s: verified without verification", text)
		}
	}
	// A passkey that is still fresh is proven anew as one.
	v := as(h.byKey(a))
	_, err := h.AuthenticateKey(t.Context(), v, h.get(v, a, "", requirement(t, `{"factor":"passkey","max_age":"5m0s"}`), unverified))
	refused(t, err, ErrKeyIncorrect)
	// Without a name, the key is all that a guest proves.
	v = guest("browser")
	_, err = h.AuthenticateKey(t.Context(), v, h.get(v, a, "", nil, unverified))
	refused(t, err, ErrKeyIncorrect)
	_, err = h.AuthenticateKey(t.Context(), v, h.get(v, a, "alice@example.com", nil, unverified))
	ok(t, err)
}

// Of a person's keys, the browser is offered those that bring the flow further; all, where none
// does.
func TestOnlyUsefulKeysAreAsked(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	laptop, stick, synced := passkey(), securityKey(), passkey()
	stick.Model, synced.BackupEligible = [16]byte{9}, true
	r, _ := h.enrolKey(as(h.signIn("alice@example.com")), laptop, webauthn.Passkey, "")
	r, _ = h.enrolKey(as(r), stick, webauthn.SecurityKey, "")
	h.enrolKey(as(r), synced, webauthn.Passkey, "")
	v := as(h.signIn("alice@example.com"))
	for text, want := range map[string][]*webauthntest.Authenticator{
		`"passkey"`: {laptop, synced},
		`{"factor":"webauthn","attachment":"cross-platform"}`:                                                  {stick},
		`{"factor":"webauthn","aaguid":["09000000-0000-0000-0000-000000000000"]}`:                              {stick},
		`{"any_of":["totp",{"factor":"passkey","attachment":"platform"}]}`:                                     {laptop, synced},
		`{"any_of":["sms_otp",{"all_of":["totp",{"factor":"webauthn","attachment":"cross-platform"}]}]}`:       {stick},
		`{"all_of":["password",{"attachment":"cross-platform","factor":"webauthn","once":true,"rule":"pay"}]}`: {stick},
		`"aal3"`:        {laptop, stick},
		`{"factors":2}`: {laptop, stick, synced},
		`"totp"`:        {laptop, stick, synced},
		`"password"`:    {laptop, stick, synced},
	} {
		raw, err := h.StartAuthentication(t.Context(), v, "", requirement(t, text))
		ok(t, err)
		var o struct{ AllowCredentials []struct{ ID string } }
		ok(t, json.Unmarshal(raw, &o))
		var got, ids []string
		for _, c := range o.AllowCredentials {
			got = append(got, c.ID)
		}
		for _, a := range want {
			ids = append(ids, base64.RawURLEncoding.EncodeToString(a.Keys[0].ID))
		}
		if !slices.Equal(got, ids) {
			t.Errorf("%s: %d keys", text, len(got))
		}
	}
}

// A key that verified nobody starts a session only where security keys may.
func TestPasskeysAlone(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	a, stick := passkey(), securityKey()
	r, _ := h.enrolKey(as(h.signIn("alice@example.com")), a, webauthn.Passkey, "")
	h.enrolKey(as(r), stick, webauthn.SecurityKey, "")
	o := h.opts
	o.Primary = []factors.Product{factors.Password, factors.Passkey}
	h.rebuild(o, webauthn.Options{})
	v := guest("browser")
	_, err := h.AuthenticateKey(t.Context(), v, h.get(v, stick, "alice@example.com", nil))
	refused(t, err, ErrKeyIncorrect) // verification was demanded
	h.byKey(a)
	o.Offered = []factors.Product{factors.Password, factors.Passkey}
	h.rebuild(o, webauthn.Options{})
	h.byKey(a)
	_, err = h.StartRegistration(t.Context(), as(r), "cross-platform")
	refused(t, err, ErrNotOffered)
	o.Offered = []factors.Product{factors.Password}
	h.rebuild(o, webauthn.Options{})
	_, err = h.StartAuthentication(t.Context(), guest("browser"), "", nil)
	refused(t, err, ErrNotOffered)
	_, err = h.AuthenticateKey(t.Context(), guest("browser"), nil)
	refused(t, err, ErrNotOffered)
	_, err = h.StartRegistration(t.Context(), as(r), "")
	refused(t, err, ErrNotOffered)
	_, err = h.StartRegistration(t.Context(), as(r), "any")
	refused(t, err, ErrKeyMalformed)
}

// Several keys have names, which their owner changes; a removed one signs in no more, and
// browsers are told which are left.
func TestSeveralKeys(t *testing.T) {
	h := newKeyHouse(t)
	u := h.user("alice@example.com", true)
	h.user("bob@example.com", true)
	laptop, phone, stick := passkey(), passkey(), securityKey()
	r, first := h.enrolKey(as(h.signIn("alice@example.com")), laptop, webauthn.Passkey, " My laptop ")
	r, second := h.enrolKey(as(r), phone, webauthn.Passkey, "")
	r, third := h.enrolKey(as(r), stick, webauthn.SecurityKey, "")
	if got := h.keyNames(u.ID); !slices.Equal(got, []string{"My laptop", "Passkey", "Security key"}) {
		t.Fatal(got)
	}
	ok(t, h.RenameKey(t.Context(), as(r), second, "Phone"))
	if got := h.keyNames(u.ID); !slices.Equal(got, []string{"My laptop", "Phone", "Security key"}) {
		t.Fatal(got)
	}
	bob := as(h.signIn("bob@example.com"))
	refused(t, h.RenameKey(t.Context(), bob, second, "Mine"), ErrNotFound)
	refused(t, h.RemoveFactor(t.Context(), bob, second, false), ErrNotFound)
	for _, name := range []string{"", "  ", strings.Repeat("n", account.MaxName+1)} {
		refused(t, h.RenameKey(t.Context(), as(r), second, name), ErrTooMany)
	}
	_, _, err := h.Register(t.Context(), as(r), nil, strings.Repeat("n", account.MaxName+1))
	refused(t, err, ErrTooMany)

	// An authenticator that is told of its own key makes no second one.
	options, err := h.StartRegistration(t.Context(), as(r), "")
	ok(t, err)
	if _, err := laptop.Create(options, "https://app.test"); !errors.Is(err, webauthntest.ErrNone) {
		t.Errorf("a second key beside the first: %v", err)
	}

	before := h.byKey(phone)
	ok(t, h.RemoveFactor(t.Context(), as(r), second, false))
	if _, err := h.lookup2(before.Cookie); !errors.Is(err, errAbsent) {
		t.Errorf("the session that the removed key started lives on: %v", err)
	}
	v := guest("browser")
	_, err = h.AuthenticateKey(t.Context(), v, h.get(v, phone, "", nil))
	refused(t, err, ErrKeyIncorrect)
	user, _, err := h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	rpID, handle, ids := h.AcceptedKeys(as(r), &user)
	if rpID != "app.test" || !slices.Equal(handle, user.Handle) || len(ids) != 2 ||
		!slices.Equal(ids[0], laptop.Keys[0].ID) || !slices.Equal(ids[1], stick.Keys[0].ID) {
		t.Errorf("accepted: %q %d keys", rpID, len(ids))
	}
	ok(t, h.RemoveFactor(t.Context(), as(r), third, false))
	ok(t, h.RemoveFactor(t.Context(), as(r), first, false))
	if got := h.keyNames(u.ID); len(got) != 0 {
		t.Error(got)
	}
}

func (h *house) keyNames(userID string) (names []string) {
	h.t.Helper()
	u, _, err := h.accounts.Get(h.t.Context(), userID)
	ok(h.t, err)
	for _, k := range h.DescribeUser(&u).WebAuthn {
		names = append(names, k.Name)
	}
	return names
}

// Nobody fills an account with keys without end.
func TestKeysAreCounted(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	r := h.signIn("alice@example.com")
	for range 20 {
		r, _ = h.enrolKey(as(r), passkey(), webauthn.Passkey, "")
	}
	_, _, err := h.Register(t.Context(), as(r), h.create(as(r), passkey(), webauthn.Passkey), "")
	refused(t, err, ErrTooMany)
}

// Each host has its own credentials; below a configured relying party, and at its related
// origins, hosts share them. Addresses have none.
func TestRelyingParties(t *testing.T) {
	h := newKeyHouse(t)
	alone := h.opts
	o := h.opts
	o.RPID, o.RelatedOrigins = "example.com", []string{"https://shop.example.org"}
	for origin, want := range map[string][2]string{
		"https://app.example.com":       {"app.example.com", "example.com"},
		"https://example.com":           {"example.com", "example.com"},
		"https://shop.example.org":      {"shop.example.org", "example.com"},
		"https://shop.example.org:8443": {"shop.example.org", "shop.example.org"},
		"https://x.shop.example.org":    {"x.shop.example.org", "x.shop.example.org"},
		"https://notexample.com":        {"notexample.com", "notexample.com"},
		"https://example.com.evil.test": {"example.com.evil.test", "example.com.evil.test"},
		"http://localhost:8080":         {"localhost", "localhost"},
		"https://192.0.2.1":             {"", ""},
		"https://[2001:db8::1]:8443":    {"", ""},
		"":                              {"", ""},
	} {
		for i, options := range []Options{alone, o} {
			h.rebuild(options, webauthn.Options{})
			v := guest("browser")
			v.Origin = origin
			raw, err := h.StartAuthentication(t.Context(), v, "", nil)
			switch {
			case origin == "":
				refused(t, err, ErrNoOrigin)
				continue
			case want[i] == "":
				refused(t, err, ErrKeyHost)
				continue
			}
			ok(t, err)
			var got struct{ RPID string }
			ok(t, json.Unmarshal(raw, &got))
			if got.RPID != want[i] {
				t.Errorf("%q: %q, expected %q", origin, got.RPID, want[i])
			}
		}
	}
}
