// Package account keeps users, their credentials, and the rules by which credentials are
// added, changed and removed.
//
// A user and all credentials of that user are one record, so that every rule that looks at
// several of them is decided and written in one atomic step.
package account

import (
	"maps"
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/factors/recovery"
	"github.com/stepgate/stepgate/factors/totp"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/policy"
)

// AdminGroup is the group whose members administer the gateway.
const AdminGroup = "admins"

// User is one account with everything that is enrolled for it.
type User struct {
	ID        string    `cbor:"1,keyasint"`
	Name      string    `cbor:"2,keyasint"`
	Groups    []string  `cbor:"3,keyasint"`
	Emails    []Email   `cbor:"4,keyasint"`
	CreatedAt time.Time `cbor:"5,keyasint"`
	UpdatedAt time.Time `cbor:"6,keyasint"`
	// LockedAt is set while an administrator keeps the account locked.
	LockedAt time.Time `cbor:"7,keyasint,omitempty"`

	Password *password.Credential `cbor:"8,keyasint,omitempty"`
	// TOTP is the active authenticator app; PendingTOTP one whose first code is awaited.
	TOTP        *totp.Credential `cbor:"9,keyasint,omitempty"`
	PendingTOTP *totp.Credential `cbor:"10,keyasint,omitempty"`
	Recovery    *recovery.Set    `cbor:"11,keyasint,omitempty"`

	CustomClaims map[string]any `cbor:"12,keyasint,omitempty"`

	Phones []Phone `cbor:"13,keyasint,omitempty"`
	// Handle is the user handle of WebAuthn: random, and drawn with the first credential.
	Handle     []byte                `cbor:"14,keyasint,omitempty"`
	Keys       []webauthn.Credential `cbor:"15,keyasint,omitempty"`
	Identities []Identity            `cbor:"16,keyasint,omitempty"`
	Wallets    []Wallet              `cbor:"17,keyasint,omitempty"`
	Devices    []Device              `cbor:"18,keyasint,omitempty"`
	// BreakGlass are the codes that an administrator keeps for the day when all else is lost.
	BreakGlass *recovery.Set `cbor:"19,keyasint,omitempty"`
	// LinksSince makes all links and codes void that were sent before it.
	LinksSince time.Time `cbor:"20,keyasint,omitempty"`
}

// Phone is one phone number of a user. A number is stored only once it was proven.
type Phone struct {
	ID string `cbor:"1,keyasint"`
	// Number is in E.164.
	Number     string    `cbor:"2,keyasint"`
	VerifiedAt time.Time `cbor:"3,keyasint"`
}

// Identity is one identity at an OAuth or OpenID Connect provider.
type Identity struct {
	ID string `cbor:"1,keyasint"`
	// Provider is the name of the provider in the configuration.
	Provider string `cbor:"2,keyasint"`
	Issuer   string `cbor:"3,keyasint"`
	Subject  string `cbor:"4,keyasint"`
	// Email is what the provider called the address; it identifies nobody.
	Email      string    `cbor:"5,keyasint,omitempty"`
	CreatedAt  time.Time `cbor:"6,keyasint"`
	LastUsedAt time.Time `cbor:"7,keyasint"`
	// Groups and Claims are what the operator maps from the provider, as of the last use.
	Groups []string       `cbor:"8,keyasint,omitempty"`
	Claims map[string]any `cbor:"9,keyasint,omitempty"`
}

// Wallet is one crypto wallet.
type Wallet struct {
	ID string `cbor:"1,keyasint"`
	// Chain is ethereum or solana; Address is the one spelling under which it is stored.
	Chain      string    `cbor:"2,keyasint"`
	Address    string    `cbor:"3,keyasint"`
	CreatedAt  time.Time `cbor:"4,keyasint"`
	LastUsedAt time.Time `cbor:"5,keyasint"`
}

// Email is one e-mail address of a user. The first of a user is the one shown to apps.
type Email struct {
	ID         string    `cbor:"1,keyasint"`
	Address    string    `cbor:"2,keyasint"`
	Verified   bool      `cbor:"3,keyasint"`
	CreatedAt  time.Time `cbor:"4,keyasint"`
	VerifiedAt time.Time `cbor:"5,keyasint,omitempty"`
}

// Locked tells whether an administrator locked the account.
func (u *User) Locked() bool { return !u.LockedAt.IsZero() }

