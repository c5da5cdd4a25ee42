package decisions

import (
	"slices"
	"sync"

	"github.com/stepgate/stepgate/policy"
)

// Recent keeps the latest refusals in memory. Those of visitors who are signed in and those of
// strangers are kept apart, so that nobody can push the former out without a session. The zero
// value keeps none. Its methods are safe for parallel use.
type Recent struct {
	mu                sync.Mutex
	people, strangers ring
}

// NewRecent returns a Recent for so many refusals of either kind.
func NewRecent(size int) *Recent {
	return &Recent{people: ring{events: make([]*Event, size)}, strangers: ring{events: make([]*Event, size)}}
}

// ring holds the last events, the next one at at.
type ring struct {
	events []*Event
	at     int
}

func (r *ring) add(ev *Event) {
	if len(r.events) > 0 {
		r.events[r.at] = ev
		r.at = (r.at + 1) % len(r.events)
	}
}

func (r *Recent) add(ev *Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ev.Subject != nil {
		r.people.add(ev)
		return
	}
	r.strangers.add(ev)
}

// held copies the events that are kept.
func (r *Recent) held() []*Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Concat(r.people.events, r.strangers.events)
	return slices.DeleteFunc(all, func(ev *Event) bool { return ev == nil })
}

// Recent lists at most limit of the refusals that are kept, the newest first.
func (r *Recent) Recent(limit int) []Entry {
	events := r.held()
	slices.SortStableFunc(events, func(a, b *Event) int { return b.Time.Compare(a.Time) })
	events = events[:min(len(events), limit)]
	out := make([]Entry, len(events))
	for i, ev := range events {
		out[i] = ev.entry()
	}
	return out
}

// Find returns the refusal whose answer carried a request id; ok is false when it is not kept.
func (r *Recent) Find(requestID string) (e Entry, ok bool) {
	for _, ev := range r.held() {
		if ev.RequestID == requestID {
			return ev.entry(), true
		}
	}
	return Entry{}, false
}

// Explain returns a refusal with the part that every rule had in it, by the policy that was in
// force then; ok is false when it is not kept. A refusal that cannot be judged again has no
// explanation but its own reason.
func (r *Recent) Explain(requestID string) (e Entry, why policy.Explanation, ok bool) {
	for _, ev := range r.held() {
		if ev.RequestID != requestID {
			continue
		}
		e = ev.entry()
		why, err := e.Explain(ev.Asked)
		if err != nil {
			why = policy.Explanation{Outcome: e.Outcome, Rule: e.Rule, Floor: e.Floor, Reason: e.Reason, Missing: e.Missing}
		}
		return e, why, true
	}
	return Entry{}, policy.Explanation{}, false
}
