package otp

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
)

var now = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

func TestVerify(t *testing.T) {
	code, c, err := New(rand.Reader, now, 2*time.Minute)
	if err != nil || !factors.SixDigits(code) {
		t.Fatal(code, err)
	}
	if bytes.Contains(c.Hash, []byte(code)) {
		t.Fatal("the challenge holds the code")
	}
	other := "000000"
	if code == other {
		other = "000001"
	}
	last, over := now.Add(2*time.Minute-time.Millisecond), now.Add(2*time.Minute)
	used := c
	used.Used = true
	for _, try := range []struct {
		c    Challenge
		code string
		at   time.Time
		want error
	}{
		{c, code, last, nil}, {c, other, last, factors.ErrIncorrect}, {c, code, over, factors.ErrExpired}, {c, other, over, factors.ErrExpired},
		{used, code, last, factors.ErrUsed}, {used, other, last, factors.ErrIncorrect}, {c, code + "0", last, factors.ErrMalformed},
		{Challenge{}, code, now, factors.ErrExpired}, {Challenge{ExpiresAt: over}, code, now, factors.ErrIncorrect},
		// The stored value is no code.
		{c, string(c.Hash), last, factors.ErrMalformed},
	} {
		if err := try.c.Verify(try.code, try.at); !errors.Is(err, try.want) {
			t.Errorf("%q at %s: %v, expected %v", try.code, try.at, err, try.want)
		}
	}
	for _, life := range []time.Duration{0, time.Second, 11 * time.Minute} {
		if _, _, err := New(rand.Reader, now, life); err == nil {
			t.Errorf("a life of %s", life)
		}
	}
}

// Codes are uniform and keep their leading zeros. 100,000 draws into 100 bins: the chi
// square of an even spread stays far below 200 (99 degrees of freedom).
func TestCodesAreUniform(t *testing.T) {
	const draws, bins = 100_000, 100
	var count [bins]int
	for range draws {
		code, _, err := New(rand.Reader, now, time.Minute)
		if err != nil || len(code) != 6 {
			t.Fatal(code, err)
		}
		count[int(code[0]-'0')*10+int(code[1]-'0')]++
	}
	chi := 0.0
	for _, n := range count {
		d := float64(n) - draws/bins
		chi += d * d / (draws / bins)
	}
	if chi > 200 {
		t.Fatalf("chi square %.0f", chi)
	}
}
