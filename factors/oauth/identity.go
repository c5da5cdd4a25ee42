package oauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// maxTokenAge is how much older than its sign-in a token may say that it is.
const maxTokenAge = 5 * time.Minute

// algorithms sign tokens with a private key of the provider. Those that share a secret with
// clients are not among them.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// Identity is who somebody is at a provider. Issuer and Subject together identify; nothing
// else does.
type Identity struct {
	Issuer, Subject string
	// Email is what the provider calls the address. It means something only when the provider
	// says that it verified it.
	Email         string
	EmailVerified bool
	Name          string
	// Groups and Claims are what the operator maps.
	Groups []string
	Claims map[string]any
	// ACR, AMR and AuthTime are those of the token; zero when it has none.
	ACR      string
	AMR      []string
	AuthTime time.Time
}

// Finish exchanges what came back to the redirect address for an identity. The error is a
// *ProviderError, or wraps ErrRefused or ErrUnavailable.
func (p *Provider) Finish(ctx context.Context, now time.Time, a Attempt, callback url.Values) (Identity, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	e, err := p.endpoints(ctx, now)
	if err != nil {
		return Identity{}, err
	}
	code, err := p.code(e, a, now, callback)
	if err != nil {
		return Identity{}, err
	}
	token, err := p.exchange(ctx, e, a, code, now)
	if err != nil {
		return Identity{}, err
	}
	var i Identity
	if p.config.Type == GitHub {
		i, err = p.githubIdentity(ctx, token)
	} else {
		i, err = p.tokenIdentity(ctx, e, a, token, now)
	}
	if err != nil {
		return Identity{}, err
	}
	if err := p.limits(e, a, i, now); err != nil {
		return Identity{}, err
	}
	return i, nil
}

// tokenErrors are those that the token endpoint may answer (RFC 6749, section 5.2), and those of
// GitHub.
var tokenErrors = map[string]bool{
	"invalid_request": true, "invalid_client": true, "invalid_grant": true, "unauthorized_client": true,
	"unsupported_grant_type": true, "invalid_scope": true,
	"bad_verification_code": true, "incorrect_client_credentials": true, "redirect_uri_mismatch": true,
}

func (p *Provider) exchange(ctx context.Context, e *endpoints, a Attempt, code string, now time.Time) (*oauth2.Token, error) {
	secret := p.config.ClientSecret
	if p.config.Key != nil {
		var err error
		if secret, err = p.config.Key.secret(p.config.ClientID, p.config.Issuer, now); err != nil {
			return nil, err
		}
	}
	token, err := p.oauth2(e, a.RedirectURI, secret).Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	var answered *oauth2.RetrieveError
	switch {
	case err == nil:
		return token, nil
	case errors.As(err, &answered) && answered.Response != nil && fails(answered.Response.StatusCode):
		// The text of such an error repeats the answer, which is nothing for a log.
		return nil, unavailable("token endpoint", fmt.Errorf("it answered %d", answered.Response.StatusCode))
	case errors.As(err, &answered):
		code := answered.ErrorCode
		if !tokenErrors[code] {
			code = "other"
		}
		return nil, refused("the token endpoint answered %s", code)
	}
	return nil, unavailable("token endpoint", errors.New(withoutAnswer(err)))
}

// fails tells whether a status says that a provider does not work: neither an answer nor a no.
func fails(status int) bool {
	return status >= 500 || status >= 300 && status < 400 || status == http.StatusTooManyRequests
}

// withoutAnswer says what went wrong with a request, and nothing of what came back.
func withoutAnswer(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Error()
	}
	return "the answer cannot be read"
}

func (p *Provider) tokenIdentity(ctx context.Context, e *endpoints, a Attempt, token *oauth2.Token, now time.Time) (Identity, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok || raw == "" {
		return Identity{}, refused("the token endpoint gave no id_token")
	}
	id, err := p.verify(ctx, e, raw, &oidc.Config{
		ClientID: p.config.ClientID, SkipIssuerCheck: p.config.Type == Microsoft, Now: func() time.Time { return now.Add(-p.config.Leeway) },
	})
	if err != nil {
		return Identity{}, err
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		return Identity{}, refused("claims: %v", err)
	}
	if err := p.checkToken(e, a, id, c, token, now); err != nil {
		return Identity{}, err
	}
	if c, err = p.complete(ctx, e, id, c, token, now); err != nil {
		return Identity{}, err
	}
	i := Identity{
		Issuer: id.Issuer, Subject: id.Subject, Email: c.text("email"), Name: c.text("name"),
		ACR: c.text("acr"), AMR: texts(c["amr"]),
	}
	if p.config.GroupsClaim != "" {
		i.Groups = texts(c[p.config.GroupsClaim])
	}
	i.EmailVerified = i.Email != "" && p.verified(c["email_verified"])
	if i.AuthTime, err = c.authTime(now.Add(p.config.Leeway)); err != nil {
		return Identity{}, err
	}
	if p.config.Type == Google {
		i.Issuer = p.config.Issuer // Google writes it in two ways
	}
	if p.config.Type == Microsoft {
		// The subject differs from client to client; the object id is the person's own. The
		// address is whatever an administrator of any tenant types.
		i.Subject, i.EmailVerified = c.text("oid"), false
	}
	if p.config.Type == Google && len(p.config.Domains) > 0 && !slices.Contains(p.config.Domains, strings.ToLower(c.text("hd"))) {
		return Identity{}, refused("the hosted domain is not on the list")
	}
	for _, name := range p.config.Claims {
		if v, ok := c[name]; ok {
			if i.Claims == nil {
				i.Claims = make(map[string]any)
			}
			i.Claims[name] = v
		}
	}
	return i, nil
}

