package account

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/store"
)

// Owned is a kind of thing that belongs to one user at most.
type Owned string

// The kinds, and the one spelling under which each is known: an address folded by FoldEmail, a
// number in E.164, the raw id of a WebAuthn credential, what IdentityKey and WalletKey return.
const (
	OwnedEmail    Owned = "email"
	OwnedPhone    Owned = "phone"
	OwnedKey      Owned = "webauthn"
	OwnedIdentity Owned = "identity"
	OwnedWallet   Owned = "wallet"
)

// owner is the stored entry of the index of owners.
type owner struct {
	UserID string `cbor:"1,keyasint"`
}

// IdentityKey is the one spelling of an identity: issuer and subject together.
func IdentityKey(issuer, subject string) string { return issuer + "\x00" + subject }

// WalletKey is the one spelling of a wallet.
func WalletKey(chain, address string) string { return chain + "\x00" + address }

// ownerKey holds no personal data.
func (a *Accounts) ownerKey(kind Owned, what string) string {
	return a.db.Keyring().Index(string(kind)+" owner", what)
}

// Owner returns the user whom a thing belongs to, or store.ErrNotFound.
func (a *Accounts) Owner(ctx context.Context, kind Owned, what string) (User, store.Rev, error) {
	o, _, err := a.owners.Get(ctx, a.ownerKey(kind, what))
	if err != nil {
		return User{}, 0, err
	}
	return a.users.Get(ctx, o.UserID)
}

// claim adds to c that a thing belongs to a user; the change conflicts when it is taken
// meanwhile. The error is ErrExists.
func (a *Accounts) claim(ctx context.Context, c *store.Change, kind Owned, what, userID string) error {
	key := a.ownerKey(kind, what)
	if _, _, err := a.owners.Get(ctx, key); err == nil {
		return ErrExists
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return a.owners.Insert(c, key, owner{UserID: userID}, time.Time{})
}

// owned lists everything of u in the index of owners.
func (u *User) owned() iter.Seq2[Owned, string] {
	return func(yield func(Owned, string) bool) {
		for _, e := range u.Emails {
			if !yield(OwnedEmail, e.Address) {
				return
			}
		}
		for _, p := range u.Phones {
			if !yield(OwnedPhone, p.Number) {
				return
			}
		}
		for _, k := range u.Keys {
			if !yield(OwnedKey, string(k.RawID)) {
				return
			}
		}
		for _, i := range u.Identities {
			if !yield(OwnedIdentity, IdentityKey(i.Issuer, i.Subject)) {
				return
			}
		}
		for _, w := range u.Wallets {
			if !yield(OwnedWallet, WalletKey(w.Chain, w.Address)) {
				return
			}
		}
	}
}

// AddEmail adds to c that u, which the caller stores, has a further address.
func (a *Accounts) AddEmail(ctx context.Context, c *store.Change, u *User, folded string, verified bool) error {
	if len(u.Emails) >= maxEmails {
		return ErrTooMany
	}
	now := a.db.Now()
	e := Email{ID: a.EmailID(folded), Address: folded, Verified: verified, CreatedAt: now}
	if verified {
		e.VerifiedAt = now
	}
	u.Emails = append(slices.Clone(u.Emails), e)
	return a.claim(ctx, c, OwnedEmail, folded, u.ID)
}

// PhoneID is the id of a phone number in E.164. It follows from the number alone, so that it
// is the same whether or not the number belongs to an account.
func (a *Accounts) PhoneID(number string) string {
	return "phone-" + a.db.Keyring().Index("phone id", number)
}

// AddPhone adds to c that u, which the caller stores, has a further proven number.
func (a *Accounts) AddPhone(ctx context.Context, c *store.Change, u *User, number string) error {
	if len(u.Phones) >= maxPhones {
		return ErrTooMany
	}
	u.Phones = append(slices.Clone(u.Phones), Phone{ID: a.PhoneID(number), Number: number, VerifiedAt: a.db.Now()})
	return a.claim(ctx, c, OwnedPhone, number, u.ID)
}

// AddKey adds to c that u, which the caller stores, has a further WebAuthn credential.
func (a *Accounts) AddKey(ctx context.Context, c *store.Change, u *User, k webauthn.Credential) error {
	if len(u.Keys) >= maxKeys {
		return ErrTooMany
	}
	u.Keys = append(slices.Clone(u.Keys), k)
	return a.claim(ctx, c, OwnedKey, string(k.RawID), u.ID)
}

// IdentityID is the id of an identity at a provider.
func (a *Accounts) IdentityID(issuer, subject string) string {
	return "oauth-" + a.db.Keyring().Index("identity id", IdentityKey(issuer, subject))
}

// AddIdentity adds to c that u, which the caller stores, has a further identity at a provider.
func (a *Accounts) AddIdentity(ctx context.Context, c *store.Change, u *User, i Identity) error {
	if len(u.Identities) >= maxIdentities {
		return ErrTooMany
	}
	i.ID = a.IdentityID(i.Issuer, i.Subject)
	u.Identities = append(slices.Clone(u.Identities), i)
	return a.claim(ctx, c, OwnedIdentity, IdentityKey(i.Issuer, i.Subject), u.ID)
}

// WalletID is the id of a wallet.
func (a *Accounts) WalletID(chain, address string) string {
	return "wallet-" + a.db.Keyring().Index("wallet id", WalletKey(chain, address))
}

// AddWallet adds to c that u, which the caller stores, has a further wallet.
func (a *Accounts) AddWallet(ctx context.Context, c *store.Change, u *User, w Wallet) error {
	if len(u.Wallets) >= maxWallets {
		return ErrTooMany
	}
	w.ID = a.WalletID(w.Chain, w.Address)
	u.Wallets = append(slices.Clone(u.Wallets), w)
	return a.claim(ctx, c, OwnedWallet, WalletKey(w.Chain, w.Address), u.ID)
}

// Remove adds to c that u, which the caller stores, no longer has the address, number,
// WebAuthn credential, identity or wallet with that id. It returns false when there is none.
func (a *Accounts) Remove(c *store.Change, u *User, id string) bool {
	release := func(kind Owned, what string) bool {
		a.owners.Delete(c, a.ownerKey(kind, what))
		return true
	}
	if e := u.Email(id); e != nil {
		address := e.Address
		u.Emails = without(u.Emails, func(e Email) bool { return e.ID == id })
		return release(OwnedEmail, address)
	}
	if p := u.Phone(id); p != nil {
		number := p.Number
		u.Phones = without(u.Phones, func(p Phone) bool { return p.ID == id })
		return release(OwnedPhone, number)
	}
	if k := u.Key(id); k != nil {
		raw := string(k.RawID)
		u.Keys = without(u.Keys, func(k webauthn.Credential) bool { return k.ID == id })
		return release(OwnedKey, raw)
	}
	if i := u.Identity(id); i != nil {
		key := IdentityKey(i.Issuer, i.Subject)
		u.Identities = without(u.Identities, func(i Identity) bool { return i.ID == id })
		return release(OwnedIdentity, key)
	}
	if w := u.Wallet(id); w != nil {
		key := WalletKey(w.Chain, w.Address)
		u.Wallets = without(u.Wallets, func(w Wallet) bool { return w.ID == id })
		return release(OwnedWallet, key)
	}
	return false
}

func without[T any](list []T, gone func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), gone)
}
