// Package oauth signs people in at identity providers: Google, Microsoft, Apple, GitHub, and
// any issuer of OpenID Connect.
//
// It is the client of the authorization code flow with PKCE, state and nonce. An identity is
// the pair of issuer and subject; an e-mail address identifies nobody. Nothing that a token
// names is ever fetched.
package oauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// The types of providers.
const (
	Google    = "google"
	Microsoft = "microsoft"
	Apple     = "apple"
	GitHub    = "github"
	OIDC      = "oidc"
)

var (
	// ErrUnavailable means that the provider cannot be reached or does not work.
	ErrUnavailable = errors.New("the identity provider cannot be reached")
	// ErrRefused means that what the provider or the browser said is not acceptable.
	ErrRefused = errors.New("the identity provider's answer is refused")
)

// ProviderError is what a provider answers instead of a code (RFC 6749, section 4.1.2.1).
type ProviderError struct {
	// Code is one of the error codes of the specification, or "other".
	Code string
	// Description is what the provider added, for logs: up to 200 printable ASCII characters,
	// without those that RFC 6749 forbids. Anybody can write it; it is no part of Error.
	Description string
}

// Error implements error.
func (e *ProviderError) Error() string { return "the identity provider answered " + e.Code }

// DefaultLeeway is how far a provider's clock may be off when nothing is configured.
const DefaultLeeway = time.Minute

// Config is one provider as the operator describes it.
type Config struct {
	// Name tells providers apart in policies, addresses and configuration.
	Name string
	// Type is google, microsoft, apple, github or oidc.
	Type string
	// Label is what people call it; empty is the name of the company, or Name.
	Label        string
	ClientID     string
	ClientSecret string
	// Issuer is the issuer of an oidc provider. Google and Apple have theirs. For Microsoft it
	// chooses the tenant, for GitHub the server.
	Issuer string
	// AuthURL, TokenURL and JWKSURL stand in for discovery, all three together.
	AuthURL, TokenURL, JWKSURL string
	// UserInfoURL goes with them; empty asks nothing beside the ID token.
	UserInfoURL string
	// Scopes are asked for beside openid, email and profile.
	Scopes []string
	// GroupsClaim names the claim whose texts become groups; empty maps none.
	GroupsClaim string
	// Claims names further claims that are taken over.
	Claims []string
	// Domains are the only ones from which people may come: Google's hosted domain (the claim
	// hd), else that of a verified e-mail address. Empty is all. Microsoft verifies no address:
	// see Tenants.
	Domains []string
	// Tenants are the only tenants of Microsoft from which people may come; empty is all that
	// Issuer lets in.
	Tenants []string
	// ACRValues are asked for, and one of them must be in the token; empty asks for none.
	ACRValues []string
	// Key signs the client secret of Apple; nil for other types.
	Key *AppleKey
	// Leeway is how far the provider's clock may be off; 0 is DefaultLeeway.
	Leeway time.Duration
	// Client makes the requests; nil is one with the transport of net/http. Either way a
	// request takes up to 10 seconds unless Client has a timeout, an answer has up to 1 MB, and
	// no redirect to another host is followed.
	Client *http.Client
}

var providerName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// Provider is one identity provider. It is safe for parallel use.
type Provider struct {
	config Config
	client *http.Client

	githubAPI string

	asking   singleflight.Group
	mu       sync.Mutex
	found    *endpoints
	failed   error
	failedAt time.Time
}

// endpoints is what is known of a provider.
type endpoints struct {
	oauth2.Endpoint
	// issuer is the issuer of tokens; with {tenantid} where each tenant has its own.
	issuer string
	// answerIssuer is what the provider calls itself in its answers (RFC 9207).
	answerIssuer string
	keys         oidc.KeySet
	// userInfoURL tells more of a person; empty for none. Only an oidc provider has one: the
	// others tell in the ID token all that they tell.
	userInfoURL string
	// answersIssuer is set when the provider names itself in every answer.
	answersIssuer bool
	// tellsAuthTime is set when the provider has to tell auth_time to whoever sends max_age:
	// OpenID Connect Core 1.0, section 2. Of the others, those count that say they can.
	tellsAuthTime bool
}

