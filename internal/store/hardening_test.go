package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/boltstore"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

type note struct {
	Text string    `cbor:"1,keyasint"`
	At   time.Time `cbor:"2,keyasint"`
}

// T5: a sealed value that is moved to another key does not open.
func TestMovedValueDoesNotOpen(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Open(t, clock.Now)
	table := store.NewTable[note](db, "t/", 1)
	var c store.Change
	for _, id := range []string{"alice", "bob"} {
		if err := table.Put(&c, id, note{Text: id, At: clock.Now()}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stolen, err := db.Store().Get(t.Context(), "t/alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Store().Apply(t.Context(), nil, []store.Op{{Key: "t/bob", Value: stolen.Value}}); err != nil {
		t.Fatal(err)
	}
	if v, _, err := table.Get(t.Context(), "bob"); !errors.Is(err, store.ErrUnavailable) || v.Text != "" {
		t.Fatalf("%+v %v", v, err)
	}
	if v, _, err := table.Get(t.Context(), "alice"); err != nil || v.Text != "alice" || !v.At.Equal(clock.Now()) {
		t.Fatalf("%+v %v", v, err)
	}
	// Another version of the record is not guessed at either.
	if _, _, err := store.NewTable[note](db, "t/", 2).Get(t.Context(), "alice"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
}

// T1, T13: the file alone tells nothing.
func TestFileTellsNothing(t *testing.T) {
	const canary = "canary-7f3a"
	path := filepath.Join(t.TempDir(), "d", "s.db")
	s, err := boltstore.Open(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.DB(t, s, time.Now)
	table := store.NewTable[note](db, "t/", 1)
	var c store.Change
	if err := table.Put(&c, db.Keyring().Index("e-mail", canary+"@example.com"), note{Text: canary}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := db.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, []byte(canary)) || bytes.Contains(raw, storetest.Secret()) {
		t.Fatal("the file holds what was sealed")
	}
}

// A replaced secret still opens and finds what the old one sealed; a strange one does not.
func TestSecretRotation(t *testing.T) {
	old, fresh, strange := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{3}, 32)
	before, err := store.NewKeyring(old)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := before.Seal("x", []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := store.NewKeyring(fresh, old)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := after.Open("x", sealed); err != nil || string(plain) != "text" || after.Index("l", "t") != before.Index("l", "t") {
		t.Fatal(plain, err)
	}
	resealed, err := after.Seal("x", []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.Open("x", resealed); !errors.Is(err, store.ErrSealed) {
		t.Fatal("the new secret does not seal")
	}
	other, err := store.NewKeyring(strange)
	if err != nil {
		t.Fatal(err)
	}
	for _, try := range []func() ([]byte, error){
		func() ([]byte, error) { return other.Open("x", sealed) },
		func() ([]byte, error) { return before.Open("y", sealed) },
		func() ([]byte, error) { return before.Open("x", sealed[1:]) },
		func() ([]byte, error) { return before.Open("x", nil) },
	} {
		if plain, err := try(); !errors.Is(err, store.ErrSealed) {
			t.Errorf("%q %v", plain, err)
		}
	}
	if other.Index("l", "t") == before.Index("l", "t") || before.Index("a", "bc") == before.Index("ab", "c") {
		t.Error("indexes collide")
	}
	if _, err := store.NewKeyring(old[:31]); err == nil {
		t.Error("a short secret was taken")
	}
}
