package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

// Run tries everything that the contract of store.Store promises. open returns an empty store
// that reads the given clock and whose sweeper does not run.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) store.Store) {
	for name, f := range map[string]func(*suite){
		"revisions": (*suite).revisions, "all or nothing": (*suite).allOrNothing, "take once": (*suite).takeOnce,
		"counters": (*suite).counters, "expiry": (*suite).expiry, "pages": (*suite).pages, "watch": (*suite).watch,
		"slow reader": (*suite).slowReader, "bounds": (*suite).bounds, "closed": (*suite).closed,
		"order of events": (*suite).order, "cancelled": (*suite).cancelled, "copies": (*suite).copies,
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClock()
			f(&suite{Store: open(t, c.Now), t: t, clock: c})
		})
	}
}

type suite struct {
	store.Store
	t     *testing.T
	clock *Clock
}

func (s *suite) put(key, value string, expires time.Time) store.Rev {
	s.t.Helper()
	rev, err := s.Apply(s.t.Context(), nil, []store.Op{{Key: key, Value: []byte(value), Expires: expires}})
	if err != nil {
		s.t.Fatal(err)
	}
	return rev
}

// want demands the value under a key; "" demands that there is none.
func (s *suite) want(key, value string) {
	s.t.Helper()
	e, err := s.Get(s.t.Context(), key)
	switch {
	case value == "" && !errors.Is(err, store.ErrNotFound):
		s.t.Fatalf("%s: %q, %v; expected nothing", key, e.Value, err)
	case value != "" && (err != nil || string(e.Value) != value || e.Key != key):
		s.t.Fatalf("%s: %q, %v; expected %q", key, e.Value, err, value)
	}
}

func (s *suite) refused(err, want error) {
	s.t.Helper()
	if !errors.Is(err, want) {
		s.t.Fatalf("error %v, expected %v", err, want)
	}
}

func (s *suite) revisions() {
	ctx := s.t.Context()
	s.want("a", "")
	first := s.put("a", "1", time.Time{})
	e, err := s.Get(ctx, "a")
	if err != nil || e.Rev != first {
		s.t.Fatalf("revision %d, expected %d: %v", e.Rev, first, err)
	}
	second := s.put("a", "1", time.Time{})
	if second == first || second == 0 {
		s.t.Fatal("a write did not change the revision")
	}
	_, err = s.Apply(ctx, []store.Cond{{Key: "a", Rev: first}}, []store.Op{{Key: "a", Value: []byte("2")}})
	s.refused(err, store.ErrConflict)
	_, err = s.Apply(ctx, []store.Cond{{Key: "a"}}, []store.Op{{Key: "a", Value: []byte("2")}})
	s.refused(err, store.ErrConflict)
	_, err = s.Apply(ctx, []store.Cond{{Key: "b", Rev: 7}}, []store.Op{{Key: "a", Value: []byte("2")}})
	s.refused(err, store.ErrConflict)
	s.want("a", "1")
	if _, err = s.Apply(ctx, []store.Cond{{Key: "a", Rev: second}, {Key: "b"}}, []store.Op{{Key: "a"}, {Key: "b", Value: []byte("3")}}); err != nil {
		s.t.Fatal(err)
	}
	s.want("a", "")
	s.want("b", "3")
	if again := s.put("a", "1", time.Time{}); again == first || again == second {
		s.t.Fatal("a revision came back after a delete")
	}
}

func (s *suite) allOrNothing() {
	s.put("x", "1", time.Time{})
	_, err := s.Apply(s.t.Context(), []store.Cond{{Key: "new"}, {Key: "x"}}, []store.Op{{Key: "new", Value: []byte("1")}, {Key: "x"}})
	s.refused(err, store.ErrConflict)
	s.want("new", "")
	s.want("x", "1")
	// The engine itself refuses the last operation, for it has no key.
	_, err = s.Apply(s.t.Context(), nil, []store.Op{{Key: "new", Value: []byte("1")}, {Key: "x"}, {Value: []byte("1")}})
	s.refused(err, store.ErrUnavailable)
	s.want("new", "")
	s.want("x", "1")
	if _, err := s.Apply(s.t.Context(), nil, []store.Op{{Key: "absent"}}); err != nil {
		s.t.Fatalf("deleting what is absent: %v", err)
	}
}

