package flow

import (
	"context"
	"errors"
	"net/http"

	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/store"
)

// ErrForeignHash refuses the password hash of an imported user.
var ErrForeignHash = refusal(http.StatusBadRequest, "invalid_password_hash",
	"The password hash cannot be kept: argon2, bcrypt, scrypt, PBKDF2 and SHA-crypt can, at a cost within bounds. Leave the hash out, and the person sets a new password by mail.")

// Import is one user whom another system knew.
type Import struct {
	Email    string   `json:"email"`
	Name     string   `json:"name,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Verified bool     `json:"verified,omitempty"`
	// Locked makes an account that nobody can sign in to before it is unlocked.
	Locked bool `json:"locked,omitempty"`
	// PasswordHash is in PHC or crypt form; empty for an account without a password. It is
	// replaced at the next sign-in.
	PasswordHash string `json:"password_hash,omitempty"`
}

// ImportStatus says what became of one user.
type ImportStatus string

// What can become of a user who is imported.
const (
	Imported        ImportStatus = "imported"
	ImportExists    ImportStatus = "exists"
	ImportRefused   ImportStatus = "refused"
	ImportNotStored ImportStatus = "acceptable"
)

// ImportResult is what became of one user. Refusal is nil unless the user was refused.
type ImportResult struct {
	Status ImportStatus
	UserID string
	// Administers tells that the account may administer the gateway, by its groups.
	Administers bool
	Refusal     *Error
}

// Import makes the account of a user whom another system knew. An account that has the address
// already stays as it is. With dry, nothing is made: the status is what it would be, or
// ImportNotStored. The error means that it could not be told.
func (a Administrator) Import(ctx context.Context, in Import, dry bool) (ImportResult, error) {
	u, err := a.importUser(ctx, in, dry)
	var known *Error
	switch {
	case err == nil && dry:
		return ImportResult{Status: ImportNotStored, Administers: u.Administers()}, nil
	case err == nil:
		a.record(audit.Event{Kind: audit.AccountCreated, UserID: u.ID, Reason: "imported"})
		return ImportResult{Status: Imported, UserID: u.ID, Administers: u.Administers()}, nil
	case errors.Is(err, account.ErrExists):
		return ImportResult{Status: ImportExists}, nil
	}
	err = asError(err)
	if errors.As(err, &known) && known.Status < http.StatusInternalServerError {
		return ImportResult{Status: ImportRefused, Refusal: known}, nil
	}
	return ImportResult{}, err
}

func (a Administrator) importUser(ctx context.Context, in Import, dry bool) (account.User, error) {
	n := account.NewUser{Email: in.Email, Name: in.Name, Groups: in.Groups, Verified: in.Verified}
	now := a.e.db.Now()
	var hash *password.Credential
	if in.PasswordHash != "" {
		kept, err := a.e.hasher.Adopt(in.PasswordHash, now)
		if err != nil {
			return account.User{}, with(ErrForeignHash, err, 0)
		}
		hash = &kept
	}
	edit := func(u *account.User) {
		u.Password = hash
		if in.Locked {
			u.LockedAt = now
		}
	}
	if dry {
		return a.e.accounts.Add(ctx, new(store.Change), n, edit)
	}
	return a.e.accounts.Create(ctx, n, edit)
}
