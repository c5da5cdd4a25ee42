package flow

import (
	"context"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/session"
)

// Identities tells sessions who their users are.
type Identities struct{ Accounts *account.Accounts }

// Identity implements session.Users.
func (i Identities) Identity(ctx context.Context, userID string) (session.Identity, error) {
	u, _, err := i.Accounts.Get(ctx, userID)
	if err != nil {
		return session.Identity{}, err
	}
	m := u.PrimaryEmail()
	id := session.Identity{
		ID: u.ID, Email: m.Address, EmailVerified: m.Verified, Name: u.Name, Groups: u.AllGroups(),
		CustomClaims: u.AllClaims(), Administers: u.Administers(), Locked: u.Locked(),
	}
	for _, d := range u.Devices {
		id.Devices = append(id.Devices, session.Device{Secret: d.Secret, ProvenAt: d.ProvenAt, ExpiresAt: d.ExpiresAt})
	}
	return id, nil
}
