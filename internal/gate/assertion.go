package gate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

const (
	// assertionLife is how long an assertion is valid.
	assertionLife = time.Minute
	// assertionReuse is how long one is handed on before a new one is signed.
	assertionReuse = assertionLife / 2
)

// Signer signs what the gateway asserts about a visitor to an application: a JWT (RFC 7519)
// with ES256. The keys follow from the configured secret, so that all nodes and all restarts
// agree on them.
type Signer struct {
	signer jose.Signer
	public jose.JSONWebKeySet
}

// NewSigner derives the signing key, and the public keys of earlier secrets.
func NewSigner(keys *store.Keyring) (*Signer, error) {
	seeds, err := keys.DeriveAll("assertion", 48)
	if err != nil {
		return nil, fmt.Errorf("assertion key: %w", err)
	}
	s := &Signer{}
	for i, seed := range seeds {
		private, id, err := keyOf(seed)
		if err != nil {
			return nil, fmt.Errorf("assertion key: %w", err)
		}
		s.public.Keys = append(s.public.Keys, jose.JSONWebKey{Key: private.Public(), KeyID: id, Algorithm: string(jose.ES256), Use: "sig"})
		if i > 0 {
			continue
		}
		s.signer, err = jose.NewSigner(
			jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: id}},
			(&jose.SignerOptions{}).WithType("JWT"))
		if err != nil {
			return nil, fmt.Errorf("assertion signer: %w", err)
		}
	}
	return s, nil
}

// keyOf turns 48 bytes into a P-256 key (FIPS 186-5, appendix A.2.1: extra random bits).
func keyOf(seed []byte) (*ecdsa.PrivateKey, string, error) {
	order := new(big.Int).Sub(elliptic.P256().Params().N, big.NewInt(1))
	d := new(big.Int).SetBytes(seed)
	d.Mod(d, order).Add(d, big.NewInt(1))
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32)))
	if err != nil {
		return nil, "", err
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(point)
	return private, base64.RawURLEncoding.EncodeToString(sum[:12]), nil
}

// claims are what an assertion says.
type claims struct {
	jwt.Claims
	Email    string                         `json:"email,omitempty"`
	Name     string                         `json:"name,omitempty"`
	Groups   []string                       `json:"groups"`
	AMR      []string                       `json:"amr"`
	ACR      string                         `json:"acr"`
	AuthTime int64                          `json:"auth_time"`
	SID      string                         `json:"sid"`
	Factors  []session.AuthenticationFactor `json:"authentication_factors"`
	Custom   map[string]any                 `json:"custom_claims,omitempty"`
}

func (s *Signer) sign(v *session.Session, issuer, audience string, now time.Time) (string, error) {
	proven := v.Subject().Factors
	var latest time.Time
	for _, f := range proven {
		if f.At.After(latest) {
			latest = f.At
		}
	}
	token, err := jwt.Signed(s.signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer: issuer, Subject: v.UserID, Audience: jwt.Audience{audience},
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
		},
		Email: v.User.Email, Name: v.User.Name, Groups: v.Roles,
		AMR: policy.AMR(proven), ACR: policy.ACR(proven, now), AuthTime: latest.Unix(), SID: v.ID, Factors: v.Factors,
		Custom: v.CustomClaims,
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign an assertion: %w", err)
	}
	return token, nil
}

// ServeHTTP serves the public keys as a JWK set (RFC 7517).
func (s *Signer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(s.public)
	if err != nil {
		http.Error(w, "keys unavailable", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(body) // the client is gone; there is nobody to tell
}

// identity is the headers of one session for one host. Its slices are shared by all requests
// and never written to.
type identity struct {
	host                      string
	user, email, name, groups []string
	assertion                 []string
	signedAt                  time.Time
}

// identityOf returns the headers of the session of a request for its host, signing a new assertion when the
// last one is half over; nil for an anonymous visitor.
func (g *Gate) identityOf(q *request) (*identity, error) {
	s, host, now := q.session, q.host.name, q.now
	if s == nil {
		return nil, nil
	}
	known, _ := s.Memo.Load().([]*identity)
	for _, id := range known {
		if id.host == host && now.Sub(id.signedAt) < assertionReuse && !now.Before(id.signedAt) {
			return id, nil
		}
	}
	token, err := g.Signer.sign(s, g.origin(q), host, now)
	if err != nil {
		return nil, err
	}
	id := &identity{
		host: host, signedAt: now, assertion: []string{token},
		user: header(s.User.Email, s.UserID), email: header(s.User.Email), name: header(s.User.Name), groups: header(strings.Join(s.Roles, ",")),
	}
	next := make([]*identity, 0, len(known)+1)
	for _, other := range known {
		if other.host != host && len(next) < maxMemo {
			next = append(next, other)
		}
	}
	s.Memo.Store(append(next, id))
	return id, nil
}

// maxMemo bounds the hosts that one session remembers headers for.
const maxMemo = 16

// header is the first of the values that is not empty, fit for a header line; nil for none.
// Characters beyond ASCII go out as UTF-8, which RFC 9110 calls obsolete text and servers read.
func header(values ...string) []string {
	for _, v := range values {
		v = strings.TrimSpace(strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return -1
			}
			return r
		}, v))
		if v != "" {
			return []string{v}
		}
	}
	return nil
}

// set puts the headers of a session into a request. rebuild has taken all others out.
func (id *identity) set(h http.Header) {
	if id == nil {
		return
	}
	h["Remote-User"] = id.user
	if id.email != nil {
		h["Remote-Email"] = id.email
	}
	if id.name != nil {
		h["Remote-Name"] = id.name
	}
	if id.groups != nil {
		h["Remote-Groups"] = id.groups
	}
	h["Stepgate-Assertion"] = id.assertion
}
