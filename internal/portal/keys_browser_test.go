package portal_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	cdp "github.com/chromedp/cdproto/webauthn"

	"github.com/stepgate/stepgate/internal/browsertest"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/policy"
)

// phoneWithPasskeys keeps accounts and verifies its user.
var phoneWithPasskeys = cdp.VirtualAuthenticatorOptions{Transport: "internal", HasResidentKey: true, HasUserVerification: true, IsUserVerified: true}

// Keys that keep accounts or do not, and that verify their user or do not: only one that does both
// becomes a passkey or signs in alone, and each opens what it should and nothing else.
func TestKindsOfKeysInABrowser(t *testing.T) {
	v, ok := openVenue(t)
	if !ok {
		return
	}
	rules, err := policy.Load("p", []byte(`
version: 1
rules:
  - {name: key, match: {path: /key}, require: webauthn}
  - {name: passkey, match: {path: /passkey}, require: passkey}
  - {name: verified, match: {path: /verified}, require: {factor: webauthn, user_verification: required}}
default: {require: signed_in}
`))
	must(t, err)
	for _, keeps := range []bool{false, true} {
		for _, verifies := range []bool{false, true} {
			t.Run(fmt.Sprintf("keeps accounts %v, verifies %v", keeps, verifies), func(t *testing.T) {
				s, _ := newEverything(t)
				s.gate.Policy = func() *policy.Policy { return rules }
				u := s.user(alice, true)
				p := v.visit(t, s)
				key := func(verifies bool) cdp.VirtualAuthenticatorOptions {
					return cdp.VirtualAuthenticatorOptions{Transport: "usb", HasResidentKey: keeps, HasUserVerification: verifies, IsUserVerified: verifies}
				}
				// No key of Chromium's makes a passkey without verifying: it forgets how to afterwards.
				p.key = p.Authenticator(key(keeps || verifies))
				p.goes("/.stepgate/account/passkeys/new?type=platform", "Sign in")
				p.signInByPassword()
				p.Press("Create the passkey")
				if !keeps {
					p.Sees("or this device or key cannot do what is needed here") // the browser itself refuses
					if n := len(s.reread(u).Keys) + len(p.Credentials(p.key)); n != 0 {
						t.Fatalf("a passkey was made: %d", n)
					}
					p.Open(origin + "/.stepgate/account/passkeys/new?type=cross-platform")
					p.Press("Add the security key")
				}
				p.Sees("Where you are signed in")
				p.signOut()
				if held := p.Credentials(p.key)[0]; keeps && !verifies {
					p = v.visit(t, s)
					p.Hand(p.Authenticator(key(false)), browsertest.KeyOf(held, held.RpID))
				}

				p.Open(origin + "/key")
				p.Press("Use a passkey")
				whole := keeps && verifies
				if !whole {
					p.Sees("That did not work") // nothing says whose key it would be, or that it is they
					p.Fill("email", alice)
					p.Press("Use a passkey")
				}
				p.arrives("/key")
				want := []proof{{"webauthn", "webauthn_registration", primary, keeps, verifies}}
				if got := p.proofs(); !slices.Equal(got, want) {
					t.Errorf("proven %+v, want %+v", got, want)
				}
				lacks := "One more step for the first time"
				if keeps {
					lacks = "Confirm it’s you" // in another way than this key can
				}
				for path, opens := range map[string]bool{"/passkey": whole, "/verified": verifies} {
					p.Open(origin + path)
					if opens {
						p.arrives(path)
					} else {
						p.Sees(lacks)
					}
				}
			})
		}
	}
}

// signing is what a page runs that has a browser sign a challenge, for the relying party ID.
const signing = `(async () => {
	const options = PublicKeyCredential.parseRequestOptionsFromJSON({challenge: 'CHALLENGE', rpId: 'ID', userVerification: 'required'});
	try {
		return JSON.stringify((await navigator.credentials.get({publicKey: options, signal: AbortSignal.timeout(10000)})).toJSON());
	} catch (error) {
		return error.name;
	}
})()`

// sign has the page of a tab ask for a signature. It returns the credential as JSON, or the name
// of the error by which the browser refuses.
func sign(b *browsertest.Tab, challenge, id string) string {
	return browsertest.Eval[string](b, strings.NewReplacer("CHALLENGE", challenge, "ID", id).Replace(signing))
}

// relay makes the keys of a page sign somewhere else.
const relay = `navigator.credentials.get = async ({publicKey, mediation}) => {
	if (mediation === 'conditional') return new Promise(() => {});
	const challenge = btoa(String.fromCharCode(...new Uint8Array(publicKey.challenge))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
	const answer = await signElsewhere(challenge);
	return {toJSON: () => JSON.parse(answer)};
};`

