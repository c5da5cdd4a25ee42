package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/stepgate/stepgate/internal/store"
)

var (
	// ErrExists means that an e-mail address belongs to an account already.
	ErrExists = errors.New("the e-mail address belongs to an account already")
	// ErrTooMany means that a user has as many of something as one user can have.
	ErrTooMany = errors.New("too many entries for one user")
	// ErrGroup means that a text cannot be the name of a group.
	ErrGroup = errors.New("not the name of a group")
)

// Bounds of what one user can have. All entries of the owner index fit in one change.
const (
	maxEmails     = 10
	maxPhones     = 5
	maxKeys       = 20
	maxIdentities = 10
	maxWallets    = 10

	maxGroups = 100
	maxGroup  = 100
	// conflictRetries bounds how often a change is tried again after losing to another one.
	conflictRetries = 50
)

// MaxName bounds a display name, in bytes.
const MaxName = 200

// Accounts reads and changes users. Its methods are safe for parallel use.
type Accounts struct {
	db       *store.DB
	users    store.Table[User]
	owners   store.Table[owner]
	attempts store.Table[attempts]
	tickets  store.Table[Ticket]
	rand     io.Reader
	lockout  atomic.Pointer[Lockout]
	budget   *budget

	mu        sync.Mutex
	listeners []func(userID string)
}

// New returns the accounts kept in db.
func New(db *store.DB, lockout Lockout, rand io.Reader) (*Accounts, error) {
	b, err := newBudget(db)
	if err != nil {
		return nil, err
	}
	a := &Accounts{
		db:       db,
		users:    store.NewTable[User](db, usersPrefix, 1),
		owners:   store.NewTable[owner](db, ownersPrefix, 1),
		attempts: store.NewTable[attempts](db, attemptsPrefix, 1),
		tickets:  store.NewTable[Ticket](db, ticketsPrefix, 1),
		rand:     rand, budget: b,
	}
	a.SetLockout(lockout)
	return a, nil
}

// SetLockout changes when failures lock an account. Locks that hold keep their end.
func (a *Accounts) SetLockout(l Lockout) { a.lockout.Store(&l) }

// OnChange registers f to be called with the id of each user that was changed, after the
// change is stored and before the call that made it returns. An empty id stands for any user.
func (a *Accounts) OnChange(f func(userID string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listeners = append(a.listeners, f)
}

// Changed announces a change of a user that was stored outside Update.
func (a *Accounts) Changed(userID string) {
	a.mu.Lock()
	list := slices.Clone(a.listeners)
	a.mu.Unlock()
	for _, f := range list {
		f(userID)
	}
}

// EmailID is the id of an e-mail address. It follows from the address alone, so that it is
// the same whether or not the address belongs to an account.
func (a *Accounts) EmailID(folded string) string {
	return "email-" + a.db.Keyring().Index("email id", folded)
}

// Get returns a user, or store.ErrNotFound.
func (a *Accounts) Get(ctx context.Context, id string) (User, store.Rev, error) {
	return a.users.Get(ctx, id)
}

// ByEmail returns the user who has an address, verified or not, or store.ErrNotFound.
func (a *Accounts) ByEmail(ctx context.Context, folded string) (User, store.Rev, error) {
	return a.Owner(ctx, OwnedEmail, folded)
}

// List returns users in the order of their ids, after the id after.
func (a *Accounts) List(ctx context.Context, after string, limit int) ([]User, error) {
	rows, err := a.users.List(ctx, "", after, limit)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	out := make([]User, len(rows))
	for i, r := range rows {
		out[i] = r.Value
	}
	return out, nil
}

// Empty tells whether there is no user at all.
func (a *Accounts) Empty(ctx context.Context) (bool, error) {
	list, err := a.List(ctx, "", 1)
	return len(list) == 0, err
}

// NewUser is what Create needs to know.
type NewUser struct {
	Email    string
	Name     string
	Groups   []string
	Verified bool
}

// Add adds to c a new user with one address. edit, which may be nil, completes the user. It
// returns the user as it will be stored. The error is ErrAddress, ErrExists, ErrGroup, or ErrTooMany;
// the change conflicts when the address is taken meanwhile.
func (a *Accounts) Add(ctx context.Context, c *store.Change, n NewUser, edit func(*User)) (User, error) {
	folded, err := FoldEmail(n.Email)
	if err != nil {
		return User{}, err
	}
	groups, err := CleanGroups(n.Groups)
	if err != nil {
		return User{}, err
	}
	if len(n.Name) > MaxName {
		return User{}, ErrTooMany
	}
	id, err := uuid.NewRandomFromReader(a.rand)
	if err != nil {
		return User{}, fmt.Errorf("draw a user id: %w", err)
	}
	now := a.db.Now()
	u := User{ID: "user-" + id.String(), Name: n.Name, Groups: groups, CreatedAt: now, UpdatedAt: now}
	e := Email{ID: a.EmailID(folded), Address: folded, Verified: n.Verified, CreatedAt: now}
	if n.Verified {
		e.VerifiedAt = now
	}
	u.Emails = []Email{e}
	if edit != nil {
		edit(&u)
	}
	if err := a.users.Insert(c, u.ID, u, time.Time{}); err != nil {
		return User{}, err
	}
	return u, a.claim(ctx, c, OwnedEmail, folded, u.ID)
}

// CleanGroups sorts groups and drops repetitions. The error is ErrTooMany or ErrGroup.
func CleanGroups(groups []string) ([]string, error) {
	if len(groups) > maxGroups {
		return nil, ErrTooMany
	}
	if slices.ContainsFunc(groups, func(g string) bool { return !goodGroup(g) }) {
		return nil, ErrGroup
	}
	out := slices.Clone(groups)
	slices.Sort(out)
	return slices.Compact(out), nil
}

// goodGroup tells whether a text can be the name of a group. Applications get all names in one
// header, separated by commas.
func goodGroup(g string) bool {
	return g != "" && len(g) <= maxGroup && utf8.ValidString(g) && strings.TrimSpace(g) == g &&
		!strings.ContainsFunc(g, func(r rune) bool { return r == ',' || unicode.IsControl(r) })
}

// Create stores a new user, completed by edit, which may be nil.
func (a *Accounts) Create(ctx context.Context, n NewUser, edit func(*User)) (User, error) {
	for range conflictRetries {
		var c store.Change
		u, err := a.Add(ctx, &c, n, edit)
		if err != nil {
			return User{}, err
		}
		err = a.db.Apply(ctx, c)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return User{}, fmt.Errorf("create user: %w", err)
		}
		return u, nil
	}
	return User{}, store.ErrConflict
}

