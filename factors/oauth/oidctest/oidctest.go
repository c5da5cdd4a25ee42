// Package oidctest is an identity provider for tests. It signs people in at once, checks what a
// client sends, and can be told to do one thing wrong: see Faults. It serves loopback only.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Tenant is the tenant of people at a provider shaped like Microsoft.
const Tenant = "5d3f0f4e-51f1-4a3c-9f06-0a8c6e2b7a11"

// Options say what a provider is like. All but Now have defaults.
type Options struct {
	// Type is the shape: google, microsoft, apple, github or oidc. Default: oidc.
	Type string
	// ClientID and ClientSecret are of the only client. Default: "client" and "secret".
	ClientID, ClientSecret string
	// AppleTeamID and AppleKey check the client secrets that take the place of ClientSecret
	// in the shape of Apple.
	AppleTeamID string
	AppleKey    *ecdsa.PublicKey
	// Algorithm signs tokens. Default: RS256.
	Algorithm jose.SignatureAlgorithm
	// Now is the clock.
	Now func() time.Time
}

// Provider is an identity provider that runs. It is safe for parallel use.
type Provider struct {
	opts    Options
	server  *httptest.Server
	closing chan struct{}

	mu      sync.Mutex
	fault   string
	keys    []jose.JSONWebKey // the last one signs
	users   map[string]map[string]any
	user    string
	grants  map[string]grant
	fetched []string
	asked   int

	withheld []string
	signs    bool
	informed int
}

// grant is what a code or an access token stands for.
type grant struct {
	user, redirectURI, challenge, nonce string
	maxAge                              bool
}

// New starts a provider. It knows alice, and signs her in until As says otherwise.
func New(o Options) (*Provider, error) {
	for _, d := range []struct {
		into  *string
		value string
	}{{&o.Type, "oidc"}, {&o.ClientID, "client"}, {&o.ClientSecret, "secret"}, {(*string)(&o.Algorithm), "RS256"}} {
		if *d.into == "" {
			*d.into = d.value
		}
	}
	if o.Now == nil {
		return nil, errors.New("oidctest: there is no clock")
	}
	p := &Provider{opts: o, closing: make(chan struct{}), users: make(map[string]map[string]any), grants: make(map[string]grant)}
	if err := p.Rotate(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", p.jwks)
	mux.HandleFunc("/userinfo", p.userInfo)
	mux.HandleFunc("/canary", p.canary)
	for _, prefix := range []string{"", "/login/oauth"} { // the latter are those of GitHub
		mux.HandleFunc("GET "+prefix+"/authorize", p.authorize)
	}
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("POST /login/oauth/access_token", p.token)
	mux.HandleFunc("/api/v3/", p.github)
	mux.HandleFunc("/", p.discovery)
	p.server = httptest.NewServer(mux)
	p.Put("alice", nil)
	p.As("alice")
	return p, nil
}

// Close stops the provider. It is called once.
func (p *Provider) Close() {
	close(p.closing) // a fault may hold requests
	p.server.CloseClientConnections()
	p.server.Close()
}

// Issuer is what a client is to be configured with.
func (p *Provider) Issuer() string {
	if p.opts.Type == "microsoft" {
		return p.server.URL + "/common/v2.0"
	}
	return p.server.URL
}

// URL is the address of the server, under which are /authorize, /token, /jwks and
// /userinfo.
func (p *Provider) URL() string { return p.server.URL }

// Put adds a user or replaces one. The claims are added to those that tokens of the type have;
// nil as a value takes one out.
func (p *Provider) Put(name string, claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	base := map[string]any{
		"sub": name, "email": name + "@example.org", "email_verified": true, "name": strings.ToUpper(name[:1]) + name[1:],
		"picture": p.canaryURL("picture"), "profile": p.canaryURL("profile"), "website": p.canaryURL("website"),
	}
	switch p.opts.Type {
	case "microsoft":
		base["tid"], base["oid"] = Tenant, "oid-"+name
	case "apple":
		base["email_verified"] = "true"
	case "google":
		base["hd"] = "example.org"
	case "github":
		base["sub"] = 1000 + len(p.users)
	}
	p.users[name] = override(base, claims)
}

// As chooses who signs in next, unless login_hint names another user.
func (p *Provider) As(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.user = name
}

// Rotate makes the provider sign with a new key and forget those before.
func (p *Provider) Rotate() error {
	key, err := newKey(p.opts.Algorithm)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = []jose.JSONWebKey{key}
	return nil
}

// SetFault makes the provider do one thing wrong, by the name of one of Faults; empty makes it
// right again.
func (p *Provider) SetFault(name string) error {
	if name != "" && !slices.ContainsFunc(Faults, func(f Fault) bool { return f.Name == name }) {
		return fmt.Errorf("oidctest: there is no fault %q", name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = name
	return nil
}

// Fetched lists the addresses that only a claim, a header or a redirect named and that somebody
// fetched all the same.
func (p *Provider) Fetched() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.fetched)
}

// Exchanges is how often somebody came to the token endpoint.
func (p *Provider) Exchanges() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

func (p *Provider) is(fault string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault == fault
}

// SignIn does what a browser does with an address that a client sends it to: it returns what is
// to be given to the redirect address, and in which way: "query" or "form_post".
func (p *Provider) SignIn(address string) (redirectURI, mode string, answer url.Values, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", nil, fmt.Errorf("oidctest: %w", err)
	}
	return p.signIn(u.Query())
}

