// Package boltstore keeps the records of one node in one bbolt file.
package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/stepgate/stepgate/internal/store"
)

// ErrLocked means that another process has the file open.
var ErrLocked = errors.New("the store is in use by another process; to change the configuration of a running server use “stepgate reload”")

// ErrPermissions means that others could read or replace the file.
var ErrPermissions = errors.New("the store is open to others")

const (
	lockTimeout = 2 * time.Second
	schema      = 1
	header      = 16 // revision, expiry
)

var (
	bucketRecords = []byte("records")
	bucketExpiry  = []byte("expiry") // be64(expiry in ms) + key
	bucketMeta    = []byte("meta")
	keySchema     = []byte("schema")
)

// Store is a store.Store in a bbolt file.
type Store struct {
	db  *bolt.DB
	now func() time.Time
	hub *hub
	// order is held from the start of a change until its watchers know, so that they hear of
	// changes in the order in which these took effect.
	order sync.Mutex
}

// Open opens or creates the file at path, mode 0600, in a directory of mode 0700 that is
// created if need be. The error is ErrLocked when another process holds it for 2 seconds,
// and ErrPermissions when others could read the file or replace it.
func Open(path string, now func() time.Time) (*Store, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("store directory: %w", err)
	}
	if err := private(dir, path); err != nil {
		return nil, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoFreelistSync: true,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	s := &Store{db: db, now: now, hub: newHub()}
	if err := db.Update(prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare store %s: %w", path, err), db.Close())
	}
	return s, nil
}

// private refuses a file that others can read, and a directory in which others could put
// another file in its place. Neither depends on the umask.
func private(dir, path string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("store directory: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("%w: directory %s has mode %#o; take write access from group and others", ErrPermissions, dir, info.Mode().Perm())
	}
	info, err = os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %#o; it must be 0600", ErrPermissions, path, info.Mode().Perm())
	}
	return nil
}

func prepare(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketRecords, bucketExpiry, bucketMeta} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(bucketMeta)
	found := meta.Get(keySchema)
	if found == nil {
		return meta.Put(keySchema, binary.BigEndian.AppendUint64(nil, schema))
	}
	if len(found) != 8 || binary.BigEndian.Uint64(found) != schema {
		return fmt.Errorf("the file was written by another version (schema %x, this one reads %d)", found, schema)
	}
	return nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (e store.Entry, err error) {
	err = s.view(ctx, func(tx *bolt.Tx) error {
		e, err = s.read(tx, key)
		return err
	})
	return e, err
}

// Take implements store.Store.
func (s *Store) Take(ctx context.Context, key string) (e store.Entry, err error) {
	s.order.Lock()
	defer s.order.Unlock()
	err = s.update(ctx, func(tx *bolt.Tx) error {
		if e, err = s.read(tx, key); err != nil {
			return err
		}
		return remove(tx, key)
	})
	if err != nil {
		return store.Entry{}, err
	}
	s.hub.publish(store.Event{Key: key})
	return e, nil
}