// parallel runs f many times at once.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func (s *suite) takeOnce() {
	for round := range 5 {
		rev := s.put("ticket", "1", s.clock.Now().Add(time.Minute))
		var winners atomic.Int32
		parallel(200, func(int) {
			e, err := s.Take(s.t.Context(), "ticket")
			if err == nil && string(e.Value) == "1" && e.Rev == rev {
				winners.Add(1)
			} else if !errors.Is(err, store.ErrNotFound) {
				s.t.Errorf("%q %v", e.Value, err)
			}
		})
		if n := winners.Load(); n != 1 {
			s.t.Fatalf("round %d: %d winners", round, n)
		}
	}
}

// counters go through two databases, as on two nodes: conflicts happen and lose no count.
func (s *suite) counters() {
	nodes := []store.Table[int]{
		store.NewTable[int](DB(s.t, s.Store, s.clock.Now), "n/", 1),
		store.NewTable[int](DB(s.t, s.Store, s.clock.Now), "n/", 1),
	}
	parallel(200, func(i int) {
		if err := nodes[i%2].Update(s.t.Context(), "n", func(v *int, _ bool) (time.Time, error) { *v++; return time.Time{}, nil }); err != nil {
			s.t.Error(err)
		}
	})
	if n, _, err := nodes[0].Get(s.t.Context(), "n"); err != nil || n != 200 {
		s.t.Fatalf("%d, %v", n, err)
	}
}

// expiry is judged on every read by our clock; nothing is swept here.
func (s *suite) expiry() {
	ctx := s.t.Context()
	end := s.clock.Now().Add(time.Minute)
	rev := s.put("e", "1", end)
	s.clock.Advance(time.Minute - time.Millisecond)
	s.want("e", "1")
	if list, err := s.List(ctx, "e", "", 10); err != nil || len(list) != 1 || !list[0].Expires.Equal(end) || list[0].Rev != rev {
		s.t.Fatalf("%v %v", list, err)
	}
	s.clock.Advance(time.Millisecond)
	s.want("e", "")
	_, err := s.Take(ctx, "e")
	s.refused(err, store.ErrNotFound)
	_, err = s.Apply(ctx, []store.Cond{{Key: "e", Rev: rev}}, []store.Op{{Key: "other", Value: []byte("1")}})
	s.refused(err, store.ErrConflict)
	s.want("other", "")
	if list, err := s.List(ctx, "e", "", 10); err != nil || len(list) != 0 {
		s.t.Fatalf("%v %v", list, err)
	}
	if _, err := s.Apply(ctx, []store.Cond{{Key: "e"}}, []store.Op{{Key: "e", Value: []byte("2")}}); err != nil {
		s.t.Fatalf("an expired record is in the way: %v", err)
	}
	s.clock.Advance(100 * 24 * time.Hour)
	s.want("e", "2")
}

func (s *suite) pages() {
	var want []string
	for i := range 25 {
		key := fmt.Sprintf("p/%02d", i)
		s.put(key, key, time.Time{})
		want = append(want, key)
	}
	s.put("p", "x", time.Time{})
	s.put("q/1", "x", time.Time{})
	s.put("p/expired", "x", s.clock.Now())
	var got []string
	for after := ""; ; {
		page, err := s.List(s.t.Context(), "p/", after, 7)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range page {
			got = append(got, e.Key)
			after = e.Key
		}
		if len(page) < 7 || len(got) > len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		s.t.Fatalf("%v", got)
	}
}

