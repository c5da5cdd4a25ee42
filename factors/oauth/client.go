package oauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
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

func newClient() *http.Client {
	return &http.Client{
		Timeout:   requestTimeout,
		Transport: capped{http.DefaultTransport},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects || r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
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

// endpoints returns what is known of the provider, and asks it when nothing is.
func (p *Provider) endpoints(ctx context.Context, now time.Time) (*endpoints, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	if p.failed != nil && now.Sub(p.failedAt) < rest && !now.Before(p.failedAt) {
		return nil, p.failed
	}
	found, err := p.discover(oidc.ClientContext(ctx, p.client))
	if err != nil {
		p.failed, p.failedAt = err, now
		return nil, err
	}
	p.found, p.failed = found, nil
	return found, nil
}

func (p *Provider) discover(ctx context.Context) (*endpoints, error) {
	c := p.config
	switch {
	case c.Type == GitHub:
		return &endpoints{issuer: c.Issuer, Endpoint: oauth2.Endpoint{
			AuthURL: c.Issuer + "/login/oauth/authorize", TokenURL: c.Issuer + "/login/oauth/access_token", AuthStyle: oauth2.AuthStyleInParams,
		}}, nil
	case c.AuthURL != "":
		return &endpoints{
			issuer: c.Issuer, keys: oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), p.client), c.JWKSURL),
			Endpoint: oauth2.Endpoint{AuthURL: c.AuthURL, TokenURL: c.TokenURL, AuthStyle: oauth2.AuthStyleInHeader},
		}, nil
	}
	if c.Type == Microsoft {
		ctx = oidc.InsecureIssuerURLContext(ctx, c.Issuer) // each tenant has its own: see checkIssuer
	}
	found, err := oidc.NewProvider(ctx, c.Issuer)
	var mismatch *oidc.IssuerMismatchError
	if errors.As(err, &mismatch) {
		return nil, refused("discovery names another issuer: %w", err)
	}
	if err != nil {
		return nil, unavailable("discovery", err)
	}
	var more struct {
		Issuer        string   `json:"issuer"`
		JWKSURL       string   `json:"jwks_uri"`
		AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
		AnswersIssuer bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, unavailable("discovery", err)
	}
	e := &endpoints{
		Endpoint: found.Endpoint(), issuer: more.Issuer, answersIssuer: more.AnswersIssuer,
		keys: oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), p.client), more.JWKSURL),
	}
	for _, one := range []string{e.AuthURL, e.TokenURL, more.JWKSURL} {
		if err := checkURL(one); err != nil {
			return nil, refused("discovery: %w", err)
		}
	}
	// One way, chosen here: to try both would spend the code on the wrong one.
	e.AuthStyle = oauth2.AuthStyleInHeader
	if p.config.ClientSecret == "" || len(more.AuthMethods) > 0 && !slices.Contains(more.AuthMethods, "client_secret_basic") {
		e.AuthStyle = oauth2.AuthStyleInParams
	}
	return e, nil
}
