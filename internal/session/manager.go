package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

// Users tells who is behind a session. It returns store.ErrNotFound for a user that no
// longer exists.
type Users interface {
	Identity(ctx context.Context, userID string) (Identity, error)
}

// Limits are the times after which a session ends. The zero value is not usable; see
// DefaultLimits.
type Limits struct {
	// Lifetime ends a session this long after it was started, whatever happens.
	Lifetime time.Duration
	// Idle ends a session this long after its last request.
	Idle time.Duration
}

// DefaultLimits are those of NIST SP 800-63B-4, section 2.2.3 (AAL2): 24 hours, 1 hour idle.
var DefaultLimits = Limits{Lifetime: 24 * time.Hour, Idle: time.Hour}

const (
	// grace is how long a rotated session stays readable, for requests under way.
	grace = 10 * time.Second
	// maxStale bounds how long a cached session serves without a look at the store, in case
	// a change on another node was not announced.
	maxStale = 5 * time.Second
	// flushEvery is how often times of last access reach the store.
	flushEvery = time.Minute
	// maxPerUser bounds the live sessions of one user; the oldest gives way.
	maxPerUser = 100
)

// record is the stored form of a session.
type record struct {
	UserID         string                 `cbor:"1,keyasint"`
	Family         string                 `cbor:"2,keyasint"`
	Factors        []AuthenticationFactor `cbor:"3,keyasint"`
	StartedAt      time.Time              `cbor:"4,keyasint"`
	ExpiresAt      time.Time              `cbor:"5,keyasint"`
	LastAccessedAt time.Time              `cbor:"6,keyasint"`
	Attributes     Attributes             `cbor:"7,keyasint"`
	// SupersededBy is the session_id that took over; the record then lives for grace only.
	SupersededBy string `cbor:"8,keyasint,omitempty"`
	// Previous is the session_id that this session took over from.
	Previous string `cbor:"9,keyasint,omitempty"`
}

// owned marks, under "user/session_id", that a session belongs to a user.
type owned struct{}

// family names the current session of a family.
type family struct {
	ID string `cbor:"1,keyasint"`
}

// Manager looks sessions up and changes them. Its methods are safe for parallel use.
type Manager struct {
	db       *store.DB
	sessions store.Table[record]
	byUser   store.Table[owned]
	families store.Table[family]
	users    Users
	rand     io.Reader
	limits   atomic.Pointer[Limits]
	cache    *cache
}

// NewManager returns a Manager over db. capacity bounds the cached sessions.
func NewManager(db *store.DB, users Users, limits Limits, capacity int, rand io.Reader) *Manager {
	m := &Manager{
		db:       db,
		sessions: store.NewTable[record](db, "s/", 1),
		byUser:   store.NewTable[owned](db, "su/", 1),
		families: store.NewTable[family](db, "sf/", 1),
		users:    users, rand: rand, cache: newCache(capacity),
	}
	m.SetLimits(limits)
	return m
}

// SetLimits changes the limits. Sessions that exist keep their lifetime; idle time holds at once.
func (m *Manager) SetLimits(l Limits) { m.limits.Store(&l) }

// Lookup returns the session of a cookie value. The error is store.ErrNotFound when there
// is none that is live, and wraps store.ErrUnavailable when it cannot be told.
func (m *Manager) Lookup(ctx context.Context, cookie string) (*Session, error) {
	now := m.db.Now()
	// An entry from the future tells that the clock was set back, and not how old it is.
	if e, ok := m.cache.get(cookie); ok && now.Sub(e.loadedAt) < maxStale && !now.Before(e.loadedAt) {
		if !m.live(e.session, now) {
			return nil, store.ErrNotFound
		}
		e.session.touch(now)
		return e.session, nil
	}
	return m.load(ctx, cookie, now)
}

func (m *Manager) load(ctx context.Context, cookie string, now time.Time) (*Session, error) {
	id, ok := idOf(cookie)
	if !ok {
		return nil, store.ErrNotFound
	}
	epoch := m.cache.epoch(cookie)
	s, err := m.read(ctx, id)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) {
			m.cache.remove(cookie)
		}
		return nil, err
	}
	if old, ok := m.cache.get(cookie); ok {
		s.touch(old.session.LastAccess())
		if old.session.same(s) {
			s = old.session
		}
	}
	if !m.live(s, now) {
		return nil, store.ErrNotFound
	}
	s.touch(now)
	m.cache.put(cookie, entry{session: s, loadedAt: now}, epoch)
	return s, nil
}

// read loads a session by its id, without judging idle time.
func (m *Manager) read(ctx context.Context, id string) (*Session, error) {
	r, rev, err := m.sessions.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	user, err := m.users.Identity(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	if user.Locked {
		return nil, store.ErrNotFound
	}
	return build(id, r, rev, user), nil
}

// live judges both limits. A session dies when its age reaches the limit.
func (m *Manager) live(s *Session, now time.Time) bool {
	return now.Before(s.ExpiresAt) && now.Sub(s.LastAccess()) < m.limits.Load().Idle
}

// Follow returns the current session of the family that s belongs to, for connections that
// outlive a rotation. The error is store.ErrNotFound when that session has ended.
func (m *Manager) Follow(ctx context.Context, s *Session) (*Session, error) {
	now := m.db.Now()
	f, _, err := m.families.Get(ctx, s.Family)
	if err != nil {
		return nil, err
	}
	current, err := m.read(ctx, f.ID)
	if err != nil {
		return nil, err
	}
	// An open connection is activity of its own kind: only the lifetime ends it.
	if !now.Before(current.ExpiresAt) {
		return nil, store.ErrNotFound
	}
	return current, nil
}

// UserChanged makes the next request of each session of a user read the user again; an empty
// id stands for any user.
func (m *Manager) UserChanged(userID string) {
	if userID == "" {
		m.cache.dropAll()
		return
	}
	m.cache.dropUser(userID)
}

// Get returns a user's session by its id, for listings and revocation. A session of
// somebody else is store.ErrNotFound.
func (m *Manager) Get(ctx context.Context, userID, id string) (*Session, error) {
	s, err := m.read(ctx, id)
	if err != nil {
		return nil, err
	}
	if s.UserID != userID || !m.live(s, m.db.Now()) {
		return nil, store.ErrNotFound
	}
	return s, nil
}

// List returns a user's live sessions, the most recently used first.
func (m *Manager) List(ctx context.Context, userID string) ([]*Session, error) {
	ids, err := m.ids(ctx, userID)
	if err != nil {
		return nil, err
	}
	now := m.db.Now()
	out := make([]*Session, 0, len(ids))
	for _, id := range ids {
		s, err := m.read(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		m.cache.recent(s)
		if s.ReadOnly || !m.live(s, now) {
			continue
		}
		out = append(out, s.Snapshot())
	}
	sortRecent(out)
	return out, nil
}

func (m *Manager) ids(ctx context.Context, userID string) ([]string, error) {
	rows, err := m.byUser.List(ctx, userID+"/", "", 2*maxPerUser)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.ID[len(userID)+1:]
	}
	return out, nil
}
