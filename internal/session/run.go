package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

func sortRecent(list []*Session) {
	slices.SortFunc(list, func(a, b *Session) int {
		if c := b.LastAccessedAt.Compare(a.LastAccessedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// recent fills in the time of last access that only the cache knows yet.
func (c *cache) recent(s *Session) {
	c.index.mu.Lock()
	cookie, ok := c.index.byID[s.ID]
	c.index.mu.Unlock()
	if !ok {
		return
	}
	if e, ok := c.get(cookie); ok {
		s.touch(e.session.LastAccess())
	}
}

// Run keeps the cache in step with changes made elsewhere and writes times of last access,
// until ctx is done or the store is closed. tick tells when to write; nil means a real ticker.
// warn takes why times could not be written: they are tried again, and changes are followed on.
func (m *Manager) Run(ctx context.Context, tick <-chan time.Time, warn func(msg string, err error)) error {
	changes, err := m.db.Store().Watch(ctx, "s/")
	if err != nil {
		return fmt.Errorf("watch sessions: %w", err)
	}
	if tick == nil {
		t := time.NewTicker(flushEvery)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-changes:
			if !ok {
				return nil
			}
			if e.Reset {
				m.cache.dropAll()
			} else {
				m.cache.dropSession(strings.TrimPrefix(e.Key, "s/"))
			}
		case <-tick:
			if err := m.Flush(ctx); err != nil && ctx.Err() == nil {
				warn("write times of last access, to be tried again", err)
			}
		}
	}
}

// Flush writes the times of last access that the store does not know yet, in batches. A
// batch that met a change made meanwhile waits for the next flush.
func (m *Manager) Flush(ctx context.Context) error {
	var c store.Change
	apply := func() error {
		err := m.db.Apply(ctx, c)
		c = store.Change{}
		if err != nil && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("flush last access: %w", err)
		}
		return nil
	}
	for _, s := range m.cache.all() {
		if s.ReadOnly || s.LastAccess().Sub(s.LastAccessedAt) < flushEvery/2 {
			continue
		}
		r, rev, err := m.sessions.Get(ctx, s.ID)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("flush last access: %w", err)
		}
		if r.SupersededBy != "" || !r.LastAccessedAt.Before(s.LastAccess()) {
			continue
		}
		r.LastAccessedAt = s.LastAccess()
		if err := m.sessions.Replace(&c, s.ID, rev, r, r.ExpiresAt); err != nil {
			return err
		}
		if len(c.Ops) == store.MaxOps {
			if err := apply(); err != nil {
				return err
			}
		}
	}
	if len(c.Ops) > 0 {
		return apply()
	}
	return nil
}
