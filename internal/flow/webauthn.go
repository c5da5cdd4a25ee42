package flow

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
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

func (e *Engine) keyProof(u *account.User, k webauthn.Credential, verified bool, v Visitor, now time.Time) factors.Proof {
	return factors.Proof{
		Product: factors.WebAuthn, UserID: u.ID, CredentialID: k.ID, AuthenticatedAt: now,
		UserVerified: verified, Discoverable: k.Discoverable, BackupEligible: k.BackupEligible, HardwareKey: e.keys.HardwareKey(k),
		Attachment: k.Attachment, AAGUID: k.AAGUID, Domain: k.RPID, UserAgent: v.UserAgent,
	}
}

// StartAuthentication begins an authentication by WebAuthn and returns the options for the
// browser. In a session, the credentials of its user may answer; without one, any discoverable
// credential, or, when an e-mail address is given, those of its account. For an address
// without an account the answer is of the same form. required, which may be nil, is what the
// flow asks for.
func (e *Engine) StartAuthentication(ctx context.Context, v Visitor, email string, required *policy.Requirement) (json.RawMessage, error) {
	if !e.offersKeys() {
		return nil, ErrNotOffered
	}
	rp, err := e.relyingParty(v)
	if err != nil {
		return nil, err
	}
	begun := ceremony{VerifyUser: e.verifiesUser(v, required, email)}
	var allow []webauthn.Allowed
	switch {
	case v.Session != nil:
		u, err := e.User(ctx, v)
		if err != nil {
			return nil, err
		}
		if allow = webauthn.AllowOf(u.Keys, rp.ID); len(allow) == 0 {
			return nil, ErrKeyNotFound
		}
	case v.Browser == "":
		return nil, ErrNoBrowser
	case email != "":
		if allow, err = e.allowFor(ctx, rp, email); err != nil {
			return nil, err
		}
	}
	challenge, err := e.begin(v, rp, begun)
	if err != nil {
		return nil, asError(err)
	}
	options, err := e.keys.AuthenticationOptions(rp, challenge, allow, begun.VerifyUser)
	return options, asError(err)
}

// verifiesUser tells whether the authenticator must verify its user: where the flow asks for
// it, and where a passkey is all that a visitor proves.
func (e *Engine) verifiesUser(v Visitor, required *policy.Requirement, email string) bool {
	if v.Session == nil {
		return email == "" || !e.starts(factors.WebAuthn)
	}
	for _, set := range required.MissingFor(e.subject(v), e.db.Now()) {
		for _, need := range set {
			if need.UserVerified || need.Factor == string(factors.Passkey) {
				return true
			}
		}
	}
	return false
}

// allowFor lists the credentials of the account with an address. An address that has none
// gets one that is made up, and always the same.
func (e *Engine) allowFor(ctx context.Context, rp webauthn.RelyingParty, email string) ([]webauthn.Allowed, error) {
	folded, err := account.FoldEmail(email)
	if err != nil {
		return nil, asError(err)
	}
	u, _, err := e.accounts.ByEmail(ctx, folded)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, asError(err)
	}
	if allow := webauthn.AllowOf(u.Keys, rp.ID); len(allow) > 0 && !u.Locked() {
		return allow, nil
	}
	sum := sha256.Sum256([]byte(e.db.Keyring().Index("no such credential", rp.ID+"\x00"+folded)))
	return []webauthn.Allowed{{RawID: sum[:], Transports: []string{"internal", "hybrid"}}}, nil
}

// AuthenticateKey proves a WebAuthn credential. No lock of an account stops it.
func (e *Engine) AuthenticateKey(ctx context.Context, v Visitor, response []byte) (Result, error) {
	if !e.offersKeys() {
		return Result{}, ErrNotOffered
	}
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return Result{}, asError(err)
	}
	rp, err := e.relyingParty(v)
	if err != nil {
		return Result{}, err
	}
	answer, err := webauthn.Read(response)
	if err != nil {
		return Result{}, with(ErrKeyMalformed, err, 0)
	}
	begun, err := e.answered(ctx, v, rp, answer)
	if err == nil && begun.Register {
		err = ErrKeyIncorrect
	}
	if err != nil {
		return Result{}, e.failed(ctx, v, account.Attempt{}, err)
	}
	return e.AddProof(ctx, v, account.Attempt{}, func(ctx context.Context) (candidate, error) {
		u, rev, err := e.accounts.Owner(ctx, account.OwnedKey, string(answer.RawID))
		if errors.Is(err, store.ErrNotFound) {
			return candidate{}, ErrKeyIncorrect
		}
		if err != nil {
			return candidate{}, err
		}
		return e.verifyKey(v, rp, begun, answer, candidate{user: u, rev: rev, edited: true})
	})
}

func (e *Engine) verifyKey(v Visitor, rp webauthn.RelyingParty, begun ceremony, answer webauthn.Answer, c candidate) (candidate, error) {
	i := -1
	for j := range c.user.Keys {
		if string(c.user.Keys[j].RawID) == string(answer.RawID) {
			i = j
		}
	}
	if i < 0 {
		return candidate{}, ErrKeyIncorrect
	}
	now := e.db.Now()
	a, err := e.keys.Authenticate(rp, c.user.Handle, c.user.Keys[i], answer.Challenge, begun.VerifyUser, answer, now)
	if errors.Is(err, webauthn.ErrCloned) {
		e.record(v, audit.Event{Kind: audit.KeyCloned, UserID: c.user.ID, CredentialID: c.user.Keys[i].ID})
	}
	if err != nil {
		return candidate{}, keyRefusal(err)
	}
	keys := append([]webauthn.Credential(nil), c.user.Keys...)
	keys[i] = a.Credential
	c.user.Keys = keys
	c.proof = e.keyProof(&c.user, a.Credential, a.UserVerified, v, now)
	return c, nil
}

// RenameKey changes what a WebAuthn credential of the visitor is called.
func (e *Engine) RenameKey(ctx context.Context, v Visitor, id, name string) error {
	u, _, err := e.user(ctx, v)
	if err != nil {
		return err
	}
	name = strings.TrimSpace(name)
	if name == "" || len(name) > account.MaxName {
		return ErrTooMany
	}
	_, err = e.accounts.Update(ctx, u.ID, func(u *account.User, _ *store.Change) error {
		u.Keys = append([]webauthn.Credential(nil), u.Keys...)
		k := u.Key(id)
		if k == nil {
			return store.ErrNotFound
		}
		k.Name = name
		return nil
	})
	return asError(err)
}

// AcceptedKeys lists what a browser may keep of the visitor's credentials on this site
// (WebAuthn, section 5.1.10): the relying party, the user handle and the credential ids.
func (e *Engine) AcceptedKeys(v Visitor, u *account.User) (rpID string, handle []byte, ids [][]byte) {
	rp, err := e.relyingParty(v)
	if err != nil {
		return "", nil, nil
	}
	for _, a := range webauthn.AllowOf(u.Keys, rp.ID) {
		ids = append(ids, a.RawID)
	}
	return rp.ID, u.Handle, ids
}

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
