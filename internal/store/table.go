package store

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// DB is a store together with what records need: keys and a clock.
type DB struct {
	store   Store
	keys    *Keyring
	now     func() time.Time
	enc     cbor.EncMode
	dec     cbor.DecMode
	stripes [64]sync.Mutex
}

// NewDB returns a DB. now is the clock by which records expire.
func NewDB(s Store, keys *Keyring, now func() time.Time) (*DB, error) {
	options := cbor.CoreDetEncOptions()
	options.Time = cbor.TimeRFC3339NanoUTC
	enc, err := options.EncMode()
	if err != nil {
		return nil, fmt.Errorf("record encoder: %w", err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		DefaultMapType: reflect.TypeFor[map[string]any](),
	}.DecMode()
	if err != nil {
		return nil, fmt.Errorf("record decoder: %w", err)
	}
	return &DB{store: s, keys: keys, now: now, enc: enc, dec: dec}, nil
}

// Store is the store underneath.
func (db *DB) Store() Store { return db.store }

// Keyring derives the keys of the gateway.
func (db *DB) Keyring() *Keyring { return db.keys }

// Now is the time by which records expire, in UTC and whole milliseconds.
func (db *DB) Now() time.Time { return db.now().UTC().Truncate(time.Millisecond) }

// Apply makes a change.
func (db *DB) Apply(ctx context.Context, c Change) error {
	_, err := db.store.Apply(ctx, c.Conds, c.Ops)
	return err
}

// Table is the typed view of one kind of record. Values are encoded, marked with the version
// of their kind, and sealed to their key, so that a value moved to another key does not open.
type Table[T any] struct {
	db      *DB
	prefix  string
	version byte
}

// Row is one record of a listing.
type Row[T any] struct {
	ID    string
	Value T
	Rev   Rev
}

// NewTable returns the table of the records under prefix, which ends in "/".
func NewTable[T any](db *DB, prefix string, version byte) Table[T] {
	return Table[T]{db: db, prefix: prefix, version: version}
}

// Get returns a record and its revision.
func (t Table[T]) Get(ctx context.Context, id string) (v T, rev Rev, err error) {
	if len(t.prefix)+len(id) > MaxKey {
		return v, 0, ErrNotFound
	}
	e, err := t.db.store.Get(ctx, t.prefix+id)
	if err != nil {
		return v, 0, err
	}
	v, err = t.open(e)
	return v, e.Rev, err
}

// Take deletes a record and returns it; of parallel calls one gets it.
func (t Table[T]) Take(ctx context.Context, id string) (v T, err error) {
	if len(t.prefix)+len(id) > MaxKey {
		return v, ErrNotFound
	}
	e, err := t.db.store.Take(ctx, t.prefix+id)
	if err != nil {
		return v, err
	}
	return t.open(e)
}

// List returns up to limit records whose ids begin with prefix and follow after.
func (t Table[T]) List(ctx context.Context, prefix, after string, limit int) ([]Row[T], error) {
	if after != "" {
		after = t.prefix + after
	}
	entries, err := t.db.store.List(ctx, t.prefix+prefix, after, limit)
	if err != nil {
		return nil, err
	}
	rows := make([]Row[T], 0, len(entries))
	for _, e := range entries {
		v, err := t.open(e)
		if err != nil {
			return nil, err
		}
		rows = append(rows, Row[T]{ID: strings.TrimPrefix(e.Key, t.prefix), Value: v, Rev: e.Rev})
	}
	return rows, nil
}

// Put adds to c that a record is written, whatever is there now.
func (t Table[T]) Put(c *Change, id string, v T, expires time.Time) error {
	op, err := t.op(id, v, expires)
	if err != nil {
		return err
	}
	c.Ops = append(c.Ops, op)
	return nil
}

// Insert adds to c that a record is written if there is none.
func (t Table[T]) Insert(c *Change, id string, v T, expires time.Time) error {
	return t.Replace(c, id, 0, v, expires)
}

// Replace adds to c that a record is written if it is at rev.
func (t Table[T]) Replace(c *Change, id string, rev Rev, v T, expires time.Time) error {
	op, err := t.op(id, v, expires)
	if err != nil {
		return err
	}
	c.Conds = append(c.Conds, Cond{Key: op.Key, Rev: rev})
	c.Ops = append(c.Ops, op)
	return nil
}

// Require adds to c the condition that a record is at rev.
func (t Table[T]) Require(c *Change, id string, rev Rev) {
	c.Conds = append(c.Conds, Cond{Key: t.prefix + id, Rev: rev})
}

// Delete adds to c that a record is deleted.
func (t Table[T]) Delete(c *Change, id string) {
	c.Ops = append(c.Ops, Op{Key: t.prefix + id})
}

// Update changes one record by itself, or makes it. edit gets the zero value when there is
// none, and returns when the record expires; an error of edit changes nothing. Updates of one
// record in one process wait for each other, so that many writers do not starve.
func (t Table[T]) Update(ctx context.Context, id string, edit func(v *T, exists bool) (expires time.Time, err error)) error {
	h := fnv.New32a()
	_, _ = h.Write([]byte(t.prefix + id)) // a hash never fails to write
	stripe := &t.db.stripes[h.Sum32()%uint32(len(t.db.stripes))]
	stripe.Lock()
	defer stripe.Unlock()
	for {
		v, rev, err := t.Get(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		expires, err := edit(&v, rev != 0)
		if err != nil {
			return err
		}
		var c Change
		if err := t.Replace(&c, id, rev, v, expires); err != nil {
			return err
		}
		err = t.db.Apply(ctx, c)
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
	}
}

func (t Table[T]) op(id string, v T, expires time.Time) (Op, error) {
	key := t.prefix + id
	body, err := t.db.enc.Marshal(v)
	if err != nil {
		return Op{}, fmt.Errorf("encode %s record: %w", t.prefix, err)
	}
	sealed, err := t.db.keys.Seal(key, append([]byte{t.version}, body...))
	if err != nil {
		return Op{}, fmt.Errorf("seal %s record: %w", t.prefix, err)
	}
	if len(sealed) > MaxValue || len(key) > MaxKey {
		return Op{}, ErrTooLarge
	}
	return Op{Key: key, Value: sealed, Expires: expires}, nil
}

// open is strict: a record that cannot be read is a store that cannot be trusted.
func (t Table[T]) open(e Entry) (v T, err error) {
	plain, err := t.db.keys.Open(e.Key, e.Value)
	if err != nil {
		return v, fmt.Errorf("%w: open %s record: %w", ErrUnavailable, t.prefix, err)
	}
	if len(plain) == 0 || plain[0] != t.version {
		return v, fmt.Errorf("%w: %s record has an unknown version", ErrUnavailable, t.prefix)
	}
	if err := t.db.dec.Unmarshal(plain[1:], &v); err != nil {
		return v, fmt.Errorf("%w: decode %s record: %w", ErrUnavailable, t.prefix, err)
	}
	return v, nil
}
