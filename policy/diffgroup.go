package policy

import (
	"slices"
	"strings"
)

// ChangeGroup is all changes of one outcome into one other, by the same rules, of the requests
// that one pattern stands for.
type ChangeGroup struct {
	// Pattern is what the requests have in common, in the terms of the policies.
	Pattern string `json:"pattern"`
	// Methods are those that change; empty when all that were tried do.
	Methods []string `json:"methods,omitempty"`
	// With says what else the requests had; empty when it makes no difference.
	With     string   `json:"with,omitempty"`
	Visitors []string `json:"visitors"`
	Before   Side     `json:"before"`
	After    Side     `json:"after"`
	// Sample is one of the requests.
	Sample string `json:"sample"`
}

// groupKey is what the changes of a group share.
type groupKey struct {
	pattern, with string
	before, after Side
}

// grouping sums changes up. It grows with the patterns of the policies, not with the requests.
type grouping struct {
	at    map[groupKey]*ChangeGroup
	order []*ChangeGroup
	// tried are the methods that were tried for each pattern.
	tried map[string][]string
}

func newGrouping(requests []sample) *grouping {
	g := &grouping{at: make(map[groupKey]*ChangeGroup), tried: make(map[string][]string)}
	for _, r := range requests {
		g.tried[r.pattern] = insert(g.tried[r.pattern], r.Method)
	}
	return g
}

func (g *grouping) add(c *Change) {
	key := groupKey{c.Pattern, c.With, c.Before, c.After}
	one := g.at[key]
	if one == nil {
		one = &ChangeGroup{Pattern: c.Pattern, With: c.With, Before: c.Before, After: c.After, Sample: c.Method + " " + c.URL}
		g.at[key], g.order = one, append(g.order, one)
	}
	one.Methods = insert(one.Methods, c.Method)
	one.Visitors = insert(one.Visitors, c.Visitor)
}

func insert(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// list is the groups in the order in which they were found. What happens to other spellings of a
// path as well is said of the path alone.
func (g *grouping) list() []ChangeGroup {
	out := []ChangeGroup{}
	for _, one := range g.order {
		if of, spelled := strings.CutPrefix(one.Pattern, otherSpelling); spelled && g.covers(of, one) {
			continue
		}
		sum := *one
		if len(sum.Methods) == len(g.tried[sum.Pattern]) {
			sum.Methods = nil
		}
		out = append(out, sum)
	}
	return out
}

// covers tells whether the same happens to a pattern itself, for the same methods and visitors.
func (g *grouping) covers(pattern string, one *ChangeGroup) bool {
	same := g.at[groupKey{pattern, one.With, one.Before, one.After}]
	return same != nil && subset(one.Methods, same.Methods) && subset(one.Visitors, same.Visitors)
}
