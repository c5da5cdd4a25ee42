package session

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

// readOnly is a store that refuses changes while its disk is full.
type readOnly struct {
	store.Store
	full atomic.Bool
}

func (s *readOnly) Apply(ctx context.Context, conds []store.Cond, ops []store.Op) (store.Rev, error) {
	if s.full.Load() {
		return 0, store.ErrUnavailable
	}
	return s.Store.Apply(ctx, conds, ops)
}

// erase takes a session out of the store behind the manager's back, as another node does.
func (b *bench) erase(i Issued) {
	b.t.Helper()
	var c store.Change
	b.sessions.Delete(&c, b.alive(i).ID)
	if err := b.db.Apply(b.t.Context(), c); err != nil {
		b.t.Fatal(err)
	}
}

// A store that takes no changes for a while does not end the following of changes.
func TestChangesAreFollowedAfterAFailure(t *testing.T) {
	b := newBench(t, 1000)
	engine := &readOnly{Store: b.db.Store()}
	b.Manager = NewManager(storetest.DB(t, engine, b.clock.Now), b.users, DefaultLimits, 1000, rand.Reader)
	i := b.start("u")
	ctx, cancel := context.WithCancel(t.Context())
	tick, warned, done := make(chan time.Time), make(chan error, 100), make(chan error)
	go func() { done <- b.Run(ctx, tick, func(_ string, err error) { warned <- err }) }()
	settle := func() {
		for range 100 { // whether Run takes a change or a tick first is chance
			tick <- b.clock.Now()
		}
	}
	settle() // it forgets what was cached before it watched
	b.clock.Advance(2 * time.Minute)
	b.alive(i) // so that there is a time of last access to write
	engine.full.Store(true)
	tick <- b.clock.Now()
	if err := <-warned; !errors.Is(err, store.ErrUnavailable) {
		t.Error(err)
	}
	engine.full.Store(false)
	b.alive(i) // from memory
	b.erase(i)
	settle()
	b.dead(i)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A clock that was set back makes no cached session fresh.
func TestClockSetBackAsksTheStore(t *testing.T) {
	b := newBench(t, 1000)
	i := b.start("u")
	b.erase(i)
	b.clock.Advance(-time.Minute)
	b.dead(i)
}
