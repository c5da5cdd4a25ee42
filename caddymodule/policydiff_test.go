package caddymodule

import (
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/policy"
)

// On a terminal, what opens is red and what closes is green; elsewhere there are no colours, and
// the columns are the same.
func TestDiffColours(t *testing.T) {
	load := func(text string) *policy.Policy {
		p, err := policy.Load("p", []byte("version: 1\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	before := load("rules:\n  - {name: a, match: {path: /a}, deny: true}\n  - {name: b, match: {path: /b}, allow: true}\ndefault: {deny: true}\n")
	after := load("rules:\n  - {name: a, match: {path: /a}, allow: true}\n  - {name: b, match: {path: /b}, deny: true}\ndefault: {deny: true}\n")
	found := policy.Diff(before, after, time.Unix(0, 0))
	var plain, colours strings.Builder
	if err := diffText(&plain, &found, false); err != nil {
		t.Fatal(err)
	}
	if err := diffText(&colours, &found, true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Errorf("colours in a pipe: %q", plain.String())
	}
	for line := range strings.Lines(colours.String()) {
		opens, closes := strings.Contains(line, "deny (a) -> allow (a)"), strings.Contains(line, "allow (b) -> deny (b)")
		if strings.HasPrefix(line, "\x1b[31m") != opens || strings.HasPrefix(line, "\x1b[32m") != closes {
			t.Errorf("%q", line)
		}
	}
	bare := strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(colours.String())
	if bare != plain.String() || !strings.Contains(bare, "deny (a) -> allow (a)") {
		t.Errorf("%q without colours is not %q", bare, plain.String())
	}
}
