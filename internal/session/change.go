package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// Issued is a session that a change will create once it is applied.
type Issued struct {
	// Cookie is the value to hand to the browser. It is not stored anywhere.
	Cookie  string
	ID      string
	Expires time.Time
	ended   []string
}

// Start adds to c a new session whose primary factor is proof. Only flow.AddProof may call it.
// The least recently used session of a user with very many gives way.
func (m *Manager) Start(ctx context.Context, c *store.Change, proof factors.Proof, at Attributes) (Issued, error) {
	ended, err := m.makeRoom(ctx, c, proof.UserID)
	if err != nil {
		return Issued{}, err
	}
	fam, err := newFamily(m.rand)
	if err != nil {
		return Issued{}, err
	}
	now := m.db.Now()
	issued, err := m.issue(c, record{
		UserID: proof.UserID, Family: fam, Factors: addFactor(nil, proof),
		StartedAt: now, ExpiresAt: now.Add(m.limits.Load().Lifetime), LastAccessedAt: now, Attributes: at,
	})
	issued.ended = ended
	return issued, err
}

func (m *Manager) makeRoom(ctx context.Context, c *store.Change, userID string) ([]string, error) {
	ids, err := m.ids(ctx, userID)
	if err != nil || len(ids) < maxPerUser {
		return nil, err
	}
	list, err := m.List(ctx, userID)
	if err != nil || len(list) < maxPerUser {
		return nil, err
	}
	oldest := []string{list[len(list)-1].ID}
	m.end(c, userID, oldest)
	return oldest, nil
}

// Upgrade adds to c the successor of s: the same session with proof among its factors,
// under a new id and cookie. The old id stays readable for 10 seconds. The change conflicts
// when s was changed meanwhile. Only flow.AddProof may call it.
func (m *Manager) Upgrade(ctx context.Context, c *store.Change, s *Session, proof factors.Proof) (Issued, error) {
	r, rev, err := m.sessions.Get(ctx, s.ID)
	if err != nil {
		return Issued{}, err
	}
	if r.SupersededBy != "" {
		return Issued{}, store.ErrConflict
	}
	next := r
	next.Factors = addFactor(r.Factors, proof)
	next.Previous = s.ID
	next.LastAccessedAt = m.db.Now()
	issued, err := m.issue(c, next)
	if err != nil {
		return Issued{}, err
	}
	r.SupersededBy = issued.ID
	until := m.db.Now().Add(grace)
	if until.After(r.ExpiresAt) {
		until = r.ExpiresAt
	}
	if err := m.sessions.Replace(c, s.ID, rev, r, until); err != nil {
		return Issued{}, err
	}
	// Otherwise many step-ups would crowd the live sessions out of the listing.
	if err := m.byUser.Put(c, r.UserID+"/"+s.ID, owned{}, until); err != nil {
		return Issued{}, err
	}
	issued.ended = []string{s.ID}
	return issued, nil
}

func (m *Manager) issue(c *store.Change, r record) (Issued, error) {
	cookie, err := newCookie(m.rand)
	if err != nil {
		return Issued{}, err
	}
	id, _ := idOf(cookie)
	if err := m.sessions.Insert(c, id, r, r.ExpiresAt); err != nil {
		return Issued{}, err
	}
	if err := m.byUser.Put(c, r.UserID+"/"+id, owned{}, r.ExpiresAt); err != nil {
		return Issued{}, err
	}
	if err := m.families.Put(c, r.Family, family{ID: id}, r.ExpiresAt); err != nil {
		return Issued{}, err
	}
	return Issued{Cookie: cookie, ID: id, Expires: r.ExpiresAt}, nil
}

// Issued tells the manager that the change behind i was applied, and returns the session.
func (m *Manager) Issued(ctx context.Context, i Issued) (*Session, error) {
	for _, id := range i.ended {
		m.cache.dropSession(id)
	}
	return m.Lookup(ctx, i.Cookie)
}

// Revoke ends a session of a user, and what it took over from or was taken over by. It holds
// from the next request on. A session of somebody else is store.ErrNotFound.
func (m *Manager) Revoke(ctx context.Context, userID, id string) error {
	for {
		r, _, err := m.sessions.Get(ctx, id)
		if err != nil {
			return err
		}
		if r.UserID != userID {
			return store.ErrNotFound
		}
		f, rev, err := m.families.Get(ctx, r.Family)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("revoke session: %w", err)
		}
		ids := []string{id, r.Previous, r.SupersededBy, f.ID}
		slices.Sort(ids)
		ids = slices.Compact(ids)
		var c store.Change
		// A rotation under way names another current session: then this is decided anew.
		m.families.Require(&c, r.Family, rev)
		m.families.Delete(&c, r.Family)
		m.end(&c, userID, ids)
		err = m.db.Apply(ctx, c)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("revoke session: %w", err)
		}
		m.forget(ids)
		return nil
	}
}