// Apply implements store.Store.
func (s *Store) Apply(ctx context.Context, conds []store.Cond, ops []store.Op) (rev store.Rev, err error) {
	if err := bounded(conds, ops); err != nil {
		return 0, err
	}
	events := make([]store.Event, 0, len(ops))
	s.order.Lock()
	defer s.order.Unlock()
	err = s.update(ctx, func(tx *bolt.Tx) error {
		for _, c := range conds {
			e, err := s.read(tx, c.Key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if e.Rev != c.Rev {
				return store.ErrConflict
			}
		}
		n, err := tx.Bucket(bucketRecords).NextSequence()
		if err != nil {
			return err
		}
		rev = store.Rev(n)
		for _, op := range ops {
			if err := write(tx, op, rev); err != nil {
				return err
			}
			ev := store.Event{Key: op.Key}
			if op.Value != nil {
				ev.Entry = &store.Entry{Key: op.Key, Value: bytes.Clone(op.Value), Rev: rev, Expires: op.Expires}
			}
			events = append(events, ev)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.hub.publish(events...)
	return rev, nil
}

func bounded(conds []store.Cond, ops []store.Op) error {
	if len(conds) > store.MaxOps || len(ops) > store.MaxOps {
		return store.ErrTooLarge
	}
	seen := make(map[string]struct{}, len(ops))
	for _, op := range ops {
		if len(op.Value) > store.MaxValue || len(op.Key) > store.MaxKey {
			return store.ErrTooLarge
		}
		if _, twice := seen[op.Key]; twice {
			return fmt.Errorf("%w: a change names a key twice", store.ErrUnavailable)
		}
		seen[op.Key] = struct{}{}
	}
	return nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) (out []store.Entry, err error) {
	err = s.view(ctx, func(tx *bolt.Tx) error {
		cursor := tx.Bucket(bucketRecords).Cursor()
		start := []byte(max(prefix, after))
		for k, v := cursor.Seek(start); k != nil && bytes.HasPrefix(k, []byte(prefix)) && len(out) < limit; k, v = cursor.Next() {
			if string(k) == after {
				continue
			}
			e, live, err := s.decode(string(k), v)
			if err != nil {
				return err
			}
			if live {
				out = append(out, e)
			}
		}
		return nil
	})
	return out, err
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string) (<-chan store.Event, error) {
	events := s.hub.watch(ctx, prefix)
	if events == nil {
		return nil, fmt.Errorf("%w: watch: the store is closed", store.ErrUnavailable)
	}
	return events, nil
}

// Ping implements store.Store. It writes nothing: bbolt finds out about a full disk only when
// it writes, and a write for every probe would wear the disk.
func (s *Store) Ping(ctx context.Context) error {
	return s.view(ctx, func(tx *bolt.Tx) error {
		if tx.Bucket(bucketMeta).Get(keySchema) == nil {
			return errors.New("the schema number is gone")
		}
		return nil
	})
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.hub.close()
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Sweep deletes up to limit expired records and returns how many it deleted.
func (s *Store) Sweep(ctx context.Context, limit int) (n int, err error) {
	now := uint64(s.now().UnixMilli())
	err = s.update(ctx, func(tx *bolt.Tx) error {
		var keys []string
		cursor := tx.Bucket(bucketExpiry).Cursor()
		for k, _ := cursor.First(); k != nil && len(keys) < limit; k, _ = cursor.Next() {
			if binary.BigEndian.Uint64(k) > now {
				break
			}
			keys = append(keys, string(k[8:]))
		}
		for _, key := range keys {
			if err := remove(tx, key); err != nil {
				return err
			}
		}
		n = len(keys)
		return nil
	})
	return n, err
}

// read returns a copy: bytes of a bucket are valid only inside the transaction.
func (s *Store) read(tx *bolt.Tx, key string) (store.Entry, error) {
	raw := tx.Bucket(bucketRecords).Get([]byte(key))
	if raw == nil {
		return store.Entry{}, store.ErrNotFound
	}
	e, live, err := s.decode(key, raw)
	if err != nil {
		return store.Entry{}, err
	}
	if !live {
		return store.Entry{}, store.ErrNotFound
	}
	return e, nil
}

func (s *Store) decode(key string, raw []byte) (e store.Entry, live bool, err error) {
	if len(raw) < header {
		return e, false, errors.New("a record is cut off")
	}
	e = store.Entry{Key: key, Rev: store.Rev(binary.BigEndian.Uint64(raw)), Value: bytes.Clone(raw[header:])}
	if ms := binary.BigEndian.Uint64(raw[8:]); ms != 0 {
		e.Expires = time.UnixMilli(int64(ms)).UTC()
		if !s.now().Before(e.Expires) {
			return e, false, nil
		}
	}
	return e, true, nil
}

func write(tx *bolt.Tx, op store.Op, rev store.Rev) error {
	if err := remove(tx, op.Key); err != nil || op.Value == nil {
		return err
	}
	var ms uint64
	if !op.Expires.IsZero() {
		ms = uint64(max(op.Expires.UnixMilli(), 1))
		if err := tx.Bucket(bucketExpiry).Put(expiryKey(ms, op.Key), nil); err != nil {
			return err
		}
	}
	raw := binary.BigEndian.AppendUint64(make([]byte, 0, header+len(op.Value)), uint64(rev))
	raw = binary.BigEndian.AppendUint64(raw, ms)
	return tx.Bucket(bucketRecords).Put([]byte(op.Key), append(raw, op.Value...))
}

func remove(tx *bolt.Tx, key string) error {
	records := tx.Bucket(bucketRecords)
	raw := records.Get([]byte(key))
	if len(raw) < header {
		return nil
	}
	if ms := binary.BigEndian.Uint64(raw[8:]); ms != 0 {
		if err := tx.Bucket(bucketExpiry).Delete(expiryKey(ms, key)); err != nil {
			return err
		}
	}
	return records.Delete([]byte(key))
}

func expiryKey(ms uint64, key string) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(key)), ms), key...)
}

func (s *Store) view(ctx context.Context, f func(*bolt.Tx) error) error {
	return s.run(ctx, s.db.View, f)
}

func (s *Store) update(ctx context.Context, f func(*bolt.Tx) error) error {
	return s.run(ctx, s.db.Update, f)
}

func (s *Store) run(ctx context.Context, do func(func(*bolt.Tx) error) error, f func(*bolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	err := do(f)
	if err == nil || errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}
