package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/factors/oauth"
	"github.com/stepgate/stepgate/internal/flow"
)

func init() { caddy.RegisterModule(&OAuthFactor{}) }

// OAuthFactor offers sign-in at identity providers.
type OAuthFactor struct {
	// Providers in the order in which pages offer them.
	// Default: none; one is required.
	Providers []OAuthProvider `json:"providers,omitempty"`
}

// OAuthProvider is one identity provider. Its redirect address, to be registered there, is
// https://HOST/.stepgate/api/v1/oauth/NAME/callback, for each gated host.
type OAuthProvider struct {
	// Type is google, microsoft, apple, github or oidc.
	Type string `json:"type"`
	// Name tells providers apart, in policies as oauth:NAME.
	// Default: the type.
	Name string `json:"name,omitempty"`
	// Label is what pages call the provider.
	// Default: the name of the company, or the name above.
	Label string `json:"label,omitempty"`
	// ClientID that the provider gave. Placeholders {file.*} and {env.*} are read at load.
	ClientID string `json:"client_id"`
	// ClientSecret that the provider gave. Placeholders {file.*} and {env.*} are read at load.
	// Default: none, which only oidc providers may have.
	ClientSecret string `json:"client_secret,omitempty"`
	// Issuer of an oidc provider; for microsoft the issuer of one tenant, for github the
	// address of your own server.
	// Default: that of the type.
	Issuer string `json:"issuer,omitempty"`
	// AuthURL stands in for discovery, with TokenURL and JWKSURL.
	// Default: none; then they are discovered at the issuer.
	AuthURL string `json:"auth_url,omitempty"`
	// TokenURL stands in for discovery, with AuthURL.
	// Default: none.
	TokenURL string `json:"token_url,omitempty"`
	// JWKSURL stands in for discovery, with AuthURL.
	// Default: none.
	JWKSURL string `json:"jwks_url,omitempty"`
	// UserInfoURL goes with AuthURL. It is asked for what the ID token does not tell.
	// Default: none; then the ID token tells all.
	UserInfoURL string `json:"userinfo_url,omitempty"`
	// Scopes are asked for beside the usual ones.
	// Default: none.
	Scopes []string `json:"scopes,omitempty"`
	// GroupsClaim is the claim whose texts become groups of the user, as long as the identity
	// is connected. The group “admins” is never taken from a provider.
	// Default: none.
	GroupsClaim string `json:"groups_claim,omitempty"`
	// Claims are taken over as custom_claims, below those that administrators set.
	// Default: none.
	Claims []string `json:"claims,omitempty"`
	// Domains from which people may come: Google's hosted domain, else that of a verified
	// e-mail address.
	// Default: all.
	Domains []string `json:"domains,omitempty"`
	// Tenants of microsoft from which people may come, by their ids.
	// Default: all.
	Tenants []string `json:"tenants,omitempty"`
	// ACRValues are asked for; one of them must be in the token.
	// Default: none.
	ACRValues []string `json:"acr_values,omitempty"`
	// TeamID of apple.
	// Default: none.
	TeamID string `json:"team_id,omitempty"`
	// KeyID of apple.
	// Default: none.
	KeyID string `json:"key_id,omitempty"`
	// Key is the file with the private key of apple, in PEM.
	// Default: none.
	Key string `json:"key,omitempty"`
	// Leeway is how far the provider's clock may be off, up to 10m.
	// Default: 1m.
	Leeway caddy.Duration `json:"leeway,omitempty"`
}

// CaddyModule implements caddy.Module.
func (*OAuthFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.oauth", New: func() caddy.Module { return new(OAuthFactor) }}
}

func (f *OAuthFactor) apply(a *App, _ *flow.Options) error {
	if len(f.Providers) == 0 {
		return errors.New("oauth: no provider is named; write “oauth google”, “oauth oidc corp” or the like")
	}
	seen := make(map[string]bool)
	for i := range f.Providers {
		p, err := f.Providers[i].provider()
		if err != nil {
			return fmt.Errorf("oauth %s %s: %w", f.Providers[i].Type, f.Providers[i].Name, err)
		}
		if seen[p.Name()] {
			return fmt.Errorf("oauth: the name %s is given twice", p.Name())
		}
		seen[p.Name()] = true
		a.providers = append(a.providers, p)
	}
	return nil
}

