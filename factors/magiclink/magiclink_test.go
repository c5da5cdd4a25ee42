package magiclink

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
)

var now = time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)

func fresh(t *testing.T) (string, Link) {
	t.Helper()
	token, l, err := New(rand.Reader, now, DefaultLife, "ada@example.com", "browser A")
	if err != nil {
		t.Fatal(err)
	}
	return token, l
}

// Only the browser that asked is signed in, and only in time.
func TestALinkIsHalfAKey(t *testing.T) {
	_, l := fresh(t)
	for _, c := range []struct {
		name, browser string
		at            time.Duration
		want          error
	}{
		{"the browser that asked", "browser A", 0, nil},
		{"the last moment", "browser A", DefaultLife - time.Millisecond, nil},
		{"expired", "browser A", DefaultLife, factors.ErrExpired},
		{"another browser", "browser B", 0, factors.ErrIncorrect},
		{"no browser", "", 0, factors.ErrIncorrect},
		{"another browser after the end", "browser B", DefaultLife, factors.ErrIncorrect},
	} {
		if err := l.Verify(c.browser, now.Add(c.at)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, expected %v", c.name, err, c.want)
		}
	}
	var zero Link
	if zero.Here("") || zero.Here("browser A") || zero.Verify("browser A", time.Time{}) == nil {
		t.Error("the zero link opens something")
	}
}

func TestTokens(t *testing.T) {
	token, _ := fresh(t)
	id, ok := TokenID(token)
	if !ok || strings.Contains(token, id) {
		t.Fatalf("%q %v", id, ok)
	}
	other, _ := fresh(t)
	if otherID, _ := TokenID(other); otherID == id {
		t.Error("two links share an id")
	}
	for _, bad := range []string{"", token[1:], token + "A", token + "=", strings.Repeat("A", 42) + "B", "not a token"} {
		if _, ok := TokenID(bad); ok {
			t.Errorf("%q is a token", bad)
		}
	}
}

func TestLife(t *testing.T) {
	for _, life := range []time.Duration{0, MinLife - 1, MaxLife + 1} {
		if _, _, err := New(rand.Reader, now, life, "a@b.example", "x"); err == nil {
			t.Errorf("a link that works for %s", life)
		}
	}
	if _, _, err := New(rand.Reader, now, MaxLife, "a@b.example", ""); !errors.Is(err, factors.ErrMalformed) {
		t.Errorf("a link for no browser: %v", err)
	}
}

func TestCodes(t *testing.T) {
	_, l := fresh(t)
	if got, err := FoldCode(strings.ToLower(l.Shown())); err != nil || got != l.Code {
		t.Errorf("%q %v", got, err)
	}
	for text, want := range map[string]string{
		"oil1-0000": "01110000", "AB CD EF GH": "ABCDEFGH", "": "", "ABCD-EFG": "", "ABCD-EFGU": "", "ABCD-EFGHJ": "", "ÄBCD-EFG": "",
	} {
		got, err := FoldCode(text)
		if got != want || (want == "") != errors.Is(err, factors.ErrMalformed) {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
}

// Five codes are looked at, whichever come.
func TestTries(t *testing.T) {
	_, l := fresh(t)
	if l.Matches("") || l.Matches(l.Code[1:]) || !l.Matches(l.Code) || (&Link{}).Matches("") {
		t.Error("matches what it must not, or not what it must")
	}
	for i := range 2 * MaxTries {
		if got := l.Try(); got != (i < MaxTries) {
			t.Errorf("try %d: %t", i+1, got)
		}
	}
}
