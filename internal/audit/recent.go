package audit

import (
	"slices"
	"sync"
)

// Recent keeps the latest events in memory, for people who look at what just happened. Each sort
// has room of its own: nobody who guesses pushes out what was done, and nobody who signs in
// pushes out alarms and what administrators did. The zero value keeps none. Its methods are safe
// for parallel use.
type Recent struct {
	mu                     sync.Mutex
	refused, grave, common ring
}

// NewRecent returns one that keeps so many events of each sort.
func NewRecent(size int) *Recent {
	return &Recent{refused: newRing(size), grave: newRing(size), common: newRing(size)}
}

// ring holds the last events, as many as it has room for; when it is full, the oldest is at at.
type ring struct {
	events []Event
	at     int
}

func newRing(size int) ring { return ring{events: make([]Event, 0, size)} }

func (r *ring) add(ev Event) {
	switch {
	case len(r.events) < cap(r.events):
		r.events = append(r.events, ev)
	case len(r.events) > 0:
		r.events[r.at] = ev
		r.at = (r.at + 1) % len(r.events)
	}
}

// Record implements Recorder. The oldest event of its sort gives way.
func (r *Recent) Record(ev Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case ev.Kind == FactorRefused || ev.Kind == BreakGlassRefused:
		r.refused.add(ev)
	case ev.Kind.Alarming() || ev.ByAdmin:
		r.grave.add(ev)
	default:
		r.common.add(ev)
	}
}

// List returns at most limit events, the newest first: of one user, also those that the user
// caused as an administrator, or of all when userID is empty.
func (r *Recent) List(userID string, limit int) []Event {
	r.mu.Lock()
	all := slices.Concat(r.grave.events, r.common.events, r.refused.events)
	r.mu.Unlock()
	all = slices.DeleteFunc(all, func(ev Event) bool { return userID != "" && ev.UserID != userID && ev.ActorID != userID })
	slices.SortStableFunc(all, func(a, b Event) int { return b.Time.Compare(a.Time) })
	return all[:min(len(all), limit)]
}
