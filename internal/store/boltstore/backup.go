package boltstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var keyCopied = []byte("copied")

// Backup writes a consistent copy of the file to w while the store is in use. Finish it with
// FinishCopy.
func (s *Store) Backup(w io.Writer) error {
	err := s.db.View(func(tx *bolt.Tx) error {
		_, err := tx.WriteTo(w)
		return err
	})
	if err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	return nil
}

// FinishCopy checks the copy at path, which holds all that Backup wrote, and marks it as one:
// whoever opens it as a store finds out by CopiedAt. The error tells that it is none.
func FinishCopy(path string, at time.Time) (err error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 { // which would become an empty store
		return errors.Join(errors.New("the copy is empty"), err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return fmt.Errorf("open the copy %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.View(check); err != nil {
		return fmt.Errorf("the copy %s is not whole: %w", path, err)
	}
	return db.Update(func(tx *bolt.Tx) error {
		if err := prepare(tx); err != nil {
			return err
		}
		stamp, err := at.UTC().MarshalText()
		if err != nil {
			return fmt.Errorf("mark the copy %s: %w", path, err)
		}
		return tx.Bucket(bucketMeta).Put(keyCopied, stamp)
	})
}

// InUse tells whether a process has the file at path open as a store.
func InUse(path string) bool {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Millisecond})
	if err == nil {
		_ = db.Close() // nothing was written
	}
	return errors.Is(err, bolterrors.ErrTimeout)
}

// CopiedAt is when the file was copied, if it is a copy that nobody has used yet; the zero time
// for any other.
func (s *Store) CopiedAt() (at time.Time, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		if stamp := tx.Bucket(bucketMeta).Get(keyCopied); stamp != nil {
			return at.UnmarshalText(stamp)
		}
		return nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("read the mark of a copy: %w", err)
	}
	return at, nil
}

// ClearCopied takes the mark of a copy away.
func (s *Store) ClearCopied() error {
	err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyCopied) })
	if err != nil {
		return fmt.Errorf("clear the mark of a copy: %w", err)
	}
	return nil
}

// Check reports inconsistencies of the file.
func (s *Store) Check() error { return s.db.View(check) }

func check(tx *bolt.Tx) error {
	var errs []error
	for err := range tx.Check() {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