func (o *OAuthProvider) provider() (*oauth.Provider, error) {
	c := oauth.Config{
		Name: o.Name, Type: o.Type, Label: o.Label, Issuer: o.Issuer, AuthURL: o.AuthURL, TokenURL: o.TokenURL, JWKSURL: o.JWKSURL, UserInfoURL: o.UserInfoURL,
		Scopes: o.Scopes, GroupsClaim: o.GroupsClaim, Claims: o.Claims, Domains: o.Domains, Tenants: o.Tenants, ACRValues: o.ACRValues,
		Leeway: time.Duration(o.Leeway),
	}
	if c.Name == "" {
		c.Name = o.Type
	}
	if err := resolve(setting{"client_id", o.ClientID, &c.ClientID}, setting{"client_secret", o.ClientSecret, &c.ClientSecret}); err != nil {
		return nil, err
	}
	if o.Key != "" || o.KeyID != "" || o.TeamID != "" {
		file, err := os.ReadFile(o.Key)
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		if c.Key, err = oauth.NewAppleKey(o.TeamID, o.KeyID, file); err != nil {
			return nil, err
		}
	}
	return oauth.New(c)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. It may stand several times. Syntax:
//
//	oauth google|microsoft|apple|github|oidc [<name>] {
//		client_id <id>
//		client_secret <secret>
//		issuer <url>
//		label <text>
//		auth_url <url>
//		token_url <url>
//		jwks_url <url>
//		userinfo_url <url>
//		scopes <scope>...
//		groups_claim <claim>
//		claims <claim>...
//		domains <domain>...
//		tenants <id>...
//		acr_values <value>...
//		team_id <id>
//		key_id <id>
//		key <file>
//		leeway <duration>
//	}
func (f *OAuthFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return d.ArgErr()
	}
	o := OAuthProvider{Type: args[0]}
	if len(args) == 2 {
		o.Name = args[1]
	}
	at := *d
	texts := map[string]*string{
		"client_id": &o.ClientID, "client_secret": &o.ClientSecret, "issuer": &o.Issuer, "label": &o.Label, "auth_url": &o.AuthURL,
		"token_url": &o.TokenURL, "jwks_url": &o.JWKSURL, "userinfo_url": &o.UserInfoURL, "groups_claim": &o.GroupsClaim, "team_id": &o.TeamID, "key_id": &o.KeyID, "key": &o.Key,
	}
	lists := map[string]*[]string{
		"scopes": &o.Scopes, "claims": &o.Claims, "domains": &o.Domains, "tenants": &o.Tenants, "acr_values": &o.ACRValues,
	}
	const expected = "client_id, client_secret, issuer, label, auth_url, token_url, jwks_url, userinfo_url, scopes, groups_claim, claims, domains, tenants, acr_values, team_id, key_id, key or leeway"
	err := readOptions(d, expected, func(option string) (bool, error) {
		if into := texts[option]; into != nil {
			return true, oneArg(d, into)
		}
		if into := lists[option]; into != nil {
			if *into = d.RemainingArgs(); len(*into) == 0 {
				return true, d.ArgErr()
			}
			return true, nil
		}
		if option == "leeway" {
			return true, duration(d, &o.Leeway)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	switch o.Type {
	case oauth.Google, oauth.Microsoft, oauth.Apple, oauth.GitHub, oauth.OIDC:
	default:
		return at.Errf("unknown provider %q; expected google, microsoft, apple, github or oidc", o.Type)
	}
	f.Providers = append(f.Providers, o)
	return nil
}

// unmarshalOAuth reads one more provider into the module that holds all of them.
func (a *App) unmarshalOAuth(d *caddyfile.Dispenser) error {
	var all OAuthFactor
	if raw := a.FactorsRaw["oauth"]; raw != nil {
		if err := json.Unmarshal(raw, &all); err != nil {
			return d.Err(err.Error())
		}
	}
	if err := all.UnmarshalCaddyfile(d.NewFromNextSegment()); err != nil {
		return err
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return d.Err(err.Error())
	}
	a.FactorsRaw["oauth"] = raw
	return nil
}

// Interface guards.
var (
	_ FactorGuest           = (*OAuthFactor)(nil)
	_ caddyfile.Unmarshaler = (*OAuthFactor)(nil)
)
