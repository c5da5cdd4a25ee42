package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

// Only what is named stays, however much there is and wherever pages end.
func TestKeepOnly(t *testing.T) {
	db := storetest.Open(t, time.Now)
	const each = 3 * store.MaxOps / 2
	for _, kind := range []string{"a/", "k/", "kk/", "z/"} {
		table := store.NewTable[note](db, kind, 1)
		for i := range each {
			var c store.Change
			if err := table.Put(&c, fmt.Sprintf("%04d", i), note{Text: kind}, time.Time{}); err != nil {
				t.Fatal(err)
			}
			if err := db.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, err := store.KeepOnly(t.Context(), db.Store(), "k/", "z/"); err != nil || n != 2*each {
		t.Fatal(n, err)
	}
	left, err := db.Store().List(t.Context(), "", "", 5*each)
	if err != nil || len(left) != 2*each {
		t.Fatal(len(left), err)
	}
	for _, e := range left {
		if e.Key[:2] != "k/" && e.Key[:2] != "z/" {
			t.Errorf("%s is left", e.Key)
		}
	}
}
