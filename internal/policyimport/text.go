package policyimport

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/stepgate/stepgate/policy"
)

// comment is a text that stays on its line.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, s)
}

var plainScalar = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9 ()./_-]*[A-Za-z0-9)]|/[A-Za-z0-9/._*-]*|[0-9]+(\.[0-9]+){3}(/[0-9]+)?)$`)

// words are plain texts to which YAML gives another meaning.
var words = []string{"true", "false", "null", "yes", "no", "on", "off"}

// scalar is a text of YAML.
func scalar(s string) string {
	if plainScalar.MatchString(s) && !slices.Contains(words, strings.ToLower(s)) {
		return s
	}
	b, err := json.Marshal(s)
	if err != nil {
		return strconv.QuoteToASCII(s)
	}
	return string(b)
}

// flow is a text, or a list of texts on one line.
func flow(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = scalar(v)
	}
	if len(out) == 1 {
		return out[0]
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// expression joins expressions that must all hold, as a text of YAML.
func expression(all []string) string {
	parts := slices.Clone(all)
	for i, x := range parts {
		if len(parts) > 1 && strings.Contains(x, " || ") {
			parts[i] = "(" + x + ")"
		}
	}
	return "'" + strings.ReplaceAll(strings.Join(parts, " && "), "'", "''") + "'"
}

// anyOf joins expressions of which one must hold.
func anyOf(all []string) string {
	out := slices.Clone(all)
	for i, x := range out {
		if len(out) > 1 && strings.Contains(x, " && ") {
			out[i] = "(" + x + ")"
		}
	}
	return strings.Join(out, " || ")
}

// quote is a text of CEL.
func quote(s string) string { return strconv.Quote(s) }

// pattern is a regular expression as a text of CEL.
func pattern(s string) string {
	if strings.Contains(s, `"`) || strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return quote(s)
	}
	return `r"` + s + `"`
}

func texts(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = quote(v)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

const (
	maxPattern = 1000 // of one regular expression
	maxWhen    = 1600 // of alternatives in one expression: a condition may have 2000 characters
)

// usable tells whether a policy can hold a regular expression.
func usable(re string) (why string) {
	_, err := regexp.Compile(re)
	switch {
	case err != nil:
		return "it is no regular expression"
	case len(re) > maxPattern:
		return "it is longer than a policy allows"
	}
	return ""
}

// named tells whether a pattern has groups with a name, which Authelia compares with the visitor.
func named(re string) bool {
	r, err := regexp.Compile(re)
	return err == nil && slices.ContainsFunc(r.SubexpNames(), func(name string) bool { return name != "" })
}

// accepted tells whether a policy can hold a condition.
func accepted(condition string) bool {
	_, err := policy.Load("condition", []byte("version: 1\nrules:\n  - name: one\n    "+condition+"\n    deny: true\ndefault: {deny: true}\n"))
	return err == nil
}

// chunks cuts a list of alternatives into parts that fit one expression each.
func chunks(alternatives []string) [][]string {
	var out [][]string
	size := maxWhen
	for _, a := range alternatives {
		if size += len(a) + 4; size > maxWhen || len(out) == 0 {
			out, size = append(out, nil), len(a)
		}
		out[len(out)-1] = append(out[len(out)-1], a)
	}
	return out
}
