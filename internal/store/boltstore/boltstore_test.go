package boltstore_test

import (
	"bytes"
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

// T12: file and directory are private whatever the umask, and a start is refused when others
// could read the file or put another in its place.
func TestPermissions(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := file(t)
	s := open(t, path, time.Now)
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, wide := range []struct {
		name string
		mode os.FileMode
	}{{path, 0o640}, {path, 0o604}, {filepath.Dir(path), 0o777}, {filepath.Dir(path), 0o720}} {
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
	left, err := s.List(t.Context(), "", "", 100)
	if err != nil || len(left) != 5 {
		t.Fatal(len(left), err)
	}
}

func TestBackupOpens(t *testing.T) {
	s := open(t, file(t), time.Now)
	if _, err := s.Apply(t.Context(), nil, []store.Op{{Key: "a", Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.Backup(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err := open(t, path, time.Now).Get(t.Context(), "a"); err != nil || string(e.Value) != "1" {
		t.Fatal(e, err)
	}
}

func TestOtherSchemaIsRefused(t *testing.T) {
	path := file(t)
	if err := open(t, path, time.Now).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("schema"), make([]byte, 8)) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := boltstore.Open(path, time.Now); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Fatal(err)
	}
}
