package flow

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/store"
)

// StartRegistration begins the registration of a passkey (authenticatorType "platform"), a
// security key ("cross-platform") or either ("") and returns the options for the browser.
func (e *Engine) StartRegistration(ctx context.Context, v Visitor, authenticatorType string) (json.RawMessage, error) {
	kind := webauthn.Kind(authenticatorType)
	if !kind.Known() {
		return nil, ErrKeyMalformed
	}
	if !e.offersKind(kind) {
		return nil, ErrNotOffered
	}
	if err := e.mayAddKey(ctx, v); err != nil {
		return nil, err
	}
	rp, err := e.relyingParty(v)
	if err != nil {
		return nil, err
	}
	// The handle must be in the account before an authenticator learns of it.
	u, err := e.change(ctx, v, account.ChangeMaxAge, func(u *account.User, _ *store.Change) error {
		return e.drawHandle(u)
	})
	if err != nil {
		return nil, err
	}
	challenge, err := e.begin(v, rp, ceremony{Register: true, Kind: kind})
	if err != nil {
		return nil, asError(err)
	}
	options, err := e.keys.RegistrationOptions(rp, keyUser(&u), kind, challenge, u.Keys)
	return options, asError(err)
}

// drawHandle gives a user the handle that all their WebAuthn credentials carry.
func (e *Engine) drawHandle(u *account.User) error {
	if len(u.Handle) == webauthn.HandleSize {
		return nil
	}
	handle, err := e.draw(webauthn.HandleSize)
	u.Handle = handle
	return err
}

func keyUser(u *account.User) webauthn.User {
	name := u.PrimaryEmail().Address
	shown := u.Name
	if shown == "" {
		shown = name
	}
	return webauthn.User{Handle: u.Handle, Name: name, DisplayName: shown}
}

func (e *Engine) offersKind(k webauthn.Kind) bool {
	switch k {
	case webauthn.Passkey:
		return e.Offers(factors.Passkey)
	case webauthn.SecurityKey:
		return e.Offers(factors.WebAuthn)
	case webauthn.AnyKind:
		return e.offersKeys()
	}
	return false
}

// mayAddKey tells whether the visitor's account may be given a WebAuthn credential.
func (e *Engine) mayAddKey(ctx context.Context, v Visitor) error {
	u, err := e.mayEnrol(ctx, v)
	if err != nil {
		return err
	}
	return asError(account.MayAddKey(&u))
}

// Register finishes a registration. The new credential is proven with it: the session of the
// result carries it.
func (e *Engine) Register(ctx context.Context, v Visitor, response []byte, name string) (Result, string, error) {
	if len(name) > account.MaxName {
		return Result{}, "", ErrTooMany
	}
	if err := e.mayAddKey(ctx, v); err != nil {
		return Result{}, "", err
	}
	rp, err := e.relyingParty(v)
	if err != nil {
		return Result{}, "", err
	}
	answer, err := webauthn.Read(response)
	if err != nil {
		return Result{}, "", with(ErrKeyMalformed, err, 0)
	}
	begun, err := e.answered(ctx, v, rp, answer)
	if err != nil {
		return Result{}, "", asError(err)
	}
	if !begun.Register {
		return Result{}, "", ErrKeyIncorrect
	}
	id, err := uuid.NewRandomFromReader(e.rand)
	if err != nil {
		return Result{}, "", asError(err)
	}
	registration := "webauthn-registration-" + id.String()
	result, err := e.AddProof(ctx, v, account.Attempt{}, func(ctx context.Context) (candidate, error) {
		var c candidate
		if err := e.enrolling(ctx, v, &c); err != nil {
			return candidate{}, err
		}
		if err := account.MayAddKey(&c.user); err != nil {
			return candidate{}, err
		}
		now := e.db.Now()
		key, err := e.keys.Register(rp, keyUser(&c.user), begun.Kind, answer.Challenge, c.user.Keys, answer, now)
		if err != nil {
			return candidate{}, keyRefusal(err)
		}
		key.ID, key.Name, key.UserAgent, key.LastUsedAt = registration, keyName(name, key), v.UserAgent, now
		c.proof = e.keyProof(&c.user, key, key.UserVerified, v, now)
		return c, e.accounts.AddKey(ctx, &c.change, &c.user, key)
	})
	if err != nil {
		return Result{}, "", err
	}
	v.Session = result.Session
	return result, registration, e.added(ctx, v, factors.WebAuthn, registration, "a passkey or security key")
}

// keyName is what a credential is called: as its owner says, or after what it is.
func keyName(given string, k webauthn.Credential) string {
	switch given = strings.TrimSpace(given); {
	case given != "":
		return given
	case k.Discoverable && k.UserVerified:
		return "Passkey"
	}
	return "Security key"
}