// verify checks the signature of a token and what the library checks of its claims.
func (p *Provider) verify(ctx context.Context, e *endpoints, raw string, c *oidc.Config) (*oidc.IDToken, error) {
	keys := &keySet{KeySet: e.keys}
	c.SupportedSigningAlgs = algorithms
	id, err := oidc.NewVerifier(e.issuer, keys, c).Verify(ctx, raw)
	if keys.unreachable {
		return nil, unavailable("keys", errors.New("they cannot be read"))
	}
	if err != nil {
		return nil, refused("token: %v", err)
	}
	return id, nil
}

// checkToken checks what the library leaves to its callers.
func (p *Provider) checkToken(e *endpoints, a Attempt, id *oidc.IDToken, c claims, token *oauth2.Token, now time.Time) error {
	azp := c["azp"]
	switch {
	case c.misspelt():
		return refused("a claim is spelt in another way than its own")
	case id.Subject == "" || len(id.Subject) > maxText:
		return refused("the subject is missing or too long")
	case a.Nonce == "" || subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.Nonce)) != 1:
		return refused("the nonce is another")
	case azp != nil && azp != p.config.ClientID || azp == nil && len(id.Audience) > 1:
		return refused("the token is for another client")
	case id.IssuedAt.After(now.Add(p.config.Leeway)):
		return refused("the token is from the future")
	case id.IssuedAt.Before(a.CreatedAt.Add(-max(maxTokenAge, p.config.Leeway))):
		return refused("the token is older than the sign-in, or says nothing of its age")
	case id.AccessTokenHash != "" && id.VerifyAccessToken(token.AccessToken) != nil:
		return refused("the access token is not the one of the id_token")
	}
	if p.config.Type == Microsoft {
		return p.checkTenant(e, id, c)
	}
	return nil
}

func (p *Provider) checkTenant(e *endpoints, id *oidc.IDToken, c claims) error {
	tenant := c.text("tid")
	switch {
	case tenant == "" || c.text("oid") == "" || strings.ContainsAny(tenant, "/{}"):
		return refused("the token names no tenant")
	case id.Issuer != strings.ReplaceAll(e.issuer, "{tenantid}", tenant):
		return refused("the issuer is not that of the tenant")
	case len(p.config.Tenants) > 0 && !slices.Contains(p.config.Tenants, tenant):
		return refused("the tenant is not on the list")
	}
	return nil
}

// verified reads email_verified: the JSON value true, and for Apple, which documents it, the
// text "true".
func (p *Provider) verified(v any) bool {
	return v == true || p.config.Type == Apple && v == "true"
}

// limits holds what the operator asks of an identity against it.
func (p *Provider) limits(e *endpoints, a Attempt, i Identity, now time.Time) error {
	if len(p.config.Domains) > 0 && p.config.Type != Google { // hd was checked with the token
		_, domain, _ := strings.Cut(i.Email, "@")
		if !i.EmailVerified || !slices.Contains(p.config.Domains, strings.ToLower(domain)) {
			return refused("the domain is not on the list")
		}
	}
	if len(p.config.ACRValues) > 0 && !slices.Contains(p.config.ACRValues, i.ACR) {
		return refused("the acr is not one of those that were asked for")
	}
	if a.MaxAge > 0 && e.tellsAuthTime && i.AuthTime.IsZero() {
		return refused("the token does not tell auth_time, which was asked for")
	}
	if a.MaxAge > 0 && !i.AuthTime.IsZero() && now.Sub(i.AuthTime) > a.MaxAge+p.config.Leeway {
		return refused("the person proved themselves to the provider too long ago")
	}
	return nil
}

// remoteKeys are the keys that a provider publishes.
type remoteKeys struct {
	oidc.KeySet
	// again reads the keys anew.
	again func() oidc.KeySet
}

func (p *Provider) keysAt(url string) remoteKeys {
	read := func() oidc.KeySet {
		return oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), p.client), url)
	}
	return remoteKeys{read(), read}
}

// VerifySignature implements oidc.KeySet. The library shares one reading of the keys among all who
// wait for it. One that began before the provider changed its keys does not have the key of a
// token that was signed since, so a signature that fits none is tried once more.
func (k remoteKeys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	if err == nil || errors.Unwrap(err) != nil {
		return payload, err
	}
	return k.again().VerifySignature(ctx, jwt)
}

// keySet tells keys that cannot be read from a signature that is wrong.
type keySet struct {
	oidc.KeySet
	unreachable bool
}

// VerifySignature implements oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	// The library wraps what went wrong with the keys, and makes up the other error itself.
	k.unreachable = err != nil && errors.Unwrap(err) != nil
	return payload, err
}
