package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
)

// Readiness is who could meet what a policy asks for, with the factors that are enrolled now.
type Readiness struct {
	// Users is how many users there are, Locked how many of them an administrator locked.
	Users  int             `json:"users"`
	Locked int             `json:"locked"`
	Rules  []RuleReadiness `json:"rules"`
}

// RuleReadiness is who could meet one rule, floor or the default. Locked users count in neither
// number, as nothing lets them pass.
type RuleReadiness struct {
	Rule       string          `json:"rule"`
	Floor      bool            `json:"floor,omitempty"`
	ReportOnly bool            `json:"report_only,omitempty"`
	Required   json.RawMessage `json:"required"`
	// Ready is how many users could meet it, Unready how many could not, of those whom the rule
	// can concern by the users and groups that it names.
	Ready   int `json:"ready"`
	Unready int `json:"unready"`
	// Lacking lists users who could not, at most 100 for a rule and 10,000 in all; locked ones,
	// marked so, are among them.
	Lacking []UserReadiness `json:"lacking"`
}

// UserReadiness is a user who could not meet a rule.
type UserReadiness struct {
	UserID string `json:"user_id"`
	Email  string `json:"email,omitempty"`
	Locked bool   `json:"locked,omitempty"`
	// NoWayIn is set when no factor of the user may start a session.
	NoWayIn bool `json:"no_way_in,omitempty"`
	// Enrol lists sets of factors, by their names in the policy, of which one would help; at most
	// 5. It is empty when nothing that is offered would.
	Enrol [][]string `json:"enrol"`
}

// Ready tells whether everybody who is not locked could meet everything.
func (r *Readiness) Ready() bool {
	return !slices.ContainsFunc(r.Rules, func(one RuleReadiness) bool { return one.Unready > 0 })
}

// The bounds of a Readiness.
const (
	maxLackingPerRule = 100
	maxLacking        = 10_000
	maxEnrol          = 5
	readinessPage     = 500
)

// Readiness tells who could meet the rules of a policy, report_only ones included, and what the
// others would have to enrol. It looks at what is enrolled and offered, on whatever host; a
// remembered device, a pause after failures and “when” play no part.
func (a Administrator) Readiness(ctx context.Context, p *policy.Policy) (Readiness, error) {
	c := newCensus(a.e, p)
	for after := ""; ; {
		users, err := a.e.accounts.List(ctx, after, readinessPage)
		if err != nil {
			return Readiness{}, asError(err)
		}
		for i := range users {
			c.add(&users[i])
		}
		if len(users) < readinessPage {
			return c.result()
		}
		after = users[len(users)-1].ID
	}
}

// census counts users by what they lack. Demands that ask the same of the same people are
// counted once, and what a set of factors lacks is computed once, however many users have it.
type census struct {
	e       *Engine
	demands []policy.Demand
	// counts are those of distinct demands; of has the place of the count of each demand.
	counts []count
	of     []int
	// shapes has, for each set of factors, what it lacks for each count.
	shapes map[string][]lack
	out    Readiness
}

// count is of the demand that it names first.
type count struct {
	demand         *policy.Demand
	ready, unready int
	lacking        []UserReadiness
}

// lack is what somebody would have to enrol.
type lack struct {
	known, none bool
	enrol       [][]string
}

func newCensus(e *Engine, p *policy.Policy) *census {
	c := &census{e: e, demands: p.Demands(), shapes: make(map[string][]lack)}
	at := make(map[string]int)
	for i := range c.demands {
		key := c.demands[i].Key()
		if _, ok := at[key]; !ok {
			at[key] = len(c.counts)
			c.counts = append(c.counts, count{demand: &c.demands[i]})
		}
		c.of = append(c.of, at[key])
	}
	return c
}

func (c *census) add(u *account.User) {
	c.out.Users++
	if u.Locked() {
		c.out.Locked++
	}
	s := &policy.Subject{ID: u.ID, Email: u.PrimaryEmail().Address, Groups: u.AllGroups()}
	can := slices.DeleteFunc(u.Enrolled(), func(f policy.Factor) bool { return !c.e.offersNamed(named(f)) })
	noWayIn := account.MayRemove(u, c.e.opts.Primary) != nil
	lacks := c.shape(can)
	for i := range c.counts {
		n := &c.counts[i]
		if !n.demand.Concerns(s) {
			continue
		}
		if !lacks[i].known {
			lacks[i] = c.lack(n.demand.Required, can)
		}
		switch {
		case lacks[i].none && !noWayIn && u.Locked():
		case lacks[i].none && !noWayIn:
			n.ready++
		default:
			n.miss(UserReadiness{UserID: u.ID, Email: s.Email, Locked: u.Locked(), NoWayIn: noWayIn, Enrol: lacks[i].enrol})
		}
	}
}

// shape is what a set of factors lacks, as far as it is known.
func (c *census) shape(can []policy.Factor) []lack {
	key := shapeOf(can)
	if c.shapes[key] == nil {
		c.shapes[key] = make([]lack, len(c.counts))
	}
	return c.shapes[key]
}

func (n *count) miss(u UserReadiness) {
	if !u.Locked {
		n.unready++
	}
	if len(n.lacking) < maxLackingPerRule {
		n.lacking = append(n.lacking, u)
	}
}

// lack computes what somebody with such factors would have to enrol for a requirement.
func (c *census) lack(required *policy.Requirement, can []policy.Factor) lack {
	sets := required.Lacks(can)
	out := lack{known: true, none: len(sets) == 0, enrol: [][]string{}}
	for _, set := range sets {
		var names []string
		for _, need := range set {
			if !slices.Contains(names, need.Factor) {
				names = append(names, need.Factor)
			}
		}
		offered := !slices.ContainsFunc(names, func(n string) bool { return !c.e.offersNamed(n) })
		again := slices.ContainsFunc(out.enrol, func(o []string) bool { return slices.Equal(o, names) })
		if offered && !again && len(out.enrol) < maxEnrol {
			out.enrol = append(out.enrol, names)
		}
	}
	return out
}

func (c *census) result() (Readiness, error) {
	c.out.Rules = []RuleReadiness{}
	left := maxLacking
	for i, d := range c.demands {
		n := c.counts[c.of[i]]
		required, err := json.Marshal(d.Required)
		if err != nil {
			return Readiness{}, asError(fmt.Errorf("readiness of %q: %w", d.Name, err))
		}
		lacking := append([]UserReadiness{}, n.lacking[:min(len(n.lacking), left)]...)
		left -= len(lacking)
		c.out.Rules = append(c.out.Rules, RuleReadiness{
			Rule: d.Name, Floor: d.Floor, ReportOnly: d.ReportOnly, Required: required, Ready: n.ready, Unready: n.unready, Lacking: lacking,
		})
	}
	return c.out, nil
}

// named is a factor by its name in the policy.
func named(f policy.Factor) string {
	if f.Variant == "" {
		return f.Name
	}
	return f.Name + ":" + f.Variant
}

// shapeOf tells sets of factors apart by what requirements look at.
func shapeOf(fs []policy.Factor) string {
	parts := make([]string, len(fs))
	for i, f := range fs {
		f.ID = ""
		parts[i] = fmt.Sprintf("%q", fmt.Sprint(f))
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), "")
}
