package oauth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Life is how long a sign-in at a provider may take.
const Life = 10 * time.Minute

// Attempt is a sign-in under way. The caller keeps it under its State, for the browser that
// began and for one answer.
type Attempt struct {
	Provider    string `cbor:"1,keyasint"`
	State       string `cbor:"2,keyasint"`
	Nonce       string `cbor:"3,keyasint"`
	Verifier    string `cbor:"4,keyasint"`
	RedirectURI string `cbor:"5,keyasint"`
	// MaxAge is how long ago the person may have proven themselves to the provider; 0 asks
	// nothing.
	MaxAge    time.Duration `cbor:"6,keyasint,omitempty"`
	CreatedAt time.Time     `cbor:"7,keyasint"`
	ExpiresAt time.Time     `cbor:"8,keyasint"`
}

// Begin returns a new attempt and the address at the provider to go to. maxAge, unless 0, asks
// the provider to have the person prove themselves anew if the last time is longer ago.
func (p *Provider) Begin(ctx context.Context, random io.Reader, now time.Time, redirectURI string, maxAge time.Duration) (a Attempt, to string, err error) {
	e, err := p.endpoints(ctx, now)
	if err != nil {
		return Attempt{}, "", err
	}
	a = Attempt{
		Provider: p.Name(), RedirectURI: redirectURI, MaxAge: maxAge, CreatedAt: now, ExpiresAt: now.Add(Life),
	}
	for _, into := range []*string{&a.State, &a.Nonce, &a.Verifier} {
		b := make([]byte, 32)
		if _, err := io.ReadFull(random, b); err != nil {
			return Attempt{}, "", fmt.Errorf("begin a sign-in: %w", err)
		}
		*into = base64.RawURLEncoding.EncodeToString(b)
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.Verifier)}
	set := func(name, value string) { options = append(options, oauth2.SetAuthURLParam(name, value)) }
	if p.config.Type != GitHub {
		set("nonce", a.Nonce)
	}
	if p.PostsAnswer() {
		set("response_mode", "form_post")
	}
	if len(p.config.ACRValues) > 0 {
		set("acr_values", strings.Join(p.config.ACRValues, " "))
	}
	if maxAge > 0 && p.config.Type != GitHub {
		set("prompt", "login")
		set("max_age", strconv.Itoa(int(maxAge/time.Second)))
	}
	return a, p.oauth2(e, a.RedirectURI, "").AuthCodeURL(a.State, options...), nil
}

func (p *Provider) oauth2(e *endpoints, redirectURI, secret string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.config.ClientID, ClientSecret: secret, Endpoint: e.Endpoint, RedirectURL: redirectURI, Scopes: p.scopes(),
	}
}

func (p *Provider) scopes() []string {
	var base []string
	switch p.config.Type {
	case GitHub:
		base = []string{"user:email"}
	case Apple:
		base = []string{"openid", "email", "name"}
	default:
		base = []string{"openid", "email", "profile"}
	}
	return append(base, p.config.Scopes...)
}

// errorCodes are those that a provider may answer (RFC 6749, section 4.1.2.1; OpenID Connect
// Core 1.0, section 3.1.2.6; OpenID Connect Unmet Authentication Requirements 1.0).
var errorCodes = map[string]bool{
	"access_denied": true, "invalid_request": true, "unauthorized_client": true, "unsupported_response_type": true,
	"invalid_scope": true, "server_error": true, "temporarily_unavailable": true, "interaction_required": true,
	"login_required": true, "account_selection_required": true, "consent_required": true,
	"unmet_authentication_requirements": true, "user_cancelled_authorize": true,
}

// description takes what RFC 6749, section 4.1.2.1, forbids out of a text.
func description(s string) string { return printable(strings.NewReplacer(`"`, "", `\`, "").Replace(s)) }

// CheckAnswer refuses what no answer with a code may hold, for whatever attempt it is: a token,
// and a parameter that is given more than once (RFC 6749, section 3.1). The error wraps
// ErrRefused.
func CheckAnswer(callback url.Values) error {
	for name, values := range callback {
		if len(values) != 1 {
			return refused("%q is given more than once", name)
		}
	}
	for _, name := range []string{"access_token", "id_token", "token_type", "response"} {
		if callback.Has(name) {
			return refused("%s is given, where only a code belongs", name)
		}
	}
	return nil
}

// code reads what came back to the redirect address: exactly one code, for this attempt, and
// no token.
func (p *Provider) code(e *endpoints, a Attempt, now time.Time, callback url.Values) (string, error) {
	if err := CheckAnswer(callback); err != nil {
		return "", err
	}
	switch {
	case a.Provider != p.Name():
		return "", refused("the sign-in began at another provider")
	case !now.Before(a.ExpiresAt) || now.Before(a.CreatedAt):
		return "", refused("the sign-in took too long")
	case a.State == "" || subtle.ConstantTimeCompare([]byte(callback.Get("state")), []byte(a.State)) != 1:
		return "", refused("state is another")
	case callback.Has("iss") && callback.Get("iss") != e.answerIssuer:
		return "", refused("the answer is not of the issuer")
	case !callback.Has("iss") && e.answersIssuer && callback.Has("code"): // many name themselves in no error
		return "", refused("the answer does not name its issuer")
	}
	if code := callback.Get("error"); code != "" {
		if code == "server_error" || code == "temporarily_unavailable" {
			return "", fmt.Errorf("%w: it answered %s", ErrUnavailable, code)
		}
		if !errorCodes[code] {
			code = "other"
		}
		return "", &ProviderError{Code: code, Description: description(callback.Get("error_description"))}
	}
	if callback.Get("code") == "" {
		return "", refused("there is no code")
	}
	return callback.Get("code"), nil
}
