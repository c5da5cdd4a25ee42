package decisions

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/policy"
)

const stricter = `
version: 1
rules:
  - {name: open, match: {path: /open/*}, allow: true}
  - {name: never, match: {path: /else}, deny: true}
  - {name: admin, match: {path: /admin/*}, require: {factor: totp, max_age: 1m}}
  - {name: export, match: {path: /export, query: {kind: full}}, require: mfa}
default: {require: signed_in}
`

// simulated is what a policy makes of events.
func simulated(t *testing.T, text string, events ...*Event) (*Simulator, Simulation) {
	t.Helper()
	s := NewSimulator(load(t, text))
	for _, ev := range events {
		e := ev.entry()
		if err := s.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	return s, s.Result("/etc/p.yaml")
}

// summary writes the groups of a simulation, one a line.
func summary(s Simulation) string {
	var b strings.Builder
	for _, c := range s.Changes {
		fmt.Fprintf(&b, "%s by %s -> %s by %s: %d of %v, as %s\n", c.Before.Outcome, c.Before.Rule, c.After.Outcome, c.After.Rule, c.Requests, c.Users, c.Example.URL)
	}
	return b.String()
}

// Requests whose outcome changes are grouped by rule and outcome, with who made them.
func TestChangesAreGrouped(t *testing.T) {
	p := load(t, house)
	bob := alice(t, ",totp@2m")
	bob.ID, bob.Email = "user-2", ""
	var events []*Event
	for _, s := range []*policy.Subject{alice(t, ",totp@2m"), bob, alice(t, ",totp@10s"), nil} {
		for _, target := range []string{"/admin/x", "/never", "/else", "/open/x", "/open/sealed/x"} {
			events = append(events, decided(p, s, "GET", target, nil))
		}
	}
	_, got := simulated(t, stricter, events...)
	want := `deny by never -> allow by default: 3 of [alice@example.com user-2], as https://a.test/never
allow by default -> deny by never: 3 of [alice@example.com user-2], as https://a.test/else
allow by admin -> step_up by admin: 2 of [alice@example.com user-2], as https://a.test/admin/x
sign_in by default -> deny by never: 1 of [], as https://a.test/else
deny by never -> sign_in by default: 1 of [], as https://a.test/never
sign_in by open -> allow by open: 1 of [], as https://a.test/open/sealed/x
`
	for line := range strings.Lines(want) {
		if !strings.Contains(summary(got), line) {
			t.Errorf("missing: %s", line)
		}
	}
	if len(got.Changes) != 6 || got.Changes[0].Requests < got.Changes[5].Requests || got.Requests != 20 {
		t.Errorf("%d of %d requests change:\n%s", len(got.Changes), got.Requests, summary(got))
	}
	if len(got.Unlogged) != 1 || got.Unlogged[0] != "query kind" {
		t.Errorf("unlogged: %v", got.Unlogged)
	}
	if _, same := simulated(t, house, events...); len(same.Changes) != 0 || same.Requests != 20 {
		t.Errorf("the same policy changes:\n%s", summary(same))
	}
}

// What the log does not hold as a whole is not judged; what another policy decided is counted
// apart; a group names 20 users at most.
func TestWhatCannotBeSimulated(t *testing.T) {
	p := load(t, house)
	partial := decided(p, alice(t, ""), "GET", "/export?format="+strings.Repeat("x", 300), nil)
	other := decided(p, alice(t, ""), "GET", "/else", nil)
	other.Policy = "/etc/other.yaml"
	refused := decided(p, nil, "GET", "/x", nil)
	refused.Refusal, refused.Policy = "dot_segment", ""
	events := []*Event{partial, other, refused}
	for i := range 25 {
		s := alice(t, "")
		s.Email = fmt.Sprintf("user-%02d@example.com", i)
		events = append(events, decided(p, s, "GET", "/else", nil))
	}
	s, got := simulated(t, stricter, events...)
	if got.Partial != 1 || got.Requests != 25 || len(got.Changes) != 1 || len(got.Changes[0].Users) != 20 || got.Changes[0].UserCount != 25 {
		t.Errorf("%+v", got)
	}
	if of := s.Policies(); len(of) != 2 || s.Result("/etc/other.yaml").Requests != 1 || s.Result("nothing").Requests != 0 {
		t.Errorf("policies: %v", of)
	}
}

// Only the floors are held against a request that a rule of the configuration had allowed, and
// every reading of a request must pass.
func TestReplayReadsAsTheGateDid(t *testing.T) {
	p := load(t, house)
	allowed := decided(p, nil, "GET", "/never", nil)
	allowed.AllowedBy = "inline /never"
	sealed := decided(p, nil, "GET", "/open/sealed/x", nil)
	sealed.AllowedBy = "inline /open/*"
	twice := decided(p, nil, "GET", "/open/x", nil)
	twice.Targets = append(twice.Targets, Target{Path: "/never"})
	for name, c := range map[string]struct {
		ev   *Event
		want string
	}{
		"a rule that another allowed": {allowed, "allow by inline /never"},
		"a floor under it":            {sealed, "sign_in by inline /open/*"},
		"a second reading":            {twice, "deny by never"},
	} {
		e := c.ev.entry()
		d, err := e.Judge(p)
		if got := d.Outcome().String() + " by " + d.Rule(); err != nil || got != c.want {
			t.Errorf("%s: %s, expected %s (%v)", name, got, c.want, err)
		}
		why, err := e.Explain(p)
		if got := why.Outcome + " by " + why.Rule; err != nil || got != c.want {
			t.Errorf("%s: explained as %s, expected %s (%v)", name, got, c.want, err)
		}
	}
}

// A line that somebody spoiled is an error, not another decision.
func TestSpoiledEntries(t *testing.T) {
	p := load(t, house)
	for name, spoil := range map[string]func(*Entry){
		"address":    func(e *Entry) { e.ClientIP = "1.2.3" },
		"factor":     func(e *Entry) { e.Visitor.Factors[0].Factor = "telepathy" },
		"factors":    func(e *Entry) { e.Visitor.Factors[0].Factor = "totp,password" },
		"allowed by": func(e *Entry) { e.AllowedBy = "default" },
		"partial":    func(e *Entry) { e.Partial = true },
		"unjudged":   func(e *Entry) { e.Policy = "" },
	} {
		e := decided(p, alice(t, ""), "GET", "/never", nil).entry()
		spoil(&e)
		if d, err := e.Judge(p); err == nil {
			t.Errorf("%s: judged as %s", name, d.Outcome())
		}
	}
}
