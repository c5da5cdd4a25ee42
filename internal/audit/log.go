package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

const (
	// keptEntries bounds the entries of each chain.
	keptEntries = 200_000
	// maxWaiting bounds the events that wait to be written while the store does not answer.
	maxWaiting = 10_000
	// batch is how many events one change writes: with the heads and as many deletions it fits
	// store.MaxOps.
	batch = 20
	// page is how many entries are read at once.
	page = 500
	// maxScan bounds what a search for one user reads of each chain.
	maxScan = 20_000
	retry   = time.Second
)

// DefaultLife is how long entries are kept unless SetLife says otherwise.
const DefaultLife = 400 * 24 * time.Hour

// head is the end of a chain in the store.
type head struct {
	// First is the oldest entry that was not deleted, Last the newest.
	First uint64 `cbor:"1,keyasint"`
	Last  uint64 `cbor:"2,keyasint"`
	Hash  Hash   `cbor:"3,keyasint"`
	// Expires is when the last entry becomes absent by itself.
	Expires time.Time `cbor:"4,keyasint"`
}

// Log keeps events in the store, each bound to the one before by its hash, so that it shows when
// one is missing or changed. Events are written a moment after they are recorded, in the order
// they came. Its methods are safe for parallel use; several nodes may share the chains.
type Log struct {
	db      *store.DB
	entries store.Table[Entry]
	heads   store.Table[head]
	warn    func(msg string, err error)
	kept    uint64
	life    atomic.Int64
	kick    chan struct{}

	mu      sync.Mutex
	waiting []Event
	lost    int
	writing sync.Mutex
}

const (
	entriesPrefix = "a/"
	headsPrefix   = "ah/"
)

// Prefixes are those of the keys under which the chains are kept.
func Prefixes() []string { return []string{entriesPrefix, headsPrefix} }

// NewLog returns the log kept in db. warn takes what went wrong.
func NewLog(db *store.DB, warn func(msg string, err error)) *Log {
	l := &Log{
		db: db, entries: store.NewTable[Entry](db, entriesPrefix, 1), heads: store.NewTable[head](db, headsPrefix, 1), warn: warn,
		kept: keptEntries, kick: make(chan struct{}, 1),
	}
	l.SetLife(DefaultLife)
	return l
}

// SetLife changes how long entries are kept that are written from now on.
func (l *Log) SetLife(d time.Duration) { l.life.Store(int64(d)) }

// Record implements Recorder. While the store does not answer events wait; when too many do,
// those that come are counted, and the count is recorded.
func (l *Log) Record(ev Event) {
	l.mu.Lock()
	if len(l.waiting) >= maxWaiting {
		l.lost++
	} else {
		l.waiting = append(l.waiting, ev)
	}
	l.mu.Unlock()
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// Run writes what is recorded until ctx is done. timer tells when to try again after a time; nil
// means a real timer.
func (l *Log) Run(ctx context.Context, timer func(time.Duration) <-chan time.Time) {
	if timer == nil {
		timer = time.After
	}
	for {
		var again <-chan time.Time
		if err := l.Flush(ctx); err != nil && ctx.Err() == nil {
			l.warn("write the audit log, to be tried again", err)
			again = timer(retry)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.kick:
		case <-again:
		}
	}
}

// Flush writes all events that wait. After an error those that were not written wait on.
func (l *Log) Flush(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	for {
		l.mu.Lock()
		if l.lost > 0 && len(l.waiting) < maxWaiting {
			l.waiting = append(l.waiting, Event{Kind: EventsLost, Time: l.db.Now(), Count: l.lost})
			l.lost = 0
		}
		events := l.waiting[:min(len(l.waiting), batch)]
		l.mu.Unlock()
		if len(events) == 0 {
			return nil
		}
		if err := l.append(ctx, events); err != nil {
			return err
		}
		l.mu.Lock()
		l.waiting = slices.Delete(l.waiting, 0, len(events))
		l.mu.Unlock()
	}
}

// append writes events to the ends of their chains. Another node may be faster.
func (l *Log) append(ctx context.Context, events []Event) error {
	for {
		c, err := l.change(ctx, events)
		if err != nil {
			return err
		}
		err = l.db.Apply(ctx, c)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
	}
}

func (l *Log) change(ctx context.Context, events []Event) (c store.Change, err error) {
	expires := l.db.Now().Add(time.Duration(l.life.Load()))
	for _, chain := range Chains {
		h, rev, err := l.heads.Get(ctx, string(chain))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return store.Change{}, err
		}
		added := uint64(0)
		for _, ev := range events {
			if ev.chain() != chain {
				continue
			}
			added++
			if h, err = l.extend(&c, chain, h, ev, expires); err != nil {
				return store.Change{}, err
			}
		}
		if added == 0 {
			continue
		}
		for room := added + 1; room > 0 && h.Last-h.First >= l.kept; room-- {
			l.entries.Delete(&c, id(chain, h.First))
			h.First++
		}
		if err := l.heads.Replace(&c, string(chain), rev, h, time.Time{}); err != nil {
			return store.Change{}, err
		}
	}
	return c, nil
}

func (l *Log) extend(c *store.Change, chain Chain, h head, ev Event, expires time.Time) (head, error) {
	ev.Time = ev.Time.UTC() // as it is read again
	e := Entry{link: link{Chain: chain, Seq: h.Last + 1, Prev: h.Hash, Event: ev}}
	var err error
	if e.Hash, err = e.sum(); err != nil {
		return head{}, err
	}
	if err := l.entries.Put(c, id(chain, e.Seq), e, expires); err != nil {
		return head{}, err
	}
	return head{First: max(h.First, 1), Last: e.Seq, Hash: e.Hash, Expires: expires}, nil
}

// id orders the entries of a chain as their numbers are.
func id(chain Chain, seq uint64) string { return fmt.Sprintf("%s/%016x", chain, seq) }
