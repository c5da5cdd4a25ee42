package store_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/boltstore"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

type note struct {
	Text string    `cbor:"1,keyasint"`
	At   time.Time `cbor:"2,keyasint"`
}

// header is what the engine puts before a value: revision and expiry.
const header = 16

// closed makes a file with the given records, and returns its path when nobody has it open.
func closed(t *testing.T, records map[string]note) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "d", "s.db")
	s, err := boltstore.Open(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.DB(t, s, time.Now)
	var c store.Change
	for id, v := range records {
		if err := store.NewTable[note](db, "t/", 1).Put(&c, id, v, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// reopened is the table in a file under a keyring of these secrets.
func reopened(t *testing.T, path string, version byte, secret []byte, previous ...[]byte) store.Table[note] {
	t.Helper()
	s, err := boltstore.Open(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	keys, err := store.NewKeyring(secret, previous...)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.NewDB(s, keys, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return store.NewTable[note](db, "t/", version)
}

// tamper writes into the file past the store.
func tamper(t *testing.T, path string, f func(records *bolt.Bucket) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bolt.Tx) error { return f(tx.Bucket([]byte("records"))) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// unreadable demands that a record can be used by nobody: not read, listed, changed or taken.
func unreadable(t *testing.T, table store.Table[note], id string) {
	t.Helper()
	v, _, err := table.Get(t.Context(), id)
	if !errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrNotFound) || v != (note{}) {
		t.Errorf("get %s: %+v %v", id, v, err)
	}
	if rows, err := table.List(t.Context(), id, "", 10); !errors.Is(err, store.ErrUnavailable) || len(rows) != 0 {
		t.Errorf("list %s: %+v %v", id, rows, err)
	}
	err = table.Update(t.Context(), id, func(v *note, _ bool) (time.Time, error) {
		t.Errorf("%s is open for changes: %+v", id, v)
		return time.Time{}, nil
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("update %s: %v", id, err)
	}
	if v, err := table.Take(t.Context(), id); !errors.Is(err, store.ErrUnavailable) || v != (note{}) {
		t.Errorf("take %s: %+v %v", id, v, err)
	}
}

// Sealed values that are swapped in the file do not open.
func TestSwappedValuesDoNotOpen(t *testing.T) {
	path := closed(t, map[string]note{"alice": {Text: "alice's seed"}, "bob": {Text: "bob's seed"}, "carol": {Text: "carol's seed"}})
	tamper(t, path, func(records *bolt.Bucket) error {
		alice, bob := bytes.Clone(records.Get([]byte("t/alice"))), bytes.Clone(records.Get([]byte("t/bob")))
		// The same record under another kind is as foreign as under another id.
		return errors.Join(records.Put([]byte("t/alice"), bob), records.Put([]byte("t/bob"), alice), records.Put([]byte("u/alice"), alice))
	})
	table := reopened(t, path, 1, storetest.Secret())
	unreadable(t, table, "alice")
	unreadable(t, table, "bob")
	if v, _, err := table.Get(t.Context(), "carol"); err != nil || v.Text != "carol's seed" {
		t.Errorf("%+v %v", v, err)
	}
}

// Whatever bit of a sealed value changes, and wherever it is cut off, it does not open.
func TestDamagedValueDoesNotOpen(t *testing.T) {
	keys, err := store.NewKeyring(storetest.Secret())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := keys.Seal("t/alice", []byte("seed"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1
		for _, sealed := range [][]byte{flipped, whole[:i], whole[i+1:], append(bytes.Clone(whole), flipped[i])} {
			if plain, err := keys.Open("t/alice", sealed); !errors.Is(err, store.ErrSealed) || plain != nil {
				t.Fatalf("damage at %d: %q %v", i, plain, err)
			}
		}
	}
	again, err := keys.Seal("t/alice", []byte("seed"))
	if err != nil || bytes.Equal(again, whole) {
		t.Fatal("equal texts are sealed alike")
	}

	path := closed(t, map[string]note{"alice": {Text: "seed"}, "bob": {Text: "seed"}, "carol": {Text: "seed"}})
	tamper(t, path, func(records *bolt.Bucket) error {
		whole := records.Get([]byte("t/alice"))
		return errors.Join(
			records.Put([]byte("t/bob"), bytes.Clone(whole[:header])),
			records.Put([]byte("t/carol"), bytes.Clone(whole[:header-1])))
	})
	table := reopened(t, path, 1, storetest.Secret())
	unreadable(t, table, "bob")
	unreadable(t, table, "carol")
}

// What was written as another version of a record is not guessed at.
func TestOtherVersionIsNotRead(t *testing.T) {
	path := closed(t, map[string]note{"alice": {Text: "seed"}})
	unreadable(t, reopened(t, path, 2, storetest.Secret()), "alice")
}

// The file alone tells nothing, neither of what is in it nor of what was.
func TestFileTellsNothing(t *testing.T) {
	canaries := []string{
		"JBSWY3DPEHPK3PXPCANARY", "$argon2id$v=19$m=19456$canary", "canary@example.com", "+420777canary",
		"session-canary-7f3a", "recovery-canary-91c2", "\xde\xad\xbe\xefcanary\x00\x01", string(storetest.Secret()),
	}
	const control = "control: this is not sealed"
	path := filepath.Join(t.TempDir(), "d", "s.db")
	s, err := boltstore.Open(path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.DB(t, s, time.Now)
	table := store.NewTable[note](db, "t/", 1)
	for round := range 3 { // written, written over, deleted
		c := store.Change{Ops: []store.Op{{Key: "control", Value: []byte(control)}}}
		for i, text := range canaries {
			id := db.Keyring().Index("canary", text)
			if round == 2 && i%2 == 0 {
				table.Delete(&c, id)
			} else if err := table.Put(&c, id, note{Text: text}, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	var backup bytes.Buffer
	if err := s.Backup(&backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"file": raw, "backup": backup.Bytes()} {
		if !bytes.Contains(raw, []byte(control)) {
			t.Fatalf("the search finds nothing in the %s", name)
		}
		for _, text := range canaries {
			b := []byte(text)
			for _, form := range [][]byte{
				b, bytes.ToLower(b), []byte(hex.EncodeToString(b)), []byte(base64.RawStdEncoding.EncodeToString(b)), []byte(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)),
			} {
				if bytes.Contains(raw, form) {
					t.Errorf("the %s holds %q", name, form)
				}
			}
		}
	}
}

// A store whose secret is lost or another opens nothing. While the secret is being replaced,
// records of both open, and what is written is sealed with the new one alone.
func TestSecretOfTheFile(t *testing.T) {
	fresh, strange := bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{3}, 32)
	records := map[string]note{"alice": {Text: "seed"}, "bob": {Text: "seed"}}
	unreadable(t, reopened(t, closed(t, records), 1, strange), "alice")
	unreadable(t, reopened(t, closed(t, records), 1, strange, fresh), "alice")

	table := reopened(t, closed(t, records), 1, fresh, strange, storetest.Secret())
	if err := table.Update(t.Context(), "alice", func(v *note, exists bool) (time.Time, error) {
		if !exists || v.Text != "seed" {
			t.Errorf("%+v %v", v, exists)
		}
		v.Text = "changed"
		return time.Time{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if rows, err := table.List(t.Context(), "", "", 10); err != nil || len(rows) != 2 || rows[0].Value.Text != "changed" || rows[1].Value.Text != "seed" {
		t.Fatal(rows, err)
	}
}

// Many writers of one record lose no count, and those who give up change nothing.
func TestUpdateCountsExactly(t *testing.T) {
	clock := storetest.NewClock()
	db := storetest.Open(t, clock.Now)
	table := store.NewTable[int](db, "n/", 1)
	declined := errors.New("declined")
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			err := table.Update(t.Context(), "n", func(v *int, exists bool) (time.Time, error) {
				if exists != (*v > 0) {
					t.Errorf("exists is %v at %d", exists, *v)
				}
				*v++
				if i%4 == 3 {
					return time.Time{}, declined
				}
				return clock.Now().Add(time.Minute), nil
			})
			if (err != nil) != (i%4 == 3) || err != nil && !errors.Is(err, declined) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n, _, err := table.Get(t.Context(), "n"); err != nil || n != 150 {
		t.Fatalf("%d, %v", n, err)
	}
	// The window is over although nothing was swept; the next count starts anew.
	clock.Advance(time.Minute)
	if err := table.Update(t.Context(), "n", func(v *int, exists bool) (time.Time, error) {
		if exists || *v != 0 {
			t.Errorf("an expired count of %d goes on", *v)
		}
		*v++
		return time.Time{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if n, _, err := table.Get(t.Context(), "n"); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
}

// A caller who gives up gets out of a record that changes under it every time.
func TestUpdateEnds(t *testing.T) {
	db := storetest.Open(t, storetest.NewClock().Now)
	table := store.NewTable[int](db, "n/", 1)
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := table.Update(ctx, "n", func(v *int, _ bool) (time.Time, error) {
		var c store.Change
		if err := table.Put(&c, "n", *v+1, time.Time{}); err != nil {
			return time.Time{}, err
		}
		if tries++; tries == 10 {
			defer cancel()
		}
		return time.Time{}, db.Apply(t.Context(), c)
	})
	if !errors.Is(err, store.ErrUnavailable) || tries != 10 {
		t.Fatal(tries, err)
	}
	if n, _, err := table.Get(t.Context(), "n"); err != nil || n != 10 {
		t.Fatal(n, err)
	}
}

// What does not fit is refused before it reaches the store, and is not there to be found.
func TestTableBounds(t *testing.T) {
	db := storetest.Open(t, storetest.NewClock().Now)
	table := store.NewTable[note](db, "t/", 1)
	long := strings.Repeat("x", store.MaxKey-len("t/")+1)
	var c store.Change
	for id, text := range map[string]string{long: "", "x": strings.Repeat("x", store.MaxValue)} {
		if err := table.Put(&c, id, note{Text: text}, time.Time{}); !errors.Is(err, store.ErrTooLarge) || len(c.Ops) != 0 {
			t.Errorf("%d ops, %v", len(c.Ops), err)
		}
		if err := table.Insert(&c, id, note{Text: text}, time.Time{}); !errors.Is(err, store.ErrTooLarge) || len(c.Conds) != 0 {
			t.Errorf("%d conditions, %v", len(c.Conds), err)
		}
		if _, _, err := table.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if _, err := table.Take(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	}
	if err := table.Put(&c, long[1:], note{Text: strings.Repeat("x", store.MaxValue-100)}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := db.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if rows, err := table.List(t.Context(), "", "", 2); err != nil || len(rows) != 1 || rows[0].ID != long[1:] {
		t.Fatal(len(rows), err)
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
