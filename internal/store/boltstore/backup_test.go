package boltstore_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/boltstore"
)

// A backup that is made while others write opens and holds whole changes.
func TestBackupOpens(t *testing.T) {
	s := open(t, file(t), time.Now)
	var wg sync.WaitGroup
	put := func(n int) {
		text := []byte(fmt.Sprint(n))
		if _, err := s.Apply(t.Context(), nil, []store.Op{{Key: "a", Value: text}, {Key: "b", Value: text}}); err != nil {
			t.Error(err)
		}
	}
	put(0)
	wg.Go(func() {
		for n := range 50 {
			put(n)
		}
	})
	for range 5 {
		var b bytes.Buffer
		if err := s.Backup(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		backup := open(t, path, time.Now)
		if err := backup.Check(); err != nil {
			t.Fatal(err)
		}
		list, err := backup.List(t.Context(), "", "", 10)
		if err != nil || len(list) != 2 || !bytes.Equal(list[0].Value, list[1].Value) || list[0].Rev != list[1].Rev {
			t.Fatal(list, err)
		}
	}
	wg.Wait()
}

// A finished copy says so once, to whoever opens it as a store. The original never does.
func TestCopyIsMarked(t *testing.T) {
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
	at := time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)
	if err := boltstore.FinishCopy(path, at); err != nil {
		t.Fatal(err)
	}
	backup := open(t, path, time.Now)
	copiedAt(t, backup, at)
	copiedAt(t, s, time.Time{})
	if e, err := backup.Get(t.Context(), "a"); err != nil || string(e.Value) != "1" {
		t.Fatal(e, err)
	}
	if err := backup.ClearCopied(); err != nil {
		t.Fatal(err)
	}
	copiedAt(t, backup, time.Time{})
}

func copiedAt(t *testing.T, s *boltstore.Store, want time.Time) {
	t.Helper()
	if at, err := s.CopiedAt(); err != nil || !at.Equal(want) {
		t.Errorf("copied at %v: %v", at, err)
	}
}

func TestInUse(t *testing.T) {
	path := file(t)
	if boltstore.InUse(path) {
		t.Error("a file that is not there is in use")
	}
	s := open(t, path, time.Now)
	if !boltstore.InUse(path) {
		t.Error("an open store is not in use")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if boltstore.InUse(path) {
		t.Error("a closed store is in use")
	}
}

// What is no store is no copy of one.
func TestOtherFilesAreNoCopies(t *testing.T) {
	for name, data := range map[string][]byte{"nothing": nil, "text": []byte("not found"), "zeros": make([]byte, 1<<16)} {
		path := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := boltstore.FinishCopy(path, time.Now()); err == nil {
			t.Errorf("%s passes for a copy", name)
		}
	}
}
