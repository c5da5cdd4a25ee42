package policy

import (
	"fmt"
	"strings"
	"testing"
)

const (
	diffHead = "version: 1\n"
	diffTail = "default: {require: signed_in}\n"
)

// summary is one line for each group.
func summary(c *Comparison) []string {
	out := []string{}
	for _, g := range c.Groups {
		methods := strings.Join(g.Methods, "+")
		if methods == "" {
			methods = "any"
		}
		with := ""
		if g.With != "" {
			with = " with " + g.With
		}
		side := func(s Side) string {
			if s.Floor != "" {
				return s.Outcome + " " + s.Rule + " " + s.Floor
			}
			return s.Outcome + " " + s.Rule
		}
		out = append(out, fmt.Sprintf("%s %s%s: %s -> %s (%s)", methods, g.Pattern, with, side(g.Before), side(g.After), strings.Join(g.Visitors, ", ")))
	}
	return out
}

// TestDiff says what a change of a policy changes, in one line each.
func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		want                []string
		// has is how each of the lines begins where the visitors are many.
		has bool
	}{
		{name: "nothing", before: "rules: [{name: a, match: {path: /a}, deny: true}]\n", after: "rules: [{name: b, match: {path: /a}, deny: true}]\n"},
		{
			name: "an opening goes", before: "rules: [{name: public, match: {path: /public/*}, allow: true}]\n", after: "",
			want: []string{"any /public/*: allow public -> sign_in default (nobody)"},
		},
		{
			name: "an exact opening goes", before: "rules: [{name: logo, match: {path: /logo.svg}, allow: true}]\n", after: "",
			want: []string{"any /logo.svg: allow logo -> sign_in default (nobody)"},
		},
		{
			name: "an age grows", before: "rules: [{name: e, match: {path: /e, method: GET}, require: {factor: totp, max_age: 5m}}]\n",
			after: "rules: [{name: e, match: {path: /e, method: GET}, require: {factor: totp, max_age: 1h}}]\n",
			want:  []string{"GET /e: step_up e -> allow e (totp, 5m0s and a second ago)"},
		},
		{
			name: "a host is denied", before: "", after: "rules: [{name: old, match: {host: '*.old.test', path: /x}, deny: true}]\n", has: true,
			want: []string{"any *.old.test/x: sign_in default -> deny old (nobody)", "any *.old.test/x: allow default -> deny old ("},
		},
		{
			name: "one spelling changes alone", before: "rules: [{name: a, match: {path: /a}, allow: true}, {name: b, match: {path: /a}, deny: true}]\n",
			after: "rules: [{name: a, match: {path: /a}, allow: true}]\n", has: true,
			want: []string{"any other spellings of /a: deny b -> sign_in default (nobody)", "any other spellings of /a: deny b -> allow default ("},
		},
		{
			name: "an address", before: "", after: "rules: [{name: net, match: {path: /n, client_ip: 10.0.0.0/8}, deny: true}]\n", has: true,
			want: []string{
				"any /n with from 10.0.0.0: sign_in default -> deny net (nobody)", "any /n with from 10.0.0.0: allow default -> deny net (",
			},
		},
		{
			name: "a floor", before: "rules: [{name: o, match: {path: /o/*}, allow: true}]\n",
			after: "rules: [{name: o, match: {path: /o/*}, allow: true}]\nminimum: [{name: f, match: {path: /o/*}, require: signed_in}]\n",
			want:  []string{"any /o/*: allow o -> sign_in o f (nobody)"},
		},
		{
			name: "a group", before: "rules: [{name: g, match: {path: /g, group: staff}, require: signed_in}, {name: h, match: {path: /g}, deny: true}]\n",
			after: "rules: [{name: h, match: {path: /g}, deny: true}]\n",
			want: []string{
				"any /g: sign_in g -> deny h (nobody)", "any /g: allow g -> deny h (group staff, every factor)",
			},
		},
		{
			name: "a query", before: "", after: "rules: [{name: q, match: {path: /q, query: {download: true}}, deny: true}]\n", has: true,
			want: []string{"any /q?download=1: sign_in default -> deny q (nobody)", "any /q?download=1: allow default -> deny q ("},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := Diff(load(t, diffHead+c.before+diffTail), load(t, diffHead+c.after+diffTail), noon)
			got := summary(&found)
			if len(got) != len(c.want) {
				t.Fatalf("found\n%s", strings.Join(got, "\n"))
			}
			for i := range got {
				if got[i] != c.want[i] && (!c.has || !strings.HasPrefix(got[i], c.want[i])) {
					t.Errorf("found %s\nexpected %s", got[i], c.want[i])
				}
			}
			if (found.Total == 0) != (len(c.want) == 0) || found.Total != len(found.Changes) {
				t.Errorf("%d changes, %d listed", found.Total, len(found.Changes))
			}
		})
	}
}

// Each group stands for changes that are listed, and each change is in a group.
func TestDiffGroupsAreComplete(t *testing.T) {
	before := load(t, tablePolicy)
	after := load(t, "version: 1\ndefault: {require: mfa}\n")
	found := Diff(before, after, noon)
	in := func(c Change) bool {
		for _, g := range found.Groups {
			if g.Before == c.Before && g.After == c.After && g.With == c.With && (g.Pattern == c.Pattern || otherSpelling+g.Pattern == c.Pattern) {
				return true
			}
		}
		return false
	}
	for _, c := range found.Changes {
		if !in(c) {
			t.Errorf("in no group: %+v", c)
		}
	}
	if found.Total < 20 || len(found.Groups) >= found.Total {
		t.Errorf("%d groups of %d changes", len(found.Groups), found.Total)
	}
}

// However large the policies, a comparison is bounded, and says how much it found.
func TestDiffIsBounded(t *testing.T) {
	var rules strings.Builder
	rules.WriteString("rules:\n")
	for i := range 400 {
		fmt.Fprintf(&rules, "  - {name: r%d, match: {path: /p%d}, allow: true}\n", i, i)
	}
	found := Diff(load(t, diffHead+rules.String()+diffTail), load(t, diffHead+"default: {deny: true}\n"), noon)
	if len(found.Changes) != maxChanges || found.Total <= maxChanges || found.Requests > maxSamples || found.Visitors > maxVisitors {
		t.Errorf("%d listed of %d, %d requests, %d visitors", len(found.Changes), found.Total, found.Requests, found.Visitors)
	}
}
