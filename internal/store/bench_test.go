package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

// filled is a table of n notes.
func filled(b *testing.B, n int) store.Table[note] {
	b.Helper()
	db := storetest.Open(b, time.Now)
	table := store.NewTable[note](db, "t/", 1)
	for i := 0; i < n; {
		var c store.Change
		for ; i < n && len(c.Ops) < store.MaxOps; i++ {
			if err := table.Put(&c, fmt.Sprintf("%06d", i), note{Text: "a record of common size, with a name and a few numbers", At: db.Now()}, time.Time{}); err != nil {
				b.Fatal(err)
			}
		}
		if err := db.Apply(context.Background(), c); err != nil {
			b.Fatal(err)
		}
	}
	return table
}

// BenchmarkGet reads and opens one record of many.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("%d records", n), func(b *testing.B) {
			table := filled(b, n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, _, err := table.Get(b.Context(), fmt.Sprintf("%06d", i%n)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUpdate changes one record by one writer and by many. The disk decides.
func BenchmarkUpdate(b *testing.B) {
	edit := func(v *note, _ bool) (time.Time, error) { v.Text = "changed"; return time.Time{}, nil }
	b.Run("alone", func(b *testing.B) {
		table := filled(b, 1000)
		b.ReportAllocs()
		for b.Loop() {
			if err := table.Update(b.Context(), "000007", edit); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("crowd", func(b *testing.B) {
		table := filled(b, 1000)
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := table.Update(b.Context(), "000007", edit); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkList reads a page of a listing.
func BenchmarkList(b *testing.B) {
	table := filled(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if rows, err := table.List(b.Context(), "", "005000", 50); err != nil || len(rows) != 50 {
			b.Fatal(len(rows), err)
		}
	}
}

// BenchmarkSeal is what sealing adds to every write.
func BenchmarkSeal(b *testing.B) {
	keys, err := store.NewKeyring(storetest.Secret())
	if err != nil {
		b.Fatal(err)
	}
	plain := make([]byte, 512)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Seal("t/x", plain); err != nil {
			b.Fatal(err)
		}
	}
}
