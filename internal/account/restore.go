package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

// Prefixes are those of the keys under which accounts are kept, and what was counted about them.
// One-time links are not among them.
func Prefixes() []string { return []string{usersPrefix, ownersPrefix, attemptsPrefix} }

const (
	usersPrefix    = "u/"
	ownersPrefix   = "ue/"
	attemptsPrefix = "ua/"
	ticketsPrefix  = "ut/"
)

// restorePage is how many users are read at once.
const restorePage = 100

// Restored makes unusable what users may have used up or withdrawn since a copy of the store was
// made: remembered devices, known browsers, and the codes of authenticator apps until now. Recovery codes that
// were used since work again; nothing in the copy tells them from others.
func (a *Accounts) Restored(ctx context.Context, now time.Time) error {
	for after := ""; ; {
		page, err := a.List(ctx, after, restorePage)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].ID
		for _, u := range page {
			_, err := a.Update(ctx, u.ID, func(u *User, _ *store.Change) error {
				if u.TOTP != nil {
					u.TOTP.SpendUntil(now)
				}
				return nil
			})
			if err := errors.Join(err, a.ForgetBrowsers(ctx, u.ID, "", "")); err != nil {
				return fmt.Errorf("user %s: %w", u.ID, err)
			}
		}
	}
}
