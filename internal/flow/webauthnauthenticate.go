package flow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

func (e *Engine) keyProof(u *account.User, k webauthn.Credential, verified bool, v Visitor, now time.Time) factors.Proof {
	return factors.Proof{
		Product: factors.WebAuthn, UserID: u.ID, CredentialID: k.ID, AuthenticatedAt: now,
		UserVerified: verified, Discoverable: k.Discoverable, BackupEligible: k.BackupEligible, HardwareKey: e.keys.HardwareKey(k),
		Attachment: k.Attachment, AAGUID: k.AAGUID, Domain: k.RPID, UserAgent: v.UserAgent,
	}
}

// StartAuthentication begins an authentication by WebAuthn and returns the options for the
// browser. In a session, the credentials of its user may answer, and of them those that bring
// the flow further when there are any; without one, any discoverable credential, or, when an
// e-mail address is given, those of its account. For an address without an account the answer is
// of the same form. required, which may be nil, is what the flow asks for.
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
		if allow = webauthn.AllowOf(e.useful(v, u.Keys, required), rp.ID); len(allow) == 0 {
			allow = webauthn.AllowOf(u.Keys, rp.ID)
		}
		if len(allow) == 0 {
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

// verifiesUser tells whether the authenticator must verify its user: where the flow has no use
// for a key that does not, and where a passkey is all that a visitor proves.
func (e *Engine) verifiesUser(v Visitor, required *policy.Requirement, email string) bool {
	if v.Session == nil {
		return email == "" || !e.starts(factors.WebAuthn)
	}
	missing := e.missing(v, required)
	if len(missing) == 0 { // what is proven is proven anew, as well as the flow wants it
		missing = required.MissingFor(&policy.Subject{}, e.db.Now())
	}
	verified := false
	for _, set := range missing {
		for _, need := range set {
			switch {
			case need.UserVerified || need.Factor == string(factors.Passkey):
				verified = true
			case need.Factor == string(factors.WebAuthn):
				return false
			}
		}
	}
	return verified
}

// missing is what the flow of a visitor is missing now.
func (e *Engine) missing(v Visitor, required *policy.Requirement) [][]policy.Need {
	return required.MissingAhead(e.subject(v), e.db.Now(), e.db.Now(), nil)
}

// useful lists the keys whose proof would change what the flow is missing.
func (e *Engine) useful(v Visitor, keys []webauthn.Credential, required *policy.Requirement) []webauthn.Credential {
	now := e.db.Now()
	before := e.missing(v, required)
	var out []webauthn.Credential
	for _, k := range keys {
		f := policy.Factor{
			Name: string(factors.WebAuthn), ID: k.ID, At: now, UserVerified: true, Discoverable: k.Discoverable,
			BackupEligible: k.BackupEligible, Attachment: k.Attachment, AAGUID: k.AAGUID,
		}
		after := e.subject(v)
		after.Factors = append(slices.Clip(after.Factors), f)
		for _, rule := range required.OnceFor(f) {
			f.ForRule = rule
			after.Factors = append(after.Factors, f)
		}
		if !slices.EqualFunc(before, required.MissingAhead(after, now, now, nil), slices.Equal[[]policy.Need]) {
			out = append(out, k)
		}
	}
	return out
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
	return []webauthn.Allowed{e.madeUp(rp, folded)}, nil
}

// shapes are the credentials of widespread authenticators: how long their ids are, and how they
// are reached.
var shapes = []struct {
	size       int
	transports []string
}{
	{16, []string{"internal", "hybrid"}}, {20, []string{"internal", "hybrid"}}, {32, []string{"internal"}},
	{32, []string{"internal", "hybrid"}}, {48, []string{"nfc", "usb"}}, {64, []string{"usb"}},
}

// madeUp is a credential that nobody has. It looks like one of a widespread authenticator, and
// is the same whenever it is asked for.
func (e *Engine) madeUp(rp webauthn.RelyingParty, folded string) webauthn.Allowed {
	sum := sha512.Sum512([]byte(e.db.Keyring().Index("no such credential", rp.ID+"\x00"+folded)))
	pick := sha256.Sum256(sum[:])
	shape := shapes[int(pick[0])%len(shapes)]
	return webauthn.Allowed{RawID: sum[:shape.size], Transports: shape.transports}
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
	u, _, err := e.ownerOfKey(ctx, answer)
	if err != nil {
		return Result{}, e.failed(ctx, v, account.Attempt{}, err)
	}
	at := account.Uncounted(u.ID, factors.WebAuthn, u.Keys[keyIndex(&u, answer)].ID)
	return e.AddProof(ctx, v, at, func(ctx context.Context) (candidate, error) {
		u, rev, err := e.ownerOfKey(ctx, answer)
		if err != nil {
			return candidate{}, err
		}
		return e.verifyKey(ctx, v, rp, begun, answer, candidate{user: u, rev: rev, edited: true})
	})
}

// ownerOfKey returns the user whose credential answered.
func (e *Engine) ownerOfKey(ctx context.Context, answer webauthn.Answer) (account.User, store.Rev, error) {
	u, rev, err := e.accounts.Owner(ctx, account.OwnedKey, string(answer.RawID))
	if errors.Is(err, store.ErrNotFound) || err == nil && keyIndex(&u, answer) < 0 {
		return account.User{}, 0, ErrKeyIncorrect
	}
	return u, rev, err
}

func keyIndex(u *account.User, answer webauthn.Answer) int {
	return slices.IndexFunc(u.Keys, func(k webauthn.Credential) bool { return bytes.Equal(k.RawID, answer.RawID) })
}

func (e *Engine) verifyKey(ctx context.Context, v Visitor, rp webauthn.RelyingParty, begun ceremony, answer webauthn.Answer, c candidate) (candidate, error) {
	i, now := keyIndex(&c.user, answer), e.db.Now()
	known := c.user.Keys[i]
	a, err := e.keys.Authenticate(rp, c.user.Handle, known, answer.Challenge, begun.VerifyUser, answer, now)
	if errors.Is(err, webauthn.ErrCloned) {
		e.record(v, audit.Event{Kind: audit.KeyCloned, UserID: c.user.ID, CredentialID: known.ID})
		// Only what the key itself signed counts against it: its id is no secret, and whoever
		// knows it could switch it off.
		if err := e.accounts.CountFailure(ctx, c.user.ID, known.ID); err != nil {
			return candidate{}, err
		}
	}
	if err != nil {
		return candidate{}, keyRefusal(err)
	}
	if err := e.accounts.Usable(ctx, c.user.ID, known.ID); err != nil {
		return candidate{}, err
	}
	c.user.Keys = slices.Clone(c.user.Keys)
	c.user.Keys[i] = a.Credential
	c.proof = e.keyProof(&c.user, a.Credential, a.UserVerified, v, now)
	return c, nil
}