func (s *suite) bounds() {
	ctx := s.t.Context()
	_, err := s.Apply(ctx, nil, []store.Op{{Key: "big", Value: make([]byte, store.MaxValue+1)}})
	s.refused(err, store.ErrTooLarge)
	s.put("big", strings.Repeat("x", store.MaxValue), time.Time{})
	_, err = s.Apply(ctx, nil, []store.Op{{Key: strings.Repeat("k", store.MaxKey+1), Value: []byte("x")}})
	s.refused(err, store.ErrTooLarge)
	_, err = s.Apply(ctx, nil, make([]store.Op, store.MaxOps+1))
	s.refused(err, store.ErrTooLarge)
	_, err = s.Apply(ctx, make([]store.Cond, store.MaxOps+1), nil)
	s.refused(err, store.ErrTooLarge)
	_, err = s.Apply(ctx, nil, []store.Op{{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}})
	s.refused(err, store.ErrUnavailable)
	_, err = s.Apply(ctx, nil, []store.Op{{Key: "a", Value: []byte("1")}, {Key: "a"}})
	s.refused(err, store.ErrUnavailable)
	s.want("a", "")
	// The bounds themselves are allowed, all at once.
	conds, ops := make([]store.Cond, store.MaxOps), make([]store.Op, store.MaxOps)
	for i := range store.MaxOps {
		key := fmt.Sprintf("%0*d", store.MaxKey, i)
		conds[i], ops[i] = store.Cond{Key: key}, store.Op{Key: key, Value: []byte("x")}
	}
	if _, err := s.Apply(ctx, conds, ops); err != nil {
		s.t.Fatal(err)
	}
	s.want(ops[store.MaxOps-1].Key, "x")
}

// cancelled calls change nothing.
func (s *suite) cancelled() {
	s.put("a", "1", time.Time{})
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	_, err := s.Get(ctx, "a")
	s.refused(err, store.ErrUnavailable)
	s.refused(err, context.Canceled)
	_, err = s.Take(ctx, "a")
	s.refused(err, store.ErrUnavailable)
	_, err = s.Apply(ctx, nil, []store.Op{{Key: "a", Value: []byte("2")}})
	s.refused(err, store.ErrUnavailable)
	_, err = s.List(ctx, "", "", 1)
	s.refused(err, store.ErrUnavailable)
	s.refused(s.Ping(ctx), store.ErrUnavailable)
	s.want("a", "1")
	if events, err := s.Watch(ctx, ""); err == nil {
		for range events {
		}
	}
}

// copies are what the store takes and gives: the caller may write over them.
func (s *suite) copies() {
	ctx := s.t.Context()
	events, err := s.Watch(ctx, "a")
	if err != nil {
		s.t.Fatal(err)
	}
	if e := <-events; !e.Reset {
		s.t.Fatalf("the first event is %+v", e)
	}
	value := []byte("1")
	if _, err := s.Apply(ctx, nil, []store.Op{{Key: "a", Value: value}, {Key: "empty", Value: []byte{}}}); err != nil {
		s.t.Fatal(err)
	}
	value[0] = '2'
	s.want("a", "1")
	if e := <-events; e.Entry == nil || string(e.Entry.Value) != "1" {
		s.t.Fatalf("%+v", e)
	}
	s.put("big", strings.Repeat("x", store.MaxValue), time.Time{}) // engines keep little apart from much
	e, err := s.Get(ctx, "a")
	if err != nil {
		s.t.Fatal(err)
	}
	e.Value[0] = '3'
	s.want("a", "1")
	if e, err := s.Get(ctx, "empty"); err != nil || e.Value == nil || len(e.Value) != 0 {
		s.t.Fatalf("%v %v", e, err)
	}
}

func (s *suite) closed() {
	ctx := s.t.Context()
	events, err := s.Watch(ctx, "")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.Ping(ctx); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		s.t.Fatal(err)
	}
	for range events {
	}
	_, err = s.Get(ctx, "a")
	s.refused(err, store.ErrUnavailable)
	_, err = s.Take(ctx, "a")
	s.refused(err, store.ErrUnavailable)
	_, err = s.Apply(ctx, nil, []store.Op{{Key: "a", Value: []byte("1")}})
	s.refused(err, store.ErrUnavailable)
	_, err = s.List(ctx, "", "", 1)
	s.refused(err, store.ErrUnavailable)
	_, err = s.Watch(ctx, "")
	s.refused(err, store.ErrUnavailable)
	s.refused(s.Ping(ctx), store.ErrUnavailable)
}
