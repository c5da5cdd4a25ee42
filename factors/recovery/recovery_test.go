package recovery

import (
	"crypto/rand"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
)

func TestCodes(t *testing.T) {
	plain, s, err := New(rand.Reader, time.Now())
	if err != nil || len(plain) != 10 || s.Left() != 10 {
		t.Fatal(plain, err)
	}
	form := regexp.MustCompile(`^([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}$`)
	for i, code := range plain {
		if !form.MatchString(code) {
			t.Errorf("%q", code)
		}
		for _, typed := range []string{code, strings.ToUpper(code), strings.ReplaceAll(code, "-", ""), strings.ReplaceAll(code, "-", " "), " " + code + " "} {
			if id, err := s.Verify(typed); err != nil || id != s.Codes[i].ID {
				t.Errorf("%q: %q %v", typed, id, err)
			}
		}
		lookalike := strings.NewReplacer("0", "O", "1", "l").Replace(code)
		if id, err := s.Verify(lookalike); err != nil || id != s.Codes[i].ID {
			t.Errorf("%q: %v", lookalike, err)
		}
	}
	for _, bad := range []string{"", plain[0][1:], plain[0] + "0", "u" + plain[0][1:], strings.Repeat("0", 1000)} {
		if _, err := s.Verify(bad); !errors.Is(err, factors.ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := s.Verify("0000-0000-0000-0000"); !errors.Is(err, factors.ErrIncorrect) {
		t.Error(err)
	}
	// What is stored is no code.
	if _, err := s.Verify(string(s.Codes[0].Hash)); err == nil {
		t.Error("the hash was taken for a code")
	}
}

func TestReplace(t *testing.T) {
	plain, s, err := New(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Verify(plain[4])
	if err != nil {
		t.Fatal(err)
	}
	fresh, next, err := s.Replace(id, rand.Reader)
	if err != nil || next.Left() != 10 {
		t.Fatal(err)
	}
	if _, err := next.Verify(plain[4]); !errors.Is(err, factors.ErrIncorrect) {
		t.Errorf("a used code: %v", err)
	}
	if got, err := next.Verify(fresh); err != nil || slices.Contains(s.IDs(), got) {
		t.Errorf("the new code: %q %v", got, err)
	}
	if _, err := s.Verify(plain[4]); err != nil {
		t.Error("replacing changed the set that it was made of")
	}
	if _, _, err := s.Replace("unknown", rand.Reader); !errors.Is(err, factors.ErrIncorrect) {
		t.Error(err)
	}
	var none *Set
	if none.Left() != 0 || none.IDs() != nil {
		t.Error("a nil set has codes")
	}
}
