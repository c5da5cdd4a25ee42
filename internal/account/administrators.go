package account

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stepgate/stepgate/internal/store"
)

// ErrLastAdministrator means that a change would leave nobody who administers the gateway.
var ErrLastAdministrator = errors.New("this is the last administrator")

// Administers tells whether u may administer the gateway: a member of AdminGroup, put there by an
// administrator, whose account is not locked. No identity provider makes one.
func (u *User) Administers() bool { return !u.Locked() && slices.Contains(u.Groups, AdminGroup) }

// RequireAnother adds to c that somebody besides the user id administers the gateway when c is
// applied. The error is ErrLastAdministrator.
func (a *Accounts) RequireAnother(ctx context.Context, c *store.Change, id string) error {
	const page = 500
	for after := ""; ; {
		rows, err := a.users.List(ctx, "", after, page)
		if err != nil {
			return fmt.Errorf("look for administrators: %w", err)
		}
		for _, r := range rows {
			if r.ID != id && r.Value.Administers() {
				a.users.Require(c, r.ID, r.Rev)
				return nil
			}
		}
		if len(rows) < page {
			return ErrLastAdministrator
		}
		after = rows[len(rows)-1].ID
	}
}
