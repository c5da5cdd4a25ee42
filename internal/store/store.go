// Package store is the contract between the gateway and the engine that keeps its state, and
// the typed, sealed records on top of it.
//
// The contract has no interactive transactions. Everything that must happen together is one
// Apply: conditions on revisions, and operations that take effect only if all hold. Both an
// embedded file and a cluster can keep that promise.
package store

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrNotFound means that there is no live record under a key. An expired record is absent.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that a condition did not hold; nothing was changed.
	ErrConflict = errors.New("changed meanwhile")
	// ErrUnavailable means that the outcome is unknown or the engine cannot answer. Callers
	// fail closed.
	ErrUnavailable = errors.New("store unavailable")
	// ErrTooLarge means that a value or a change exceeds MaxValue or MaxOps.
	ErrTooLarge = errors.New("too large for the store")
)

const (
	// MaxValue bounds one value, in bytes.
	MaxValue = 64 << 10
	// MaxOps bounds the operations, and likewise the conditions, of one Apply.
	MaxOps = 64
	// MaxKey bounds a key, in bytes.
	MaxKey = 512
)

// Rev identifies one version of one record. It is opaque and only compared for equality with
// other revisions of the same key. 0 stands for "no live record".
type Rev uint64

// Entry is a stored record.
type Entry struct {
	Key   string
	Value []byte
	Rev   Rev
	// Expires is when the record becomes absent; the zero time means never.
	Expires time.Time
}

// Cond requires that Key is at Rev; Rev 0 requires that it is absent.
type Cond struct {
	Key string
	Rev Rev
}

// Op writes Value under Key, or deletes Key when Value is nil. Deleting what is absent is
// fine.
type Op struct {
	Key     string
	Value   []byte
	Expires time.Time
}

// Event tells that a key changed. Entry is nil when it was deleted. Reset tells that events
// may have been lost: whoever caches records under the prefix must forget them all.
type Event struct {
	Key   string
	Entry *Entry
	Reset bool
}

// Store keeps records. Its methods are safe for parallel use.
//
// Expiry is judged on every read by the clock that the store was opened with; sweeping
// expired records is housekeeping that nothing relies on. An error that is none of those
// above wraps ErrUnavailable.
type Store interface {
	// Get returns the live record under key. It sees every Apply that has returned.
	Get(ctx context.Context, key string) (Entry, error)
	// Take deletes the live record under key and returns it. Of any number of parallel calls
	// exactly one gets it, ever.
	Take(ctx context.Context, key string) (Entry, error)
	// Apply makes all operations take effect, durably, if all conditions hold, and none
	// otherwise. Operations of one change must name different keys.
	Apply(ctx context.Context, conds []Cond, ops []Op) (Rev, error)
	// List returns up to limit live records whose keys begin with prefix and are greater
	// than after, in byte order.
	List(ctx context.Context, prefix, after string, limit int) ([]Entry, error)
	// Watch reports changes under prefix until ctx is done. The first event is a Reset. A
	// reader that falls behind gets a Reset, never a silent loss.
	Watch(ctx context.Context, prefix string) (<-chan Event, error)
	// Ping makes a round trip that succeeds only if the store can serve reads and writes.
	Ping(ctx context.Context) error
	// Close releases the store. Calls after it fail with ErrUnavailable.
	Close() error
}

// Change is one atomic change while it is being collected. The zero value changes nothing.
type Change struct {
	Conds []Cond
	Ops   []Op
}
