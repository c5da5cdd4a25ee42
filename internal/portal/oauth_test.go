package portal_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/oauth"
	"github.com/stepgate/stepgate/factors/oauth/oidctest"
	"github.com/stepgate/stepgate/internal/flow"
)

var kinds = []string{oauth.OIDC, oauth.Google, oauth.Microsoft, oauth.Apple, oauth.GitHub}

// idp is an identity provider that a site knows by a name.
type idp struct {
	*oidctest.Provider
	s      *site
	config oauth.Config
	// ahead is how far its clock is ahead of the site's.
	ahead time.Duration
}

func (s *site) idp(kind, name string) *idp {
	s.t.Helper()
	p := &idp{s: s, config: oauth.Config{Name: name, Type: kind, ClientID: "client", ClientSecret: "secret"}}
	o := oidctest.Options{Type: kind, Algorithm: jose.ES256, Now: func() time.Time { return s.clock.Now().Add(p.ahead) }}
	if kind == oauth.Apple {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(s.t, err)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		must(s.t, err)
		p.config.Key, err = oauth.NewAppleKey("TEAM", "KEY", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
		must(s.t, err)
		p.config.ClientSecret, o.AppleTeamID, o.AppleKey = "", "TEAM", &key.PublicKey
	}
	var err error
	p.Provider, err = oidctest.New(o)
	must(s.t, err)
	s.t.Cleanup(p.Close)
	p.config.Issuer = p.Issuer()
	return p
}

// offer makes the site offer exactly these providers, of which it knows nothing yet.
func (s *site) offer(timeout time.Duration, list ...*idp) {
	s.t.Helper()
	s.configure(s.providers(timeout, list...))
}

// providers offers these providers in a configuration, each of which is asked for so long.
func (s *site) providers(timeout time.Duration, list ...*idp) func(*flow.Config) {
	return func(c *flow.Config) {
		c.Options.Offered = append(slices.Clone(c.Options.Offered), factors.OAuth)
		c.Options.Primary = append(slices.Clone(c.Options.Primary), factors.OAuth)
		for _, one := range list {
			one.config.Client = &http.Client{Timeout: timeout}
			p, err := oauth.New(one.config)
			must(s.t, err)
			c.Providers = append(c.Providers, p)
		}
	}
}

var leaving = regexp.MustCompile(`<a class="button primary" href="([^"]+)" data-leave>`)

// leave goes to a page of the application without a session and chooses a provider. It returns
// the address at the provider, or the page that came instead.
func (b *browser) leave(path, provider string) (to string, p page) {
	b.s.t.Helper()
	p = b.follow(b.get(path))
	p = b.post(p, "/.stepgate/sign-in", url.Values{"action": {"oauth:" + provider}})
	return p.leads(), p
}

// leads is the address to which a page leads on; empty when it leads nowhere.
func (p page) leads() string {
	if m := leaving.FindStringSubmatch(p.body); p.status == http.StatusOK && m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// back brings what the provider answers to the callback, in the way that the provider takes.
func (b *browser) back(at *idp, to string) page {
	b.s.t.Helper()
	callback, mode, answer, err := at.SignIn(to)
	must(b.s.t, err)
	if mode == "query" {
		return b.get(callback+"?"+answer.Encode(), "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate")
	}
	p := b.do(http.MethodPost, callback, "application/x-www-form-urlencoded", answer.Encode(), "Origin", at.URL(), "Sec-Fetch-Site", "cross-site")
	if p.status != http.StatusSeeOther {
		return p
	}
	return b.get(p.header.Get("Location"), "Sec-Fetch-Site", "cross-site")
}

// through signs in at a provider on the way to a page.
func (b *browser) through(at *idp, path string) page {
	b.s.t.Helper()
	to, p := b.leave(path, at.config.Name)
	if to == "" {
		b.s.t.Fatalf("not sent to the provider: %d %s", p.status, p.body)
	}
	return b.follow(b.back(at, to))
}

// connect adds the identity that the provider signs in to who is signed in.
func (b *browser) connect(at *idp) page {
	b.s.t.Helper()
	return b.back(at, b.start(at))
}

// start begins at a provider by the address for programs.
func (b *browser) start(at *idp) (to string) {
	b.s.t.Helper()
	p := b.get("/.stepgate/api/v1/oauth/" + at.config.Name + "/start")
	if p.status != http.StatusSeeOther {
		b.s.t.Fatalf("start: %d %s", p.status, p.body)
	}
	return p.header.Get("Location")
}

// refuses demands a page with what went wrong, from which the visitor can go on.
func refuses(t *testing.T, p page, want ...*flow.Error) {
	t.Helper()
	for _, e := range want {
		if p.status == e.Status && p.says(e.Detail) && p.header.Get("Stepgate-Response") != "" {
			return
		}
	}
	t.Errorf("want %v, got %d %s", want[0].Type, p.status, p.body)
}

// Whatever a provider does wrong, a page says so, nobody is signed in, the application sees
// nothing, and no identity is linked.
func TestEveryFaultOfAProviderEndsOnAPage(t *testing.T) {
	want := map[oidctest.Outcome][]*flow.Error{
		oidctest.Refused: {flow.ErrOAuthRefused}, oidctest.Unavailable: {flow.ErrOAuthUnavailable},
		oidctest.Denied: {flow.ErrOAuthDenied}, oidctest.Unverified: {flow.ErrIdentityUnknown},
	}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t, nil)
			u := s.user(alice, true)
			corp := s.idp(kind, "corp")
			for _, f := range oidctest.Faults {
				if !slices.Contains(f.Types, kind) {
					continue
				}
				timeout := 10 * time.Second
				if strings.HasSuffix(f.Name, ": slow") {
					timeout = 100 * time.Millisecond
				}
				must(t, corp.SetFault(f.Name))
				s.offer(timeout, corp)
				t.Run(f.Name, func(t *testing.T) {
					b := s.browser()
					to, p := b.leave("/corp/report", "corp")
					if early := strings.HasPrefix(f.Name, "discovery: "); early != (to == "") {
						t.Fatalf("sent to %q: %s", to, p.body)
					}
					if to != "" {
						p = b.back(corp, to)
					}
					allowed := want[f.Want]
					if strings.HasPrefix(f.Name, "answer: state ") {
						allowed = []*flow.Error{flow.ErrOAuthState, flow.ErrOAuthRefused}
					}
					refuses(t, p, allowed...)
					if p.field("csrf") == "" && p.header.Get("Stepgate-Response") != "error" {
						t.Error("the page offers no other way")
					}
					if f.Want == oidctest.Unavailable && p.header.Get("Retry-After") == "" {
						t.Error("the page does not say when to try again")
					}
					if strings.Contains(p.body, "faked log line") || strings.Contains(p.body, "<script>") {
						t.Error("the page repeats what the provider said")
					}
					b.nobody(t)
					if got := s.reread(u).Identities; got != nil {
						t.Errorf("linked: %+v", got)
					}
					if got := corp.Fetched(); got != nil {
						t.Errorf("fetched %q", got)
					}
				})
			}
			must(t, corp.SetFault(""))
			s.offer(10*time.Second, corp)
			b := s.browser()
			b.signIn(alice)
			b.connect(corp)
			if p := s.browser().through(corp, "/corp/report"); p.body != "application: /corp/report" {
				t.Errorf("without a fault: %d %s", p.status, p.body)
			}
		})
	}
}
