package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

func (s *suite) watch() {
	ctx, cancel := context.WithCancel(s.t.Context())
	events, err := s.Watch(ctx, "w/")
	if err != nil {
		s.t.Fatal(err)
	}
	if e := <-events; !e.Reset {
		s.t.Fatalf("the first event is %+v", e)
	}
	s.put("x/1", "1", time.Time{})
	if _, err := s.Apply(ctx, []store.Cond{{Key: "x/1"}}, []store.Op{{Key: "w/0", Value: []byte("1")}}); err == nil {
		s.t.Fatal("a condition was not heeded")
	}
	rev := s.put("w/1", "1", time.Time{})
	if e := <-events; e.Key != "w/1" || e.Entry == nil || string(e.Entry.Value) != "1" || e.Entry.Rev != rev {
		s.t.Fatalf("%+v", e)
	}
	if _, err := s.Take(ctx, "w/1"); err != nil {
		s.t.Fatal(err)
	}
	if e := <-events; e.Key != "w/1" || e.Entry != nil {
		s.t.Fatalf("%+v", e)
	}
	cancel()
	for range events {
	}
}

// slowReader reads nothing while more happens than anybody would buffer. What it then is told
// must make it forget what it missed, and after that it hears of changes again.
func (s *suite) slowReader() {
	ctx := s.t.Context()
	events, err := s.Watch(ctx, "w/")
	if err != nil {
		s.t.Fatal(err)
	}
	if e := <-events; !e.Reset {
		s.t.Fatalf("the first event is %+v", e)
	}
	flood := func() {
		for i := range 100 {
			var ops []store.Op
			for j := range store.MaxOps - 1 {
				ops = append(ops, store.Op{Key: fmt.Sprintf("w/%02d", j), Value: []byte(fmt.Sprint(i))})
			}
			if _, err := s.Apply(ctx, nil, ops); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	known, resets := map[string]string{}, 0
	// until reads events, and after a Reset the records, up to the given key.
	until := func(key string) {
		for known[key] == "" {
			e := <-events
			if !e.Reset {
				known[e.Key] = string(e.Entry.Value)
				continue
			}
			resets++
			clear(known)
			list, err := s.List(ctx, "w/", "", 2*store.MaxOps)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, e := range list {
				known[e.Key] = string(e.Value)
			}
		}
	}
	for want, key := range []string{"w/first", "w/second"} { // it may sleep again
		flood()
		s.put(key, "1", time.Time{})
		until(key)
		if resets <= want {
			s.t.Error("a reader that slept through 6300 changes was not told to start over")
		}
	}
	s.put("w/00", "awake", time.Time{})
	for known["w/00"] != "awake" {
		e := <-events
		if e.Reset {
			s.t.Fatal("a reset without a loss")
		}
		known[e.Key] = string(e.Entry.Value)
	}
	if len(known) != store.MaxOps+1 {
		s.t.Errorf("the reader knows of %d records", len(known))
	}
	for key, value := range known {
		s.want(key, value)
	}
}

// order has events of one key come in the order in which the changes took effect. Otherwise a
// reader would end up believing an old value.
func (s *suite) order() {
	const writers, each = 8, 10
	ctx := s.t.Context()
	events, err := s.Watch(ctx, "w/")
	if err != nil {
		s.t.Fatal(err)
	}
	if e := <-events; !e.Reset {
		s.t.Fatalf("the first event is %+v", e)
	}
	parallel(writers, func(int) {
		for n := 0; n < each; {
			e, err := s.Get(ctx, "w/1")
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				s.t.Error(err)
				return
			}
			_, err = s.Apply(ctx, []store.Cond{{Key: "w/1", Rev: e.Rev}}, []store.Op{{Key: "w/1", Value: append(e.Value, 'x')}})
			if err == nil {
				n++
			} else if !errors.Is(err, store.ErrConflict) {
				s.t.Error(err)
				return
			}
		}
	})
	for last := 0; last < writers*each; {
		e := <-events
		if e.Reset {
			s.t.Fatal("a reset after 80 changes")
		}
		if len(e.Entry.Value) != last+1 {
			s.t.Fatalf("change %d was reported after change %d", len(e.Entry.Value), last)
		}
		last++
	}
}
