package password

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/stepgate/stepgate/factors"
)

var (
	pepper = bytes.Repeat([]byte{1}, 32)
	now    = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
)

func hasher(t *testing.T, o Options) *Hasher {
	t.Helper()
	if o.MemoryKiB == 0 {
		o.MemoryKiB, o.Iterations = 8, 1
	}
	if o.Peppers == nil {
		o.Peppers = [][]byte{pepper}
	}
	h, err := NewHasher(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestVerify(t *testing.T) {
	h := hasher(t, Options{})
	c, err := h.New(t.Context(), "caf\u00e9 on the corner", now)
	if err != nil || strings.Contains(c.Hash, "café") || !strings.Contains(c.Hash, "argon2id") {
		t.Fatal(c, err)
	}
	for password, want := range map[string]error{
		"caf\u00e9 on the corner": nil, "cafe\u0301 on the corner": nil, // one text in two normal forms
		"cafe on the corner": factors.ErrIncorrect, "caf\u00e9 on the corner ": factors.ErrIncorrect, "": factors.ErrIncorrect,
		strings.Repeat("x", MaxBytes): factors.ErrIncorrect, strings.Repeat("x", MaxBytes+1): factors.ErrMalformed,
	} {
		if rehash, err := h.Verify(t.Context(), &c, password); !errors.Is(err, want) || rehash {
			t.Errorf("%.20q: %v %v", password, rehash, err)
		}
	}
	// Long passwords differ to their end: nothing is cut off.
	long, err := h.New(t.Context(), strings.Repeat("a", 128), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Verify(t.Context(), &long, strings.Repeat("a", 127)+"b"); !errors.Is(err, factors.ErrIncorrect) {
		t.Error(err)
	}
	for name, c := range map[string]*Credential{"nobody": nil, "no hash": {}} {
		if _, err := h.Verify(t.Context(), c, "anything"); !errors.Is(err, factors.ErrIncorrect) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := h.Verify(t.Context(), &Credential{Hash: "$nonsense$"}, "x"); err == nil || errors.Is(err, factors.ErrIncorrect) {
		t.Errorf("an unreadable hash: %v", err)
	}
}

// A hash of another cost, another pepper or another system is right and wants rehashing.
func TestRehash(t *testing.T) {
	old := hasher(t, Options{})
	c, err := old.New(t.Context(), "seven quiet lamps", now)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"cost": {MemoryKiB: 16, Iterations: 1}, "pepper": {MemoryKiB: 8, Iterations: 1, Peppers: [][]byte{bytes.Repeat([]byte{2}, 32), pepper}},
	} {
		h := hasher(t, o)
		if rehash, err := h.Verify(t.Context(), &c, "seven quiet lamps"); err != nil || !rehash {
			t.Errorf("%s: %v %v", name, rehash, err)
		}
		if _, err := h.Verify(t.Context(), &c, "wrong"); !errors.Is(err, factors.ErrIncorrect) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := hasher(t, Options{Peppers: [][]byte{bytes.Repeat([]byte{3}, 32)}}).Verify(t.Context(), &c, "seven quiet lamps"); !errors.Is(err, factors.ErrIncorrect) {
		t.Errorf("without the pepper: %v", err)
	}
	imported, err := bcrypt.GenerateFromPassword([]byte("password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if rehash, err := old.Verify(t.Context(), &Credential{Hash: string(imported)}, "password"); err != nil || !rehash {
		t.Errorf("bcrypt: %v %v", rehash, err)
	}
}

// Hashing waits for its turn, and gives up with its request.
func TestHashingIsBounded(t *testing.T) {
	h := hasher(t, Options{Concurrent: 1})
	h.slots <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Verify(ctx, nil, "x"); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := h.New(ctx, "x", now); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		password, reason string
	}{
		{"seven quiet lamps over water", ""}, {"correct horse battery staple", ""}, {"Zürich-München-Köln-Wien 88", ""},
		{"short", "too_short"}, {"fourteen chars", "too_short"}, {strings.Repeat("ab c", 33), "too_long"}, {strings.Repeat("\U0001f980", 400), "too_long"},
		{"passwordpassword", "too_guessable"}, {"123456789012345678", "too_guessable"}, {"aaaaaaaaaaaaaaaaaaaaaaaa", "too_guessable"}, {"qwertyuiopasdfghjkl", "too_guessable"},
		{"alice.liddell@example.com", "too_guessable"}, {"abababababababababab", "too_guessable"}, {"\xff\xfe" + strings.Repeat("x", 20), "malformed"},
	} {
		got := Check(c.password, Rules{Minimum: 15}, "Alice Liddell", "alice.liddell@example.com")
		if got.Reason != c.reason || got.Valid != (c.reason == "") || (got.Feedback == "") != got.Valid {
			t.Errorf("%.30q: %+v, expected %q", c.password, got, c.reason)
		}
	}
	// 64 characters and spaces are always allowed; eight suffice beside another factor.
	if s := Check("x7 Kq!z2", Rules{Minimum: 8}); !s.Valid {
		t.Errorf("%+v", s)
	}
}
