package caddymodule

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/policy"
)

// fence finds the examples of a page, with the language that they name.
var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// Every example of configuration in the pages about factors, and in the guides, is read by the
// code that it is for: Caddyfiles as by “stepgate validate”.
func TestExamplesOfTheDocs(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"../docs/factors/*.md", "../docs/guides/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 5 {
		t.Fatalf("only %d pages", len(pages))
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fence.FindAllSubmatchIndex(text, -1) {
			language, example := string(text[m[2]:m[3]]), string(text[m[4]:m[5]])
			line := bytes.Count(text[:m[0]], []byte("\n")) + 1
			switch {
			case language == "caddyfile":
				t.Run(fmt.Sprintf("%s:%d", filepath.Base(page), line), func(t *testing.T) {
					if err := load(t, page, here(whole(example))); err != nil {
						t.Error(err)
					}
				})
			case language == "yaml" && strings.Contains(example, "rules:"):
				if _, err := policy.Load("example", []byte(completed(example))); err != nil {
					t.Errorf("%s:%d: %v", page, line, err)
				}
			}
		}
	}
}

// whole makes a Caddyfile of an example, which may show factors or global options alone.
func whole(example string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(example), " ")
	switch word {
	case "mail", "sms", "whatsapp", "store", "session", "lockout", "hold", "registration", "primary", "decision_log", "secret", "policy":
		return "{\nstepgate {\n" + example + "\n}\n}\n"
	}
	if strings.HasPrefix(strings.TrimSpace(example), "{") {
		return example
	}
	if !strings.HasPrefix(strings.TrimSpace(example), "password") {
		example = "password\n" + example // totp alone signs nobody in
	}
	return "{\nstepgate {\nfactors {\n" + example + "\n}\n}\n}\n"
}

var (
	placeholder = regexp.MustCompile(`\{(file|env)\.[^}]+\}`)
	// files are options that read a file which only an installation has.
	files = regexp.MustCompile(`(?m)^\s*(metadata|breach_file) .*\n`)
)

// here makes a Caddyfile one that can be validated on any machine.
func here(text string) string {
	text = placeholder.ReplaceAllString(files.ReplaceAllString(text, ""), "aSecretOfThirtyTwoCharactersOrMore")
	return strings.ReplaceAll(text, "/etc/stepgate/policy.yaml", "policy.yaml")
}

// completed makes a policy file of an example that shows rules alone.
func completed(example string) string {
	if !strings.Contains(example, "version:") {
		example = "version: 1\n" + example
	}
	if !strings.Contains(example, "default:") {
		example += "\ndefault: {require: signed_in}\n"
	}
	return example
}

// The manual of App names every kind of event, and no other.
func TestTheManualNamesEveryEvent(t *testing.T) {
	text := func(file, from, to string) string {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, begins := strings.Cut(string(source), from)
		part, _, ends := strings.Cut(rest, to)
		if !begins || !ends {
			t.Fatalf("%s has nothing between %q and %q", file, from, to)
		}
		return part
	}
	names := func(expression, in string) []string {
		var out []string
		for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(in, -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return out
	}
	want := names(`\bKind = "(\w+)"`, text("../internal/audit/audit.go", "// The kinds of events.", "// Alarming"))
	got := names("`stepgate_(\\w+)`", text("app.go", "emitted as events:", "type App struct"))
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the manual names %v, there are %v", got, want)
	}
}