// PrimaryEmail is the address by which the account is known; the zero Email when it has none.
func (u *User) PrimaryEmail() Email {
	if len(u.Emails) == 0 {
		return Email{}
	}
	return u.Emails[0]
}

// Email returns the entry with that id, or nil.
func (u *User) Email(id string) *Email {
	for i := range u.Emails {
		if u.Emails[i].ID == id {
			return &u.Emails[i]
		}
	}
	return nil
}

// HasVerifiedEmail tells whether any address of the user was proven.
func (u *User) HasVerifiedEmail() bool {
	return slices.ContainsFunc(u.Emails, func(e Email) bool { return e.Verified })
}

// Phone returns the number with that id, or nil.
func (u *User) Phone(id string) *Phone {
	return byID(u.Phones, id, func(p *Phone) string { return p.ID })
}

// Key returns the WebAuthn credential with that registration id, or nil.
func (u *User) Key(id string) *webauthn.Credential {
	return byID(u.Keys, id, func(k *webauthn.Credential) string { return k.ID })
}

// Identity returns the identity with that id, or nil.
func (u *User) Identity(id string) *Identity {
	return byID(u.Identities, id, func(i *Identity) string { return i.ID })
}

// Wallet returns the wallet with that id, or nil.
func (u *User) Wallet(id string) *Wallet {
	return byID(u.Wallets, id, func(w *Wallet) string { return w.ID })
}

func byID[T any](list []T, id string, idOf func(*T) string) *T {
	for i := range list {
		if idOf(&list[i]) == id {
			return &list[i]
		}
	}
	return nil
}

// PasswordUsable tells whether the user can sign in with a password now.
func (u *User) PasswordUsable() bool { return u.Password != nil && !u.Password.MustReset }

// Enrolled lists what the user could prove, as the policy names it. Times are zero. A proven
// mailbox stands in the list as code and as link.
func (u *User) Enrolled() []policy.Factor {
	var out []policy.Factor
	add := func(p factors.Product, id, variant string) {
		out = append(out, policy.Factor{Name: string(p), ID: id, Variant: variant})
	}
	if u.PasswordUsable() {
		add(factors.Password, PasswordID(u.ID), "")
	}
	for _, e := range u.Emails {
		if e.Verified {
			add(factors.EmailOTP, e.ID, "")
			add(factors.MagicLink, e.ID, "")
		}
	}
	for _, p := range u.Phones {
		add(factors.SMSOTP, p.ID, "")
		add(factors.WhatsAppOTP, p.ID, "")
	}
	for _, i := range u.Identities {
		add(factors.OAuth, i.ID, i.Provider)
	}
	for _, k := range u.Keys {
		out = append(out, policy.Factor{
			Name: string(factors.WebAuthn), ID: k.ID, UserVerified: k.UserVerified, Discoverable: k.Discoverable,
			BackupEligible: k.BackupEligible, Attachment: k.Attachment, AAGUID: k.AAGUID,
		})
	}
	for _, w := range u.Wallets {
		add(factors.CryptoWallet, w.ID, w.Chain)
	}
	if u.TOTP != nil {
		add(factors.TOTP, u.TOTP.ID, "")
	}
	if u.TOTP != nil && u.Recovery.Left() > 0 {
		add(factors.RecoveryCode, RecoveryID(u.ID), "")
	}
	return out
}

// AllGroups lists the groups given by administrators and those that identity providers gave.
func (u *User) AllGroups() []string {
	if len(u.Identities) == 0 {
		return u.Groups
	}
	out := slices.Clone(u.Groups)
	for _, i := range u.Identities {
		out = append(out, i.Groups...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// AllClaims are the custom claims mapped from identity providers and those set by
// administrators, which hold over the former.
func (u *User) AllClaims() map[string]any {
	out := make(map[string]any)
	for _, i := range u.Identities {
		maps.Copy(out, i.Claims)
	}
	maps.Copy(out, u.CustomClaims)
	return out
}

// GroupsOfProvider cuts the groups that an identity provider names to sane ones. No provider
// makes an administrator of the gateway: that group is given here only.
func GroupsOfProvider(groups []string) []string {
	var out []string
	for _, g := range groups {
		if goodGroup(g) && g != AdminGroup && len(out) < maxGroups {
			out = append(out, g)
		}
	}
	return out
}

// PasswordID names the password credential of a user; a user has at most one.
func PasswordID(userID string) string { return "password-" + userID }

// RecoveryID names the set of recovery codes of a user.
func RecoveryID(userID string) string { return "recovery-" + userID }
