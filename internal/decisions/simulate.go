package decisions

import (
	"cmp"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/policy"
)

// Simulation is what a policy would have made of requests that were logged.
type Simulation struct {
	// Policy names the policy that had decided about them.
	Policy string `json:"policy"`
	// Requests is how many were judged again.
	Requests int `json:"requests"`
	// Partial is how many the log does not hold completely enough for that.
	Partial int `json:"partial"`
	// Unlogged names what the policy reads and no request of the log holds, such as “query
	// format”: the requests were judged as if without it.
	Unlogged []string           `json:"unlogged"`
	Changes  []SimulationChange `json:"changes"`
}

// SimulationChange is a group of requests whose outcome changes alike.
type SimulationChange struct {
	Before   policy.Side `json:"before"`
	After    policy.Side `json:"after"`
	Requests int         `json:"requests"`
	// Users are up to 20 of the people who made them, UserCount how many there are. Strangers,
	// who were not signed in, are not among them.
	Users     []string `json:"users"`
	UserCount int      `json:"user_count"`
	Example   Example  `json:"example"`
}

// Example is one request of a group.
type Example struct {
	Time      time.Time `json:"time"`
	RequestID string    `json:"request_id"`
	Method    string    `json:"method"`
	URL       string    `json:"url"`
	// Missing is what it would lack.
	Missing [][]policy.Need `json:"missing,omitempty"`
}

// maxUsersListed bounds the users that a group names.
const maxUsersListed = 20

// Simulator judges logged requests again by another policy. Those of each policy that decided
// then are counted apart.
type Simulator struct {
	after *policy.Policy
	of    map[string]*tally
}

// tally is what became of the requests of one policy.
type tally struct {
	requests, partial int
	logged            map[string]bool // as policy.Policy.Reads names it
	groups            map[[2]policy.Side]*group
}

type group struct {
	requests int
	users    map[string]bool
	example  Example
}

// NewSimulator returns a Simulator that judges by a policy.
func NewSimulator(after *policy.Policy) *Simulator {
	return &Simulator{after: after, of: make(map[string]*tally)}
}

// Add judges one request again. The error says what is wrong with the entry. Requests that no
// policy was asked about are passed over.
func (s *Simulator) Add(e *Entry) error {
	if e.Policy == "" {
		return nil
	}
	d, err := e.Judge(s.after)
	partial := errors.Is(err, ErrNotReplayable)
	if err != nil && !partial {
		return err
	}
	t := s.of[e.Policy]
	if t == nil {
		t = &tally{logged: make(map[string]bool), groups: make(map[[2]policy.Side]*group)}
		s.of[e.Policy] = t
	}
	if partial {
		t.partial++
	} else {
		t.add(e, &d)
	}
	return nil
}

func (t *tally) add(e *Entry, d *policy.Decision) {
	t.requests++
	for name := range e.Query {
		t.logged["query "+name] = true
	}
	for name := range e.Headers {
		t.logged["header "+name] = true
	}
	if e.Visitor != nil {
		for name := range e.Visitor.Claims {
			t.logged["claim "+name] = true
		}
	}
	before := policy.Side{Outcome: e.Outcome, Rule: e.Rule, Floor: e.Floor}
	after := policy.Side{Outcome: d.Outcome().String(), Rule: d.Rule(), Floor: d.Floor()}
	if before.Outcome == after.Outcome {
		return
	}
	g := t.groups[[2]policy.Side{before, after}]
	if g == nil {
		g = &group{users: make(map[string]bool), example: exampleOf(e, d)}
		t.groups[[2]policy.Side{before, after}] = g
	}
	g.requests++
	if v := e.Visitor; v != nil {
		g.users[cmp.Or(v.Email, v.UserID)] = true
	}
}

func exampleOf(e *Entry, d *policy.Decision) Example {
	u := url.URL{Scheme: "https", Host: e.Host, Path: e.Path, RawQuery: url.Values(e.Query).Encode()}
	out := Example{Time: e.Time, RequestID: e.RequestID, Method: e.Method, URL: u.String()}
	if d.Outcome() == policy.StepUp {
		out.Missing = d.Missing()
	}
	return out
}

// Policies lists the policies that decided about the requests, sorted.
func (s *Simulator) Policies() []string { return slices.Sorted(maps.Keys(s.of)) }

// Result is what became of the requests of one policy: the largest groups come first.
func (s *Simulator) Result(of string) Simulation {
	out := Simulation{Policy: of, Unlogged: []string{}, Changes: []SimulationChange{}}
	t := s.of[of]
	if t == nil {
		return out
	}
	out.Requests, out.Partial = t.requests, t.partial
	for _, name := range s.after.Reads() {
		if !t.logged[name] {
			out.Unlogged = append(out.Unlogged, name)
		}
	}
	for sides, g := range t.groups {
		users := slices.Sorted(maps.Keys(g.users))
		out.Changes = append(out.Changes, SimulationChange{
			Before: sides[0], After: sides[1], Requests: g.requests, UserCount: len(users),
			Users: users[:min(len(users), maxUsersListed):min(len(users), maxUsersListed)], Example: g.example,
		})
	}
	slices.SortFunc(out.Changes, func(a, b SimulationChange) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), strings.Compare(a.key(), b.key()))
	})
	for i := range out.Changes {
		if out.Changes[i].Users == nil {
			out.Changes[i].Users = []string{}
		}
	}
	return out
}

func (c *SimulationChange) key() string {
	return strings.Join([]string{c.Before.Rule, c.Before.Outcome, c.Before.Floor, c.After.Rule, c.After.Outcome, c.After.Floor}, "\x00")
}
