package flow

import (
	"context"
	"strings"

	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/store"
)

// RenameKey changes what a WebAuthn credential of the visitor is called: by that name its owner
// knows which one to remove, so that it is under the rules for changing factors.
func (e *Engine) RenameKey(ctx context.Context, v Visitor, id, name string) error {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > account.MaxName {
		return ErrTooMany
	}
	_, err := e.change(ctx, v, account.ChangeMaxAge, func(u *account.User, _ *store.Change) error {
		u.Keys = append([]webauthn.Credential(nil), u.Keys...)
		k := u.Key(id)
		if k == nil {
			return store.ErrNotFound
		}
		k.Name = name
		return nil
	})
	return err
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