func (p *Provider) signIn(q url.Values) (redirectURI, mode string, answer url.Values, err error) {
	scopes := strings.Fields(q.Get("scope"))
	for _, d := range []struct {
		ok   bool
		what string
	}{
		{q.Get("response_type") == "code", "response_type"},
		{q.Get("client_id") == p.opts.ClientID, "client_id"},
		{q.Get("redirect_uri") != "", "redirect_uri"},
		{len(q.Get("state")) >= 22, "state"},
		{q.Get("code_challenge_method") == "S256" && len(q.Get("code_challenge")) == 43, "code_challenge"},
		{p.opts.Type == "github" || len(q.Get("nonce")) >= 22, "nonce"},
		{p.opts.Type == "github" || slices.Contains(scopes, "openid"), "scope"},
		{p.opts.Type != "apple" || q.Get("response_mode") == "form_post", "response_mode"},
	} {
		if !d.ok {
			return "", "", nil, fmt.Errorf("oidctest: the request has no good %s", d.what)
		}
	}
	p.mu.Lock()
	user, fault := p.user, p.fault
	if hint := q.Get("login_hint"); hint != "" {
		user = hint
	}
	if p.users[user] == nil {
		p.mu.Unlock()
		return "", "", nil, fmt.Errorf("oidctest: there is no user %q", user)
	}
	code := rand.Text()
	p.grants[code] = grant{user, q.Get("redirect_uri"), q.Get("code_challenge"), q.Get("nonce"), q.Has("max_age")}
	p.mu.Unlock()
	answer = url.Values{"code": {code}, "state": {q.Get("state")}}
	switch p.opts.Type {
	case "oidc", "google":
		answer.Set("iss", p.server.URL)
	case "github":
		answer.Set("iss", p.server.URL+"/login/oauth")
	}
	if f := answerFaults[fault]; f != nil {
		f(p, answer)
	}
	mode = "query"
	if q.Get("response_mode") == "form_post" {
		mode = "form_post"
	}
	return q.Get("redirect_uri"), mode, answer, nil
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	to, mode, answer, err := p.signIn(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if mode == "query" {
		http.Redirect(w, r, to+"?"+answer.Encode(), http.StatusFound) //nolint:gosec // a test provider sends people wherever the test says
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><title>Apple</title><body onload="document.forms[0].submit()"><form method="post" action="%s">`, html.EscapeString(to))
	for _, name := range slices.Sorted(maps.Keys(answer)) {
		for _, value := range answer[name] {
			fmt.Fprintf(w, `<input type="hidden" name="%s" value="%s">`, html.EscapeString(name), html.EscapeString(value))
		}
	}
	fmt.Fprintf(w, `<button>Continue</button></form>`)
}

func (p *Provider) discovery(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		http.NotFound(w, r)
		return
	}
	if p.breaks(w, r, "discovery") {
		return
	}
	document := map[string]any{
		"issuer": p.server.URL, "authorization_endpoint": p.server.URL + "/authorize", "token_endpoint": p.server.URL + "/token",
		"jwks_uri": p.server.URL + "/jwks", "userinfo_endpoint": p.server.URL + "/userinfo", "id_token_signing_alg_values_supported": []any{p.opts.Algorithm, "HS256", "none"},
		"code_challenge_methods_supported": []string{"plain", "S256"},
	}
	switch p.opts.Type {
	case "oidc", "google":
		document["authorization_response_iss_parameter_supported"] = true
	case "microsoft":
		document["issuer"] = p.server.URL + "/{tenantid}/v2.0"
		document["claims_supported"] = []string{"sub", "auth_time", "tid"}
		delete(document, "code_challenge_methods_supported")
	case "apple":
		document["token_endpoint_auth_methods_supported"] = []string{"client_secret_post"}
	}
	p.mu.Lock()
	f := discoveryFaults[p.fault]
	p.mu.Unlock()
	if f != nil {
		f(document)
	}
	answer(w, http.StatusOK, document)
}

func (p *Provider) jwks(w http.ResponseWriter, r *http.Request) {
	if p.breaks(w, r, "jwks") {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	if p.fault != "jwks: empty" {
		for _, key := range p.keys {
			set.Keys = append(set.Keys, key.Public())
		}
	}
	answer(w, http.StatusOK, set)
}

func (p *Provider) canaryURL(what string) string { return p.server.URL + "/canary?" + what }

func (p *Provider) canary(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fetched = append(p.fetched, r.URL.String())
	w.WriteHeader(http.StatusOK)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that left early is what some tests are about
}

func override(base, with map[string]any) map[string]any {
	out := maps.Clone(base)
	for name, value := range with {
		if value == nil {
			delete(out, name)
			continue
		}
		out[name] = value
	}
	return out
}
