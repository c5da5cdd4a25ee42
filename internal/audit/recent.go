package audit

import (
	"slices"
	"sync"
)

// Recent keeps the latest events in memory, for people who look at what just happened. Refused
// tries are kept apart, so that nobody who guesses pushes the rest out. The zero value keeps
// none. Its methods are safe for parallel use.
type Recent struct {
	mu            sync.Mutex
	done, refused ring
}

// NewRecent returns one that keeps so many events of each sort.
func NewRecent(size int) *Recent {
	return &Recent{done: make(ring, 0, size), refused: make(ring, 0, size)}
}

// ring holds events in the order in which they came; its capacity bounds it.
type ring []Event

func (r *ring) add(ev Event) {
	switch {
	case len(*r) < cap(*r):
		*r = append(*r, ev)
	case len(*r) > 0:
		copy(*r, (*r)[1:])
		(*r)[len(*r)-1] = ev
	}
}

// Record implements Recorder. The oldest event of its sort gives way.
func (r *Recent) Record(ev Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ev.Kind == FactorRefused || ev.Kind == BreakGlassRefused {
		r.refused.add(ev)
		return
	}
	r.done.add(ev)
}

// List returns at most limit events, the newest first: of one user, also those that the user
// caused as an administrator, or of all when userID is empty.
func (r *Recent) List(userID string, limit int) []Event {
	r.mu.Lock()
	all := slices.Concat(r.done, r.refused)
	r.mu.Unlock()
	all = slices.DeleteFunc(all, func(ev Event) bool { return userID != "" && ev.UserID != userID && ev.ActorID != userID })
	slices.SortStableFunc(all, func(a, b Event) int { return b.Time.Compare(a.Time) })
	return all[:min(len(all), limit)]
}
