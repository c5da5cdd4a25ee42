package policy

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// Change is one request whose outcome differs between two policies.
type Change struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	// With says what else the request had: an address, a header. It may be empty.
	With string `json:"with,omitempty"`
	// Pattern is what the request stands for, in the terms of the policies.
	Pattern string `json:"pattern"`
	// Visitor says who asked, and what they had proven.
	Visitor string `json:"visitor"`
	Before  Side   `json:"before"`
	After   Side   `json:"after"`
}

// Side is what one policy made of a request.
type Side struct {
	Outcome string `json:"outcome"`
	Rule    string `json:"rule"`
	Floor   string `json:"floor,omitempty"`
}

// Comparison is what Diff found.
type Comparison struct {
	// Requests and Visitors are how many were tried, each with each; Total is how many of the
	// answers differ.
	Requests int `json:"requests"`
	Visitors int `json:"visitors"`
	Total    int `json:"total"`
	// Groups sums the changes up, Changes lists them.
	Groups  []ChangeGroup `json:"groups"`
	Changes []Change      `json:"changes"`
}

// The bounds of a comparison.
const (
	maxSamples  = 20_000
	maxPerRule  = 256
	maxVisitors = 60
	maxChanges  = 1000
)

// Diff compares two policies on representative requests and visitors, made from the conditions
// and requirements of both. Expressions are tried as the samples happen to meet them. At most
// 1000 changes are listed.
func Diff(before, after *Policy, now time.Time) Comparison {
	out := Comparison{Changes: []Change{}}
	requests := samples(before, after)
	visitors := sampleVisitors(now, before, after)
	out.Requests, out.Visitors = len(requests), len(visitors)
	groups := newGrouping(requests)
	for i := range requests {
		r := &requests[i]
		for _, v := range visitors {
			a, b := before.Decide(&r.Request, v.subject, now), after.Decide(&r.Request, v.subject, now)
			if a.outcome == b.outcome {
				continue
			}
			c := Change{
				Method: r.Method, URL: r.url(), With: r.with(), Pattern: r.pattern, Visitor: v.name, Before: sideOf(&a), After: sideOf(&b),
			}
			groups.add(&c)
			if out.Total++; out.Total <= maxChanges {
				out.Changes = append(out.Changes, c)
			}
		}
	}
	out.Groups = groups.list()
	return out
}

func sideOf(d *Decision) Side {
	return Side{Outcome: d.outcome.String(), Rule: d.rule, Floor: d.floor}
}

func (r *Request) url() string {
	u := url.URL{Scheme: "https", Host: r.Host, Path: r.Path, RawQuery: r.RawQuery}
	return u.String()
}

func (r *Request) with() string {
	var parts []string
	if r.ClientIP.IsValid() {
		parts = append(parts, "from "+r.ClientIP.String())
	}
	for name, values := range r.Header {
		parts = append(parts, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}
