package oauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	requestTimeout = 10 * time.Second
	maxAnswer      = 1 << 20
	maxRedirects   = 3
	// rest is how long a provider that failed is left alone.
	rest = 5 * time.Second
)

// newClient returns a bounded client that makes its requests as the given one does.
func newClient(given *http.Client) *http.Client {
	client := &http.Client{
		Timeout:   requestTimeout,
		Transport: capped{http.DefaultTransport},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects || r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	if given != nil && given.Transport != nil {
		client.Transport = capped{given.Transport}
	}
	if given != nil && given.Timeout > 0 {
		client.Timeout = given.Timeout
	}
	return client
}

// capped bounds what is read of an answer.
type capped struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (c capped) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(r)
	if err == nil {
		response.Body = &cappedBody{ReadCloser: response.Body, left: maxAnswer}
	}
	return response, err
}

var errTooLong = errors.New("the answer is too long")

type cappedBody struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *cappedBody) Read(buf []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(buf[:min(len(buf), b.left)])
	b.left -= n
	return n, err
}

// endpoints returns what is known of the provider, and asks it when nothing is. Whoever comes
// while it is asked waits for the one answer, and for no longer than ctx.
func (p *Provider) endpoints(ctx context.Context, now time.Time) (*endpoints, error) {
	if e, err := p.known(now); e != nil || err != nil {
		return e, err
	}
	answer := p.asking.DoChan("", func() (any, error) {
		if e, err := p.known(now); e != nil || err != nil {
			return e, err
		}
		// Others wait for the answer, so it does not end with the request that happened to ask.
		found, err := p.discover(oidc.ClientContext(context.WithoutCancel(ctx), p.client))
		p.mu.Lock()
		defer p.mu.Unlock()
		p.found, p.failed, p.failedAt = found, err, now
		return found, err
	})
	select {
	case a := <-answer:
		if a.Err != nil {
			return nil, a.Err
		}
		return a.Val.(*endpoints), nil
	case <-ctx.Done():
		return nil, unavailable("discovery", ctx.Err())
	}
}

// known is what was found; an error while a provider that failed is left alone; else nothing.
func (p *Provider) known(now time.Time) (*endpoints, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil && now.Sub(p.failedAt) < rest && !now.Before(p.failedAt) {
		return nil, p.failed
	}
	return p.found, nil
}

func (p *Provider) discover(ctx context.Context) (*endpoints, error) {
	c := p.config
	switch {
	case c.Type == GitHub:
		return &endpoints{issuer: c.Issuer, answerIssuer: c.Issuer + "/login/oauth", Endpoint: oauth2.Endpoint{
			AuthURL: c.Issuer + "/login/oauth/authorize", TokenURL: c.Issuer + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams,
		}}, nil
	case c.AuthURL != "":
		return &endpoints{
			issuer: c.Issuer, answerIssuer: c.Issuer, tellsAuthTime: true, userInfoURL: c.UserInfoURL,
			keys:     p.keysAt(c.JWKSURL),
			Endpoint: oauth2.Endpoint{AuthURL: c.AuthURL, TokenURL: c.TokenURL, AuthStyle: p.authStyle(nil)},
		}, nil
	}
	if c.Type == Microsoft {
		ctx = oidc.InsecureIssuerURLContext(ctx, c.Issuer) // each tenant has its own: see checkIssuer
	}
	found, err := oidc.NewProvider(ctx, c.Issuer)
	var mismatch *oidc.IssuerMismatchError
	if errors.As(err, &mismatch) {
		return nil, refused("discovery names another issuer: %v", err)
	}
	if err != nil {
		return nil, unavailable("discovery", err)
	}
	var more struct {
		Issuer        string   `json:"issuer"`
		JWKSURL       string   `json:"jwks_uri"`
		AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
		PKCE          []string `json:"code_challenge_methods_supported"`
		Claims        []string `json:"claims_supported"`
		AnswersIssuer bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, unavailable("discovery", err)
	}
	switch {
	case c.Type == Microsoft && !ofTenant(c.Issuer, more.Issuer):
		return nil, refused("discovery names another issuer: %q", more.Issuer)
	case more.PKCE != nil && !slices.Contains(more.PKCE, "S256"):
		return nil, refused("discovery: there is no PKCE with S256")
	}
	e := &endpoints{
		Endpoint: found.Endpoint(), issuer: more.Issuer, answerIssuer: more.Issuer, answersIssuer: more.AnswersIssuer,
		tellsAuthTime: c.Type == OIDC || slices.Contains(more.Claims, "auth_time"),
		keys:          p.keysAt(more.JWKSURL),
	}
	named := []string{e.AuthURL, e.TokenURL, more.JWKSURL}
	if c.Type == OIDC && found.UserInfoEndpoint() != "" {
		e.userInfoURL = found.UserInfoEndpoint()
		named = append(named, e.userInfoURL)
	}
	for _, one := range named {
		if err := checkURL(one); err != nil {
			return nil, refused("discovery: %v", err)
		}
		// Only an issuer without TLS, on loopback itself, may name such addresses.
		if strings.HasPrefix(c.Issuer, "https:") && !strings.HasPrefix(one, "https:") {
			return nil, refused("discovery: %q must begin with https://", one)
		}
	}
	e.AuthStyle = p.authStyle(more.AuthMethods)
	return e, nil
}

// authStyle is one way to give the client secret, among those that a provider supports: to try
// both would spend the code on the wrong one.
func (p *Provider) authStyle(supported []string) oauth2.AuthStyle {
	if p.config.ClientSecret == "" || len(supported) > 0 && !slices.Contains(supported, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

var tenantIssuer = regexp.MustCompile(`^(https?://[^/]+)/([^/]+)/v2\.0$`)

// ofTenant tells whether the issuer that Microsoft's discovery names is one of the configured
// tenant: a template where that is one of the names for all tenants, and the very id where that
// is an id. A tenant configured by its domain has the id that is found.
func ofTenant(configured, found string) bool {
	if found == configured {
		return true
	}
	c, f := tenantIssuer.FindStringSubmatch(configured), tenantIssuer.FindStringSubmatch(found)
	if c == nil || f == nil || c[1] != f[1] {
		return false
	}
	if c[2] == "common" || c[2] == "organizations" {
		return f[2] == "{tenantid}"
	}
	return f[2] != "{tenantid}" && (c[2] == "consumers" || strings.Contains(c[2], "."))
}
