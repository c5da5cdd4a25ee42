// Package account keeps users, their credentials, and the rules by which credentials are
// added, changed and removed.
//
// A user and all credentials of that user are one record, so that every rule that looks at
// several of them is decided and written in one atomic step.
package account

import (
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/factors/recovery"
	"github.com/stepgate/stepgate/factors/totp"
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

// PasswordUsable tells whether the user can sign in with a password now.
func (u *User) PasswordUsable() bool { return u.Password != nil && !u.Password.MustReset }

// Enrolled lists what the user could prove, as the policy names it. Times are zero.
func (u *User) Enrolled() []policy.Factor {
	var out []policy.Factor
	if u.PasswordUsable() {
		out = append(out, policy.Factor{Name: string(factors.Password), ID: PasswordID(u.ID)})
	}
	for _, e := range u.Emails {
		if e.Verified {
			out = append(out, policy.Factor{Name: string(factors.EmailOTP), ID: e.ID})
		}
	}
	if u.TOTP != nil {
		out = append(out, policy.Factor{Name: string(factors.TOTP), ID: u.TOTP.ID})
	}
	if u.TOTP != nil && u.Recovery.Left() > 0 {
		out = append(out, policy.Factor{Name: string(factors.RecoveryCode), ID: RecoveryID(u.ID)})
	}
	return out
}

// PasswordID names the password credential of a user; a user has at most one.
func PasswordID(userID string) string { return "password-" + userID }

// RecoveryID names the set of recovery codes of a user.
func RecoveryID(userID string) string { return "recovery-" + userID }
