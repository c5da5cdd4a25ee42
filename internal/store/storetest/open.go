// Package storetest holds what tests need of a store: one conformance suite that every
// engine must pass, and a ready database for the tests of other packages.
package storetest

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/boltstore"
)

// Clock is a clock that stands still until a test moves it.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock at a fixed time.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)} }

// Now is the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d, which may be negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Secret is the secret of databases in tests.
func Secret() []byte { return bytes.Repeat([]byte{7}, store.MinSecret) }

// Open returns a database in a file of its own, which is checked for consistency when the
// test ends.
func Open(t testing.TB, now func() time.Time) *store.DB {
	t.Helper()
	s, err := boltstore.Open(filepath.Join(t.TempDir(), "data", "stepgate.db"), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Ping(context.Background()); err != nil {
			return // the test has closed it
		}
		if err := s.Check(); err != nil {
			t.Errorf("the file is inconsistent: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return DB(t, s, now)
}

// DB returns a database over an engine.
func DB(t testing.TB, s store.Store, now func() time.Time) *store.DB {
	t.Helper()
	keys, err := store.NewKeyring(Secret())
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.NewDB(s, keys, now)
	if err != nil {
		t.Fatal(err)
	}
	return db
}