// A page on a host that is not the site gets nothing from the browser that would do here: the
// browser refuses to sign for another site, and what it signs for a host below the site, or for
// another site by its own name, is refused here, on a page that says what to do.
func TestWrongOriginInABrowser(t *testing.T) {
	v, ok := openVenue(t)
	if !ok {
		return
	}
	blank := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>Fake</title>Fake"))
	})
	v.at(blank, "fake.test", "fake.app.test", "true.app.test")
	for name, c := range map[string]struct {
		host, id string
		refused  string
		opens    bool
	}{
		"the site itself":                  {"app.test", "app.test", "", true}, // that the relay as such works
		"another site for the site":        {"fake.test", "app.test", "SecurityError", false},
		"a host below for the site":        {"fake.app.test", "app.test", "", false},
		"another site by its own name":     {"fake.test", "fake.test", "", false},
		"the site for a host below itself": {"app.test", "true.app.test", "SecurityError", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newEverything(t)
			u := s.user(alice, true)
			p := v.visit(t, s)
			passkey(p, nil)
			held := p.Credentials(p.key)
			if len(held) != 1 {
				t.Fatalf("%d passkeys", len(held))
			}
			fake := p.Another("fake")
			key := fake.Authenticator(phoneWithPasskeys)
			fake.Hand(key, browsertest.KeyOf(held[0], c.id)) // which may be a passkey that the person has there
			if c.host == "app.test" {
				fake.Open(origin + "/.stepgate/sign-out") // no page that asks by itself
			} else {
				fake.Open("https://" + c.host + "/")
			}
			if c.refused != "" {
				if got := sign(fake, "AAAA", c.id); got != c.refused {
					t.Errorf("the browser answers %s", got)
				}
				return
			}
			signed := make(chan string, 1)
			p.Answer("signElsewhere", func(challenge string) string {
				answer := sign(fake, challenge, c.id)
				signed <- answer
				return answer
			})
			p.Script(relay)
			p.goes("/passkey", "Sign in")
			p.Press("Use a passkey")
			if answer := <-signed; !strings.HasPrefix(answer, "{") {
				t.Fatalf("the browser answers %s", answer)
			}
			if c.opens {
				p.arrives("/passkey")
				return
			}
			p.Sees(flow.ErrKeyIncorrect.Detail)
			p.Shot("refused")
			p.goes("/passkey", "Sign in") // nobody is signed in, and the other ways are there
			p.signInByPassword()
			p.Sees("Confirm it’s you")
			if k := s.reread(u).Keys[0]; !k.LastUsedAt.Equal(k.CreatedAt) {
				t.Error("the passkey counts as used")
			}
		})
	}
}

// A passkey of one site opens the sites that it names as related, and no other: Chromium asks the
// site itself which they are.
func TestRelatedOriginsInABrowser(t *testing.T) {
	v, ok := openVenue(t)
	if !ok {
		return
	}
	s := newSite(t, nil)
	s.configure(func(c *flow.Config) {
		keys(c)
		c.Options.RPID, c.Options.RelatedOrigins = "example.com", []string{"https://shop.example.org"}
	})
	s.gate.Known = []string{"example.com", "shop.example.org", "stranger.example.net"}
	s.user(alice, true)
	p := v.visit(t, s)
	var asked atomic.Int32
	known := door{s, s.address()}
	v.at(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/.well-known/webauthn" {
			asked.Add(1)
		}
		known.ServeHTTP(w, r)
	}), "example.com")

	p.key = p.Authenticator(phoneWithPasskeys)
	p.Open("https://example.com/.stepgate/account/passkeys/new?type=platform")
	p.signInByPassword()
	p.Press("Create the passkey")
	p.Sees("Where you are signed in")
	if held := p.Credentials(p.key); len(held) != 1 || held[0].RpID != "example.com" || asked.Load() != 0 {
		t.Fatalf("%d passkeys, asked %d times", len(held), asked.Load())
	}

	p.Open("https://shop.example.org/report") // there is no session here, and the passkey signs in by itself
	p.Sees("application: /report")
	if asked.Load() == 0 {
		t.Error("the browser did not ask which sites are related")
	}
	if at := p.Location(); at != "https://shop.example.org/report" {
		t.Errorf("at %s", at)
	}

	p.Open("https://stranger.example.net/report")
	p.Sees("Sign in")
	p.Press("Use a passkey") // of this site, of which there is none
	p.Sees("That did not work")
	before := asked.Load()
	if got := sign(p.Tab, "AAAA", "example.com"); got != "SecurityError" {
		t.Errorf("a site that is not named: the browser answers %s", got)
	}
	if asked.Load() == before {
		t.Error("the browser did not ask about it")
	}
}