// RevokeAll ends all sessions of a user but the family of keep, which may be nil.
func (m *Manager) RevokeAll(ctx context.Context, userID string, keep *Session) error {
	// A rotation under way may leave a successor that the first look did not see. It cannot
	// have one itself once its predecessor is gone, so that looking again comes to an end.
	for {
		ending, err := m.others(ctx, userID, keep)
		if err != nil || len(ending) == 0 {
			return err
		}
		for part := range slices.Chunk(ending, store.MaxOps/2) {
			var c store.Change
			m.end(&c, userID, part)
			if err := m.db.Apply(ctx, c); err != nil {
				return fmt.Errorf("revoke sessions: %w", err)
			}
			m.forget(part)
		}
	}
}

// others lists the sessions of a user that are not of the family of keep.
func (m *Manager) others(ctx context.Context, userID string, keep *Session) ([]string, error) {
	ids, err := m.ids(ctx, userID)
	if err != nil || keep == nil {
		return ids, err
	}
	var out []string
	for _, id := range ids {
		r, _, err := m.sessions.Get(ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("revoke sessions: %w", err)
		}
		if err != nil || r.Family != keep.Family {
			out = append(out, id)
		}
	}
	return out, nil
}

// Require adds to c that a session goes on: that it was neither ended nor rotated away. The error
// is store.ErrNotFound when it was already.
func (m *Manager) Require(ctx context.Context, c *store.Change, s *Session) error {
	r, rev, err := m.sessions.Get(ctx, s.ID)
	if err != nil {
		return err
	}
	if r.SupersededBy != "" {
		return store.ErrNotFound
	}
	m.sessions.Require(c, s.ID, rev)
	return nil
}

// Drop removes credentials from all sessions of a user. A session without any factor left
// ends. It is called after the credentials were removed from the account.
func (m *Manager) Drop(ctx context.Context, userID string, credentials ...string) error {
	for changed := true; changed; { // until a rotation under way has nothing left to hand on
		changed = false
		ids, err := m.ids(ctx, userID)
		if err != nil {
			return err
		}
		for _, id := range ids {
			dropped, err := m.dropFrom(ctx, id, userID, credentials)
			if err != nil {
				return fmt.Errorf("drop a factor from sessions: %w", err)
			}
			changed = changed || dropped
		}
	}
	return nil
}

func (m *Manager) dropFrom(ctx context.Context, id, userID string, credentials []string) (dropped bool, err error) {
	for {
		r, rev, err := m.sessions.Get(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		before := len(r.Factors)
		r.Factors = slices.DeleteFunc(slices.Clone(r.Factors), func(f AuthenticationFactor) bool {
			return slices.Contains(credentials, f.CredentialID)
		})
		if len(r.Factors) == before {
			return false, nil
		}
		if len(r.Factors) == 0 && r.SupersededBy != "" {
			// Its successor has proofs of its own and goes on.
			var c store.Change
			m.end(&c, userID, []string{id})
			err := m.db.Apply(ctx, c)
			m.cache.dropSession(id)
			return true, err
		}
		if len(r.Factors) == 0 {
			err := m.Revoke(ctx, userID, id)
			if errors.Is(err, store.ErrNotFound) {
				err = nil
			}
			return true, err
		}
		expires := r.ExpiresAt
		if r.SupersededBy != "" {
			expires = m.db.Now().Add(grace)
		}
		var c store.Change
		if err := m.sessions.Replace(&c, id, rev, r, expires); err != nil {
			return false, err
		}
		err = m.db.Apply(ctx, c)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		m.cache.dropSession(id)
		return true, err
	}
}

// Spend takes proofs that serve one request out of a session, all or none. The error is
// store.ErrConflict when any of them was spent already, or the session was rotated away; then
// nothing was spent.
func (m *Manager) Spend(ctx context.Context, s *Session, proofs []policy.Factor) error {
	for {
		r, rev, err := m.sessions.Get(ctx, s.ID)
		if errors.Is(err, store.ErrNotFound) || err == nil && r.SupersededBy != "" {
			m.cache.dropSession(s.ID)
			return store.ErrConflict
		}
		if err != nil {
			return fmt.Errorf("spend a proof: %w", err)
		}
		r.Factors = slices.Clone(r.Factors)
		for _, p := range proofs {
			i := slices.IndexFunc(r.Factors, func(f AuthenticationFactor) bool {
				return f.ForRule == p.ForRule && string(f.Product) == p.Name && f.CredentialID == p.ID
			})
			if i < 0 || p.ForRule == "" || !r.Factors[i].LastAuthenticatedAt.Equal(p.At) {
				m.cache.dropSession(s.ID)
				return store.ErrConflict
			}
			r.Factors = slices.Delete(r.Factors, i, i+1)
		}
		var c store.Change
		if err := m.sessions.Replace(&c, s.ID, rev, r, r.ExpiresAt); err != nil {
			return fmt.Errorf("spend a proof: %w", err)
		}
		err = m.db.Apply(ctx, c)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		m.cache.dropSession(s.ID)
		if err != nil {
			return fmt.Errorf("spend a proof: %w", err)
		}
		return nil
	}
}

func (m *Manager) end(c *store.Change, userID string, ids []string) {
	for _, id := range ids {
		if id != "" {
			m.sessions.Delete(c, id)
			m.byUser.Delete(c, userID+"/"+id)
		}
	}
}

func (m *Manager) forget(ids []string) {
	for _, id := range ids {
		if id != "" {
			m.cache.dropSession(id)
		}
	}
}
