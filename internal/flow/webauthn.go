package flow

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/store"
)

// ceremony is what a WebAuthn challenge stands for. The challenge is this, sealed: it needs no
// storage until it is answered, so that pages which offer passkeys to strangers cost nothing.
type ceremony struct {
	Register bool          `cbor:"1,keyasint,omitempty"`
	Kind     webauthn.Kind `cbor:"2,keyasint,omitempty"`
	RPID     string        `cbor:"3,keyasint"`
	Origin   string        `cbor:"4,keyasint"`
	// Family is the session that the ceremony began in; empty for a sign-in, which belongs to
	// Browser.
	Family  string `cbor:"5,keyasint,omitempty"`
	Browser string `cbor:"6,keyasint,omitempty"`
	// VerifyUser is set when the authenticator must verify its user.
	VerifyUser bool      `cbor:"7,keyasint,omitempty"`
	ExpiresAt  time.Time `cbor:"8,keyasint"`
}

const ceremonyLabel = "webauthn challenge"

// spent marks a challenge that was answered, rightly or not.
type spent struct{}

// relyingParty is the site of a visitor as WebAuthn sees it.
func (e *Engine) relyingParty(v Visitor) (webauthn.RelyingParty, error) {
	u, err := url.Parse(v.Origin)
	if v.Origin == "" || err != nil {
		return webauthn.RelyingParty{}, ErrNoOrigin
	}
	host := u.Hostname()
	rp := webauthn.RelyingParty{ID: host, Origin: v.Origin, Name: e.opts.Issuer}
	if id := e.opts.RPID; id != "" && (host == id || strings.HasSuffix(host, "."+id) || e.relatedOrigin(v.Origin)) {
		rp.ID = id
	}
	if net.ParseIP(rp.ID) != nil {
		return webauthn.RelyingParty{}, ErrKeyHost
	}
	return rp, nil
}

func (e *Engine) relatedOrigin(origin string) bool {
	for _, o := range e.opts.RelatedOrigins {
		if o == origin {
			return true
		}
	}
	return false
}

// begin seals a ceremony that starts now into a challenge.
func (e *Engine) begin(v Visitor, rp webauthn.RelyingParty, c ceremony) ([]byte, error) {
	c.RPID, c.Origin, c.ExpiresAt = rp.ID, rp.Origin, e.db.Now().Add(webauthn.Life)
	if v.Session != nil {
		c.Family = v.Session.Family
	} else {
		c.Browser = e.browserMark(v)
	}
	plain, err := cbor.Marshal(c)
	if err != nil {
		return nil, err
	}
	return e.db.Keyring().Seal(ceremonyLabel, plain)
}

// browserMark stands for the visitor's browser in what is sealed or stored.
func (e *Engine) browserMark(v Visitor) string { return e.db.Keyring().Index("browser", v.Browser) }

// answered opens the challenge of an answer and spends it, whether or not the answer turns out
// to be right.
func (e *Engine) answered(ctx context.Context, v Visitor, rp webauthn.RelyingParty, a webauthn.Answer) (ceremony, error) {
	plain, err := e.db.Keyring().Open(ceremonyLabel, a.Challenge)
	if err != nil {
		return ceremony{}, with(ErrKeyIncorrect, err, 0)
	}
	var c ceremony
	if err := cbor.Unmarshal(plain, &c); err != nil {
		return ceremony{}, with(ErrKeyIncorrect, err, 0)
	}
	mine := v.Session != nil && c.Family == v.Session.Family
	if v.Session == nil {
		mine = c.Family == "" && v.Browser != "" && c.Browser == e.browserMark(v)
	}
	if !mine || c.RPID != rp.ID || c.Origin != rp.Origin {
		return ceremony{}, ErrKeyIncorrect
	}
	if !e.db.Now().Before(c.ExpiresAt) {
		return ceremony{}, ErrKeyExpired
	}
	sum := sha256.Sum256(a.Challenge)
	var change store.Change
	if err := e.spent.Insert(&change, base64.RawURLEncoding.EncodeToString(sum[:]), spent{}, c.ExpiresAt); err != nil {
		return ceremony{}, err
	}
	err = e.db.Apply(ctx, change)
	if errors.Is(err, store.ErrConflict) {
		return ceremony{}, ErrKeyExpired
	}
	return c, err
}

// offersKeys tells whether WebAuthn is on in either form.
func (e *Engine) offersKeys() bool { return e.Offers(factors.WebAuthn) || e.Offers(factors.Passkey) }

func keyRefusal(err error) error {
	switch {
	case errors.Is(err, webauthn.ErrRefused):
		return with(ErrKeyNotAccepted, err, 0)
	case errors.Is(err, factors.ErrUsed):
		return with(ErrDuplicateKey, err, 0)
	case errors.Is(err, factors.ErrMalformed):
		return with(ErrKeyMalformed, err, 0)
	case errors.Is(err, factors.ErrIncorrect), errors.Is(err, webauthn.ErrCloned):
		return with(ErrKeyIncorrect, err, 0)
	}
	return err
}
