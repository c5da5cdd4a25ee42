package boltstore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/boltstore"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

func open(t *testing.T, path string, now func() time.Time) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(path, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func file(t *testing.T) string { return filepath.Join(t.TempDir(), "d", "s.db") }

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store { return open(t, file(t), now) })
}

func TestSecondOpenIsRefused(t *testing.T) {
	path := file(t)
	open(t, path, time.Now)
	if _, err := boltstore.Open(path, time.Now); !errors.Is(err, boltstore.ErrLocked) {
		t.Fatalf("%v", err)
	}
}

// File and directory are private whatever the umask, and a start is refused when others
// could read the file or put another in its place.
func TestPermissions(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	var path string
	var s *boltstore.Store
	for _, mask := range []int{0o077, 0o022, 0} {
		syscall.Umask(mask)
		path = file(t)
		s = open(t, path, time.Now)
		for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
			info, err := os.Stat(name)
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("umask %o: %s: %v %v", mask, name, info.Mode(), err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, wide := range []struct {
		name string
		mode os.FileMode
	}{{path, 0o644}, {path, 0o640}, {path, 0o604}, {path, 0o620}, {filepath.Dir(path), 0o777}, {filepath.Dir(path), 0o720}} {
		before, err := os.Stat(wide.name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(wide.name, wide.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := boltstore.Open(path, time.Now); !errors.Is(err, boltstore.ErrPermissions) {
			t.Errorf("%s %o: %v", wide.name, wide.mode, err)
		}
		if err := os.Chmod(wide.name, before.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSweepTakesOnlyTheExpired(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, file(t), clock.Now)
	for i := range 10 {
		if _, err := s.Apply(t.Context(), nil, []store.Op{{Key: fmt.Sprint(i), Value: []byte("x"), Expires: clock.Now().Add(time.Duration(i) * time.Minute)}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Apply(t.Context(), nil, []store.Op{{Key: "0", Value: []byte("x")}}); err != nil { // no longer expires
		t.Fatal(err)
	}
	clock.Advance(5 * time.Minute)
	n, err := s.Sweep(t.Context(), 3)
	if err != nil || n != 3 {
		t.Fatal(n, err)
	}
	if n, err = s.Sweep(t.Context(), 100); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	clock.Advance(-time.Hour) // what is still in the file shows again
	left, err := s.List(t.Context(), "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	var keys string
	for _, e := range left {
		keys += e.Key
	}
	if keys != "06789" {
		t.Fatalf("the sweep left %q", keys)
	}
}

// A file of another version is left alone, and is not kept locked.
func TestOtherSchemaIsRefused(t *testing.T) {
	path := file(t)
	s := open(t, path, time.Now)
	if _, err := s.Apply(t.Context(), nil, []store.Op{{Key: "a", Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mark := func(schema []byte) {
		t.Helper()
		db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("schema"), schema) }); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, schema := range [][]byte{{}, {1}, make([]byte, 8), {0, 0, 0, 0, 0, 0, 0, 2}} {
		mark(schema)
		if _, err := boltstore.Open(path, time.Now); err == nil || !strings.Contains(err.Error(), "another version") {
			t.Fatalf("schema %x: %v", schema, err)
		}
	}
	mark([]byte{0, 0, 0, 0, 0, 0, 0, 1})
	if e, err := open(t, path, time.Now).Get(t.Context(), "a"); err != nil || string(e.Value) != "1" {
		t.Fatal(e, err)
	}
}
