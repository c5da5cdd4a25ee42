package portal_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	cdp "github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/oauth"
	"github.com/stepgate/stepgate/factors/wallet"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/browsertest"
	"github.com/stepgate/stepgate/internal/flow"
)

// venue is where a real browser meets sites: it reaches every host by TLS, at the usual port.
type venue struct {
	*browsertest.Tab
	mu    sync.Mutex
	hosts map[string]http.Handler
}

// openVenue starts a browser; ok is false where there is none.
func openVenue(t *testing.T) (v *venue, ok bool) {
	t.Helper()
	v = &venue{hosts: make(map[string]http.Handler)}
	server := httptest.NewTLSServer(v)
	t.Cleanup(server.Close)
	key := sha256.Sum256(server.Certificate().RawSubjectPublicKeyInfo)
	v.Tab, ok = browsertest.Start(t,
		chromedp.Flag("host-resolver-rules", "MAP *:443 "+server.Listener.Addr().String()),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(key[:])))
	return v, ok
}

// ServeHTTP implements http.Handler.
func (v *venue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	h := v.hosts[r.Host]
	v.mu.Unlock()
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h.ServeHTTP(w, r)
}

// at puts a handler at hosts, in the place of what was there.
func (v *venue) at(h http.Handler, hosts ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, host := range hosts {
		v.hosts[host] = h
	}
}

// door is a site as a server shows it to one client.
type door struct {
	s  *site
	ip netip.Addr
}

// ServeHTTP implements http.Handler.
func (d door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := d.s.serve(w, r, d.ip); err != nil {
		d.s.t.Error(err)
	}
}

// visit opens a fresh tab in which a site is reached.
func (v *venue) visit(t *testing.T, s *site) *person {
	t.Helper()
	v.at(door{s, s.address()}, s.gate.Known...)
	return &person{Tab: v.Fresh(t), s: s}
}

// person is somebody with a real browser.
type person struct {
	*browsertest.Tab
	s *site
	// key is the device in which the person keeps passkeys.
	key cdp.AuthenticatorID
	// code is what their authenticator app shows now, recovery what they have put away.
	code     func() string
	recovery []string
}

// newEverything is a site that offers every product, and as a first factor each that may be one.
func newEverything(t *testing.T) (s *site, corp *idp) {
	t.Helper()
	s = newSite(t, nil)
	corp = s.idp(oauth.OIDC, "corp")
	s.configure(func(c *flow.Config) {
		c.Keys = webauthn.New(webauthn.Options{})
		s.providers(patient, corp)(c)
		c.Options.Offered, c.Options.Primary = factors.Products(), slices.DeleteFunc(factors.Products(), func(p factors.Product) bool { return !p.MayStart() })
		c.Options.Chains = []wallet.Chain{"ethereum", "solana"}
	})
	s.gate.Policy = everyFactor(t)
	return s, corp
}

// signInByPassword signs in on the page that is shown.
func (p *person) signInByPassword() {
	p.T.Helper()
	p.Sees("Sign in")
	p.Fill("email", alice)
	p.Fill("password", goodPassword)
	p.Click(`button[value="password"]`)
}

// signOut ends the session and leaves the browser as it is otherwise.
func (p *person) signOut() {
	p.T.Helper()
	p.Open(origin + "/.stepgate/sign-out")
	p.Press("Sign out")
	p.Sees("You are signed out")
}

// goes opens a page of the application and demands to be asked for something first.
func (p *person) goes(path, meets string) {
	p.T.Helper()
	p.Open(origin + path)
	p.Sees(meets)
}

// arrives demands that the application shows a page.
func (p *person) arrives(path string) {
	p.T.Helper()
	p.Sees("application: " + path)
	if at := p.Location(); at != origin+path {
		p.T.Errorf("arrived at %s", strings.TrimPrefix(at, origin))
	}
}

// proof is an entry of authentication_factors.
type proof struct {
	Type, Method, Order    string
	Discoverable, Verified bool
}

// proofs are what the session of the browser has proven, in order.
func (p *person) proofs() []proof {
	p.T.Helper()
	return browsertest.Eval[[]proof](p.Tab, `fetch('/.stepgate/api/v1/session').then(r => r.json()).then(a => a.session.authentication_factors.map(f => ({
		Type: f.type, Method: f.delivery_method, Order: f.sequence_order,
		Discoverable: !!f.webauthn_factor?.discoverable, Verified: !!f.webauthn_factor?.user_verified})))`)
}