// Replace adds to c that a user becomes u, provided it is still at rev.
func (a *Accounts) Replace(c *store.Change, rev store.Rev, u User) error {
	u.UpdatedAt = a.db.Now()
	return a.users.Replace(c, u.ID, rev, u, time.Time{})
}

// Require adds to c that a user is still at rev.
func (a *Accounts) Require(c *store.Change, id string, rev store.Rev) { a.users.Require(c, id, rev) }

// Update changes a user. edit may add further conditions and operations to the change, is
// run again when the user changed meanwhile, and stops the update by returning an error.
func (a *Accounts) Update(ctx context.Context, id string, edit func(u *User, c *store.Change) error) (User, error) {
	for range conflictRetries {
		u, rev, err := a.users.Get(ctx, id)
		if err != nil {
			return User{}, err
		}
		var c store.Change
		if err := edit(&u, &c); err != nil {
			return User{}, err
		}
		if err := a.Replace(&c, rev, u); err != nil {
			return User{}, err
		}
		err = a.db.Apply(ctx, c)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return User{}, fmt.Errorf("change user: %w", err)
		}
		a.Changed(id)
		return u, nil
	}
	return User{}, store.ErrConflict
}

// Delete removes a user with everything enrolled. guard may add conditions to the change, and
// stops it by returning an error. Sessions are ended by the caller.
func (a *Accounts) Delete(ctx context.Context, id string, guard func(u *User, c *store.Change) error) error {
	for range conflictRetries {
		u, rev, err := a.users.Get(ctx, id)
		if err != nil {
			return err
		}
		var c store.Change
		if err := guard(&u, &c); err != nil {
			return err
		}
		a.users.Require(&c, id, rev)
		a.users.Delete(&c, id)
		for kind, what := range u.owned() {
			a.owners.Delete(&c, a.ownerKey(kind, what))
		}
		a.attempts.Delete(&c, id)
		err = a.db.Apply(ctx, c)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("delete user: %w", err)
		}
		a.Changed(id)
		return nil
	}
	return store.ErrConflict
}

// Watch announces changes made on other nodes, until ctx is done.
func (a *Accounts) Watch(ctx context.Context) error {
	events, err := a.db.Store().Watch(ctx, usersPrefix)
	if err != nil {
		return fmt.Errorf("watch users: %w", err)
	}
	for e := range events {
		if e.Reset {
			a.Changed("") // any user may have changed
			continue
		}
		a.Changed(e.Key[len(usersPrefix):])
	}
	return nil
}