// New returns a provider. It makes no request: what has to be discovered is discovered when
// somebody first signs in.
func New(c Config) (*Provider, error) {
	if !providerName.MatchString(c.Name) {
		return nil, fmt.Errorf("%q is no name of a provider; use lower-case letters, digits, “-” and “_”", c.Name)
	}
	if c.ClientID == "" {
		return nil, errors.New("client_id is missing")
	}
	defaults := map[string]struct{ label, issuer string }{
		Google: {"Google", "https://accounts.google.com"}, Microsoft: {"Microsoft", "https://login.microsoftonline.com/common/v2.0"},
		Apple: {"Apple", "https://appleid.apple.com"}, GitHub: {"GitHub", "https://github.com"}, OIDC: {c.Name, ""},
	}
	d, ok := defaults[c.Type]
	if !ok {
		return nil, fmt.Errorf("unknown type %q; expected google, microsoft, apple, github or oidc", c.Type)
	}
	if c.Label == "" {
		c.Label = d.label
	}
	if c.Issuer == "" {
		c.Issuer = d.issuer
	}
	if c.Leeway == 0 {
		c.Leeway = DefaultLeeway
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	domains := make([]string, len(c.Domains))
	for i, one := range c.Domains {
		domains[i] = strings.ToLower(one)
	}
	c.Domains = domains
	p := &Provider{config: c, client: newClient(c.Client), githubAPI: "https://api.github.com"}
	if c.Type == GitHub && c.Issuer != d.issuer {
		p.githubAPI = c.Issuer + "/api/v3" // GitHub Enterprise Server
	}
	return p, nil
}

func (c *Config) check() error {
	manual := 0
	for _, one := range []string{c.AuthURL, c.TokenURL, c.JWKSURL} {
		if one != "" {
			manual++
		}
	}
	switch {
	case manual != 0 && (manual != 3 || c.Type != OIDC):
		return errors.New("auth_url, token_url and jwks_url are given together, for an oidc provider")
	case c.UserInfoURL != "" && manual == 0:
		return errors.New("userinfo_url goes with auth_url, token_url and jwks_url")
	case c.Type == Apple && (c.Key == nil || c.ClientSecret != ""):
		return errors.New("apple takes team_id, key_id and key instead of client_secret")
	case c.Type != Apple && c.Key != nil:
		return errors.New("team_id, key_id and key belong to apple")
	case c.Type != Apple && c.Type != OIDC && c.ClientSecret == "":
		return errors.New("client_secret is missing")
	case len(c.Tenants) > 0 && c.Type != Microsoft:
		return errors.New("tenants belong to microsoft")
	case len(c.Domains) > 0 && c.Type == Microsoft:
		return errors.New("domains are nothing for microsoft, which verifies no address; use tenants")
	case len(c.ACRValues) > 0 && c.Type == GitHub:
		return errors.New("github tells no acr")
	case c.Leeway < 0 || c.Leeway > 10*time.Minute:
		return errors.New("leeway is 0 to 10m")
	}
	if c.Issuer == "" {
		return errors.New("issuer is missing")
	}
	for _, one := range []string{c.Issuer, c.AuthURL, c.TokenURL, c.JWKSURL, c.UserInfoURL} {
		if err := checkURL(one); one != "" && err != nil {
			return err
		}
	}
	return nil
}

// checkURL demands TLS, but on loopback, where tests run.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is no address", text)
	}
	loopback := u.Hostname() == "localhost"
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		loopback = ip.IsLoopback()
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return fmt.Errorf("%q must begin with https://", text)
	}
	return nil
}

// Name is the name of the provider in the configuration.
func (p *Provider) Name() string { return p.config.Name }

// Label is what people call the provider.
func (p *Provider) Label() string { return p.config.Label }

// Type is google, microsoft, apple, github or oidc.
func (p *Provider) Type() string { return p.config.Type }

// PostsAnswer tells whether the provider sends its answer by POST (OAuth 2.0 Form Post Response
// Mode), as Apple demands for the e-mail address.
func (p *Provider) PostsAnswer() bool { return p.config.Type == Apple }

// refused says which check failed, for logs.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, printable(fmt.Sprintf(format, args...)))
}

// unavailable says what does not work, for logs.
func unavailable(what string, err error) error {
	return fmt.Errorf("%w: %s: %s", ErrUnavailable, what, printable(err.Error()))
}

const maxDetail = 200 // bytes of a text for logs

// printable makes a text fit for a log: libraries repeat in theirs what a provider answered.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxDetail)]
}
