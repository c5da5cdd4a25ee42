// Package policyimport turns the access rules of other gateways into a policy. What a policy
// cannot say becomes something that asks for more, never for less, and is listed.
package policyimport

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/policy"
)

// ErrInput means that a file is not what the import reads.
var ErrInput = errors.New("not a configuration that can be imported")

func inputError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInput, fmt.Sprintf(format, args...))
}

const (
	// MaxFile is the largest file that is read, in bytes.
	MaxFile = 1 << 20
	// maxEntries bounds the rules and the values of one file.
	maxEntries = 60_000
)

// Result is an imported policy.
type Result struct {
	// Policy is the file. It always loads.
	Policy string `json:"policy"`
	// Differs says, one each, where the policy asks for more than what it was made of. Each
	// stands beside its rule too, behind “# differs:”.
	Differs []string `json:"differs"`
}

// level is what a rule asks for, the most open first.
type level uint8

const (
	open level = iota
	signedIn
	mfa
	denied
)

func (l level) outcome() string {
	return [...]string{"allow: true", "require: signed_in", "require: mfa", "deny: true"}[l]
}

// entry is a rule or floor of the policy that is made.
type entry struct {
	name  string
	notes []string
	// differs are the notes that say what was lost.
	differs []string
	level   level
	// match are conditions by their keys, when are expressions that must all hold.
	match []condition
	when  []string
}

type condition struct {
	key    string
	values []string
}

func (e *entry) differ(format string, args ...any) {
	e.differs = append(e.differs, fmt.Sprintf(format, args...))
}

// document is a policy in the making.
type document struct {
	header   []string
	rules    []*entry
	floors   []*entry
	fallback entry
}

// keep adds a rule of which nothing was lost.
func (d *document) keep(e *entry) { d.rules = append(d.rules, e) }

// strict adds what asks for at least as much as a rule of which a condition was lost, whatever
// the condition would have said: rules that open are left out, rules that require become floors
// below all others, and rules that deny do so without the condition.
func (d *document) strict(e *entry) {
	switch e.level {
	case open:
		e.differ("so it is left out, and opens nothing")
		d.fallback.differs = append(d.fallback.differs, prefixed(e.name, e.differs)...)
		d.fallback.notes = append(d.fallback.notes, "left out: "+e.name)
	case denied:
		e.differ("so it denies whether that holds or not")
		d.rules = append(d.rules, e)
	default:
		e.differ("so it became a floor, which holds whether that holds or not; whether people get in is left to the other rules")
		d.floors = append(d.floors, e)
	}
}

func prefixed(name string, texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = name + ": " + t
	}
	return out
}

// finish writes the policy. Rules that an earlier one leaves no request are left out: they did
// nothing before either.
func (d *document) finish() (Result, error) {
	for range len(d.rules) + 1 {
		text, lines := d.write()
		_, err := policy.Load("imported policy", []byte(text))
		var bad *policy.LoadError
		switch {
		case err == nil:
			return Result{Policy: text, Differs: d.differs()}, nil
		case !errors.As(err, &bad):
			return Result{}, err
		}
		dropped := false
		for _, p := range bad.Problems {
			e := lines[p.Line]
			if !p.Unreachable || e == nil {
				return Result{}, fmt.Errorf("the imported policy does not load: %w", err)
			}
			dropped = true
			d.fallback.notes = append(d.fallback.notes, "left out, because an earlier rule takes all its requests: "+e.name)
			d.rules = slices.DeleteFunc(d.rules, func(r *entry) bool { return r == e })
		}
		if !dropped {
			break
		}
	}
	return Result{}, errors.New("the imported policy does not load")
}

func (d *document) differs() []string {
	out := []string{}
	for _, e := range slices.Concat(d.rules, d.floors) {
		out = append(out, prefixed(e.name, e.differs)...)
	}
	return append(out, d.fallback.differs...)
}

// write lays the policy out. lines tells on which line each rule begins.
func (d *document) write() (text string, lines map[int]*entry) {
	var b strings.Builder
	lines = make(map[int]*entry)
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format+"\n", args...)
	}
	for _, h := range d.header {
		line("# %s", comment(h))
	}
	line("version: 1")
	for _, part := range []struct {
		key     string
		entries []*entry
	}{{"rules", d.rules}, {"minimum", d.floors}} {
		if len(part.entries) > 0 {
			line("%s:", part.key)
		}
		for _, e := range part.entries {
			e.comments(&b, "  ")
			lines[strings.Count(b.String(), "\n")+1] = e
			line("  - name: %s", scalar(e.name))
			if len(e.match) > 0 {
				line("    match:")
			}
			for _, c := range e.match {
				line("      %s: %s", c.key, flow(c.values))
			}
			if len(e.when) > 0 {
				line("    when: %s", expression(e.when))
			}
			line("    %s", e.level.outcome())
		}
	}
	d.fallback.comments(&b, "")
	line("default:")
	line("  %s", d.fallback.level.outcome())
	return b.String(), lines
}

func (e *entry) comments(b *strings.Builder, indent string) {
	for _, n := range e.notes {
		fmt.Fprintf(b, "%s# %s\n", indent, comment(n))
	}
	for _, n := range e.differs {
		fmt.Fprintf(b, "%s# differs: %s\n", indent, comment(n))
	}
}
