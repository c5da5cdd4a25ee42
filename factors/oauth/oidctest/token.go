package oidctest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func newKey(algorithm jose.SignatureAlgorithm) (jose.JSONWebKey, error) {
	var key any
	var err error
	switch algorithm {
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case jose.RS256, jose.PS256:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("oidctest: no key for %q", algorithm)
	}
	return jose.JSONWebKey{Key: key, KeyID: rand.Text(), Algorithm: string(algorithm), Use: "sig"}, err
}

// token is the token endpoint. A code works once, for the client, redirect address and verifier
// that it was made for (RFC 6749, section 4.1.3; RFC 7636, section 4.6).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked++
	p.mu.Unlock()
	if p.breaks(w, r, "token") {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if err := r.ParseForm(); err != nil {
		refuse(w, "invalid_request")
		return
	}
	if !p.clientIsRight(r) {
		refuse(w, "invalid_client")
		return
	}
	p.mu.Lock()
	g, ok := p.grants[r.PostForm.Get("code")]
	delete(p.grants, r.PostForm.Get("code"))
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || r.PostForm.Get("grant_type") != "authorization_code" || g.redirectURI != r.PostForm.Get("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		refuse(w, "invalid_grant")
		return
	}
	access := rand.Text()
	p.mu.Lock()
	p.grants[access] = g
	p.mu.Unlock()
	if p.opts.Type == "github" {
		if p.is("token: no access token") {
			access = ""
		}
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
		fmt.Fprintf(w, "%s", url.Values{"access_token": {access}, "token_type": {"bearer"}, "scope": {"user:email"}}.Encode())
		return
	}
	id, err := p.idToken(g, access)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	body := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": id}
	switch {
	case p.is("token: no access token"):
		delete(body, "access_token")
	case p.is("id_token: absent"):
		delete(body, "id_token")
	case p.is("id_token: list"):
		body["id_token"] = []string{id}
	}
	answer(w, http.StatusOK, body)
}

func refuse(w http.ResponseWriter, code string) {
	answer(w, http.StatusBadRequest, map[string]string{"error": code})
}

func (p *Provider) clientIsRight(r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	if id != p.opts.ClientID || basic && (p.opts.Type == "apple" || p.opts.Type == "github") {
		return false
	}
	if p.opts.Type != "apple" {
		return secret == p.opts.ClientSecret
	}
	signed, err := jose.ParseSignedCompact(secret, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(signed.Signatures) != 1 || signed.Signatures[0].Header.KeyID == "" {
		return false
	}
	raw, err := signed.Verify(p.opts.AppleKey)
	if err != nil {
		return false
	}
	var c struct {
		Iss, Sub, Aud string
		Iat, Exp      int64
	}
	now := p.opts.Now().Unix()
	return json.Unmarshal(raw, &c) == nil && c.Iss == p.opts.AppleTeamID && c.Sub == p.opts.ClientID && c.Aud == p.server.URL &&
		c.Iat <= now && now < c.Exp && c.Exp <= now+int64((180*24*time.Hour)/time.Second)
}

// idToken makes the token of a grant, with the fault that is set.
func (p *Provider) idToken(g grant, access string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.opts.Now()
	c := override(p.users[g.user], map[string]any{
		"iss": p.server.URL, "aud": p.opts.ClientID, "exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(), "nonce": g.nonce,
		"at_hash": atHash(p.opts.Algorithm, access),
	})
	if p.opts.Type == "microsoft" {
		c["iss"] = fmt.Sprintf("%s/%v/v2.0", p.server.URL, c["tid"])
	}
	if _, told := c["auth_time"]; g.maxAge && !told && (p.opts.Type == "oidc" || p.opts.Type == "microsoft") {
		c["auth_time"] = now.Unix()
	}
	p.withhold(c)
	if f := claimFaults[p.fault]; f != nil {
		f(p, c)
	}
	if f := signFaults[p.fault]; f != nil {
		return f(p, c)
	}
	return sign(p.keys[len(p.keys)-1], p.opts.Algorithm, c, nil)
}

func atHash(algorithm jose.SignatureAlgorithm, access string) string {
	half := sha256.Sum256([]byte(access))
	if algorithm == jose.EdDSA {
		full := sha512.Sum512([]byte(access))
		return base64.RawURLEncoding.EncodeToString(full[:32])
	}
	return base64.RawURLEncoding.EncodeToString(half[:16])
}

func sign(key jose.JSONWebKey, algorithm jose.SignatureAlgorithm, claims map[string]any, header map[jose.HeaderKey]any) (string, error) {
	o := (&jose.SignerOptions{ExtraHeaders: header}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, o)
	if err != nil {
		return "", fmt.Errorf("oidctest: %w", err)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("oidctest: %w", err)
	}
	signed, err := signer.Sign(raw)
	if err != nil {
		return "", fmt.Errorf("oidctest: %w", err)
	}
	return signed.CompactSerialize()
}

// plain joins a header and claims to a token; the signature is for others to make.
func plain(header, claims map[string]any) (string, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("oidctest: %w", err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("oidctest: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c), nil
}

// publicPEM is the public key as a text, which is what makes HS256 with it work on those who
// take the algorithm from the token.
func publicPEM(key jose.JSONWebKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public().Key)
	if err != nil {
		return nil, fmt.Errorf("oidctest: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// github is the part of GitHub's interface that tells who a token belongs to.
func (p *Provider) github(w http.ResponseWriter, r *http.Request) {
	what := strings.TrimPrefix(r.URL.Path, "/api/v3")
	if p.breaks(w, r, what) {
		return
	}
	access, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	defer p.mu.Unlock()
	g, known := p.grants[access]
	if !ok || !known {
		answer(w, http.StatusUnauthorized, map[string]string{"message": "Bad credentials"})
		return
	}
	u := p.users[g.user]
	switch what {
	case "/user":
		body := map[string]any{"id": u["sub"], "login": g.user, "name": u["name"], "email": u["email"], "avatar_url": u["picture"], "url": u["profile"]}
		if f := githubFaults[p.fault]; f != nil {
			f(body)
		}
		answer(w, http.StatusOK, body)
	case "/user/emails":
		verified := u["email_verified"] == true && p.fault != "github: unverified"
		answer(w, http.StatusOK, []map[string]any{
			{"email": "spare-" + g.user + "@example.net", "primary": false, "verified": true},
			{"email": u["email"], "primary": true, "verified": verified},
			{"email": "other-" + g.user + "@example.net", "primary": false, "verified": true},
		})
	default:
		http.NotFound(w, r)
	}
}
