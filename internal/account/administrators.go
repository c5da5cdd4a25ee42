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

// maxAdministrators bounds those whom Administrators lists.
const maxAdministrators = 100

// Administrators lists the ids of those who administer the gateway, at most 100.
func (a *Accounts) Administrators(ctx context.Context) ([]string, error) {
	var out []string
	_, err := a.eachAdministrator(ctx, func(r store.Row[User]) bool {
		out = append(out, r.ID)
		return len(out) < maxAdministrators
	})
	return out, err
}

// RequireAnother adds to c that somebody besides the user id administers the gateway when c is
// applied. The error is ErrLastAdministrator.
func (a *Accounts) RequireAnother(ctx context.Context, c *store.Change, id string) error {
	all, err := a.eachAdministrator(ctx, func(r store.Row[User]) bool {
		if r.ID == id {
			return true
		}
		a.users.Require(c, r.ID, r.Rev)
		return false
	})
	if err == nil && all {
		return ErrLastAdministrator
	}
	return err
}

// eachAdministrator calls f for those who administer the gateway, until f returns false; then all
// is false.
func (a *Accounts) eachAdministrator(ctx context.Context, f func(store.Row[User]) bool) (all bool, err error) {
	const page = 500
	for after := ""; ; {
		rows, err := a.users.List(ctx, "", after, page)
		if err != nil {
			return false, fmt.Errorf("look for administrators: %w", err)
		}
		for _, r := range rows {
			if r.Value.Administers() && !f(r) {
				return false, nil
			}
		}
		if len(rows) < page {
			return true, nil
		}
		after = rows[len(rows)-1].ID
	}
}
