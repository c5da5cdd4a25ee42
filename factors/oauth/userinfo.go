package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// notOfUserInfo are claims that only an ID token tells: they are about the token and about how
// and when the person proved themselves. A mapping of one of them never asks userinfo.
// email_verified is not taken alone, because it speaks of the address beside it.
var notOfUserInfo = []string{
	"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "sid", "acr", "amr", "auth_time",
	"email", "email_verified", "_claim_names", "_claim_sources",
}

// lacking lists the mapped claims that an ID token does not tell and userinfo may.
func (p *Provider) lacking(c claims) []string {
	var out []string
	for _, name := range append([]string{p.config.GroupsClaim}, p.config.Claims...) {
		if c[name] == nil && name != "" && !slices.Contains(notOfUserInfo, name) {
			out = append(out, name)
		}
	}
	return out
}

// complete returns the claims of an ID token with what it does not tell of the person, taken
// from userinfo (OpenID Connect Core 1.0, section 5.3). A provider is asked when the token has no
// e-mail address or lacks a mapped claim, and not otherwise; one that then gives no answer ends
// the sign-in, because a person without their groups may be let in where they must not be.
func (p *Provider) complete(ctx context.Context, e *endpoints, id *oidc.IDToken, c claims, token *oauth2.Token, now time.Time) (claims, error) {
	noEmail, lacking := c.text("email") == "", p.lacking(c)
	if e.userInfoURL == "" || !noEmail && len(lacking) == 0 {
		return c, nil
	}
	more, err := p.userInfo(ctx, e, token, now)
	switch {
	case err != nil:
		return nil, err
	case more.misspelt():
		return nil, refused("userinfo: a claim is spelt in another way than its own")
	case more["sub"] != id.Subject:
		return nil, refused("userinfo is about somebody else")
	}
	c = maps.Clone(c)
	if c["name"] == nil {
		lacking = append(lacking, "name")
	}
	if noEmail { // an address and whether it is verified come from one place
		delete(c, "email_verified")
		lacking = append(lacking, "email", "email_verified")
	}
	for _, name := range lacking {
		if v, ok := more[name]; ok {
			c[name] = v
		}
	}
	return c, nil
}

// userInfo asks for the claims of the person whom an access token is about. The library's own
// call is of no use: it takes a signed answer for whichever client that was made, reads
// email_verified of other types than a boolean, and repeats the answer in its errors.
func (p *Provider) userInfo(ctx context.Context, e *endpoints, token *oauth2.Token, now time.Time) (claims, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.userInfoURL, nil)
	if err != nil {
		return nil, unavailable("userinfo", err)
	}
	request.Header.Set("Authorization", "Bearer "+token.AccessToken)
	request.Header.Set("Accept", "application/json, application/jwt")
	response, err := p.client.Do(request)
	if err != nil {
		return nil, unavailable("userinfo", err)
	}
	body, err := io.ReadAll(response.Body)
	err = errors.Join(err, response.Body.Close())
	switch {
	case fails(response.StatusCode):
		return nil, unavailable("userinfo", fmt.Errorf("it answered %d", response.StatusCode))
	case response.StatusCode != http.StatusOK:
		return nil, refused("userinfo answered %d", response.StatusCode)
	case err != nil:
		return nil, unavailable("userinfo", errors.New("the answer cannot be read"))
	}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err == nil && kind == "application/jwt" {
		return p.signedUserInfo(ctx, e, string(body), now)
	}
	var c claims
	if err := json.Unmarshal(body, &c); err != nil {
		return nil, unavailable("userinfo", errors.New("the answer cannot be read"))
	}
	return c, nil
}

// signedUserInfo verifies an answer that is a JWT as an ID token is: by the keys of the provider,
// for its issuer and for this client (OpenID Connect Core 1.0, section 5.3.2). It may do without
// a time of expiry, since it was asked for just now. One that is encrypted is refused.
func (p *Provider) signedUserInfo(ctx context.Context, e *endpoints, raw string, now time.Time) (claims, error) {
	verified, err := p.verify(ctx, e, raw, &oidc.Config{ClientID: p.config.ClientID, SkipExpiryCheck: true})
	if err != nil {
		return nil, err
	}
	var c claims
	if err := verified.Claims(&c); err != nil {
		return nil, refused("userinfo: %v", err)
	}
	if c["exp"] != nil && !now.Add(-p.config.Leeway).Before(verified.Expiry) {
		return nil, refused("userinfo has expired")
	}
	return c, nil
}
