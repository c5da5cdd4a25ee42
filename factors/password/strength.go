package password

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/nbutton23/zxcvbn-go"
	"golang.org/x/text/unicode/norm"
)

const (
	// Maximum is the longest password, in characters.
	Maximum = 128
	// minScore is the least zxcvbn score.
	minScore = 3
	// scored bounds what zxcvbn looks at: its cost grows faster than its input.
	scored = 100
)

// Rules say what a password must be besides hard to guess.
type Rules struct {
	// Minimum length in characters.
	Minimum int
}

// Strength is a judgement of a password.
type Strength struct {
	Valid bool
	// Score is zxcvbn's, 0 to 4.
	Score int
	// Reason is a stable word for what is wrong; empty when valid.
	Reason string
	// Feedback is a sentence that says what to do; empty when valid.
	Feedback string
}

// BreachChecker knows passwords that were stolen elsewhere.
type BreachChecker interface {
	// Breached tells whether a password is known to have been stolen.
	Breached(ctx context.Context, password string) (bool, error)
}

// Check judges a password. personal are words that an attacker of this account would try
// first, such as its name and e-mail address.
func Check(password string, rules Rules, personal ...string) Strength {
	password = norm.NFC.String(password)
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return Strength{Reason: "malformed", Feedback: "This text cannot be used as a password. Type it again."}
	case n < rules.Minimum:
		return Strength{Reason: "too_short", Feedback: fmt.Sprintf("Use at least %d characters. A few words in a row are easy to remember.", rules.Minimum)}
	case n > Maximum || len(password) > MaxBytes:
		return Strength{Reason: "too_long", Feedback: fmt.Sprintf("Use at most %d characters.", Maximum)}
	}
	head := password
	if n > scored {
		head = string([]rune(password)[:scored])
	}
	s := Strength{Score: zxcvbn.PasswordStrength(head, words(personal)).Score}
	if monotonous(password) {
		s.Score = 0
	}
	if s.Score < minScore {
		s.Reason = "too_guessable"
		s.Feedback = "This password is easy to guess. Add a few unrelated words, and leave out names, dates and patterns."
		return s
	}
	s.Valid = true
	return s
}

// words splits personal texts into what people build passwords from.
func words(personal []string) []string {
	var out []string
	for _, p := range personal {
		out = append(out, strings.ToLower(p))
		for _, w := range strings.FieldsFunc(strings.ToLower(p), func(r rune) bool { return strings.ContainsRune("@.-_ +", r) }) {
			if len(w) > 2 {
				out = append(out, w)
			}
		}
	}
	return out
}

// monotonous tells whether a password is made of very few different characters, which zxcvbn
// overrates when it is long.
func monotonous(password string) bool {
	seen := make(map[rune]struct{})
	for _, r := range password {
		seen[r] = struct{}{}
	}
	return len(seen) < 4
}
