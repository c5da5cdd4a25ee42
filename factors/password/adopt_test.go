package password

import (
	"errors"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/factors"
)

// foreign are hashes of “seven quiet lamps over water” as other systems keep them.
var foreign = map[string]string{
	"argon2id":      "$argon2id$v=19$m=64,t=1,p=1$F6w4iO4dOdOOUw9AWZr+9A$xyHEiFFtCkGCHfEdvz65CaF1vqTr/80VI0GwZ3sASSo",
	"bcrypt":        "$2b$10$PxtOkfdHso1w3JKXFAry9O2kCzuCZksGgYCDlrxAZaTOSpP4Z6XYW",
	"bcrypt 2y":     "$2y$10$PxtOkfdHso1w3JKXFAry9O2kCzuCZksGgYCDlrxAZaTOSpP4Z6XYW",
	"bcrypt-sha256": "$bcrypt-sha256$v=2,t=2b,r=10$lF9XimogEMjCWyt.99wIxO$INg6gAgDy7RA9XeGOgJzQ18FGddwCGe",
	"pbkdf2":        "$pbkdf2-sha512$100000$A/tE8T/KQNAFDUgEKKC/Vw$GIlLe47hd7UYGJ6Ugnem/kTZXZNuxCLILabqHMLx4296B3zym9sHSy0x1xu3b0tA/ugCzA0X2c/SGp59Dlz4og",
	"scrypt":        "$scrypt$ln=4,r=8,p=1$ymGKwjF+IxaSplfsGoWBwg$TazD7XGLPudKSoaTiJ0Ij25S1Z1p0rOAH9IhRNc9cJY",
	"sha512-crypt":  "$6$rounds=1000$7pD1Tay0BSHOAbb5$03snR88R06Y0D6e6qkIvCWkpfffGcwroegMuUhfOUiBYpj5L.VS4r8XDhTMG3ljBJzosZ6m2a/49rL8SNI0Oo0",
}

func TestAdopt(t *testing.T) {
	h := hasher(t, Options{})
	for name, text := range foreign {
		c, err := h.Adopt(text, now)
		if err != nil || c.Hash != text || c.MustReset || !c.CreatedAt.Equal(now) {
			t.Errorf("%s: %+v %v", name, c, err)
			continue
		}
		if rehash, err := h.Verify(t.Context(), &c, "seven quiet lamps over water"); err != nil || !rehash {
			t.Errorf("%s: %v %v", name, rehash, err)
		}
		if _, err := h.Verify(t.Context(), &c, "seven quiet lamps over wine"); !errors.Is(err, factors.ErrIncorrect) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is not a hash, what stores the password itself, what is not worth keeping, and what
// would cost more than a sign-in may, is refused.
func TestAdoptRefuses(t *testing.T) {
	h := hasher(t, Options{})
	const tail = "$F6w4iO4dOdOOUw9AWZr+9A$xyHEiFFtCkGCHfEdvz65CaF1vqTr/80VI0GwZ3sASSo"
	const bcrypted = "$PxtOkfdHso1w3JKXFAry9O2kCzuCZksGgYCDlrxAZaTOSpP4Z6XYW"
	for text, want := range map[string]error{
		"": ErrForeignHash, "secret": ErrForeignHash, "$plaintext$secret": ErrForeignHash, "$base64$c2VjcmV0": ErrForeignHash,
		"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=": ErrForeignHash, "$apr1$abcdefgh$JEM8bGDF6n7j4SCHsgL1v1": ErrForeignHash, "$1$abcdefgh$JEM8bGDF6n7j4SCHsgL1v1": ErrForeignHash,
		"$sha1$1$salt$hash": ErrForeignHash, "$y$j9T$salt$hash": ErrForeignHash, "stepgate1:" + foreign["argon2id"]: ErrForeignHash,
		"x" + foreign["bcrypt"]: ErrForeignHash, "$argon2id$v=19$m=64,t=1,p=1": ErrForeignHash, "$2b$10$short": ErrForeignHash, "$2b$ten" + bcrypted: ErrForeignHash,
		"$argon2id$v=19$m=64,m=64,t=1,p=1" + tail:   ErrForeignHash,
		"$6$" + strings.Repeat("a", maxForeignHash): ErrForeignHash,
		"$argon2id$v=19$m=262145,t=1,p=1" + tail:    ErrHashCost, "$argon2id$v=19$m=64,t=17,p=1" + tail: ErrHashCost, "$argon2id$v=19$m=64,t=1,p=17" + tail: ErrHashCost,
		"$argon2id$v=19$m=64,t=0,p=1" + tail: ErrHashCost, "$argon2id$v=19$m=64,t=1,p=0" + tail: ErrHashCost, "$argon2id$v=19$m=8,t=1,p=2" + tail: ErrHashCost,
		"$2b$16" + bcrypted: ErrHashCost, "$2b$3" + bcrypted: ErrHashCost, "$bcrypt-sha256$v=2,t=2b,r=16$lF9XimogEMjCWyt.99wIxO$INg6gAgDy7RA9XeGOgJzQ18FGddwCGe": ErrHashCost,
		"$pbkdf2-sha512$5000001$A/tE8T/KQNAFDUgEKKC/Vw$GIlL": ErrHashCost, "$pbkdf2-sha512$0$A/tE8T/KQNAFDUgEKKC/Vw$GIlL": ErrHashCost,
		"$scrypt$ln=19,r=8,p=1" + tail: ErrHashCost, "$scrypt$ln=18,r=32,p=1" + tail: ErrHashCost, "$scrypt$ln=4,r=8,p=17" + tail: ErrHashCost, "$scrypt$ln=4,r=0,p=1" + tail: ErrHashCost,
		"$scrypt$ln=18,r=8,p=5" + tail:       ErrHashCost,
		"$pbkdf2-sha256$1000$c2FsdHNhbHQ$YQ": ErrForeignHash, "$argon2id$v=19$m=64,t=1,p=1$F6w4iO4dOdOOUw9AWZr+9A$xyHEiFFtCkGCHfEdvz65": ErrForeignHash,
		"$scrypt$ln=4,r=8,p=1$ymGKwjF+IxaSplfsGoWBwg$TazD": ErrForeignHash, "$6$7pD1Tay0BSHOAbb5$03snR88R06Y0": ErrForeignHash,
		"$6$rounds=1000001$7pD1Tay0BSHOAbb5$03snR88R06Y0D6e6": ErrHashCost,
	} {
		if c, err := h.Adopt(text, now); !errors.Is(err, want) || c.Hash != "" {
			t.Errorf("%.60s: %v %v", text, c, err)
		}
	}
}

// Whatever is kept can be checked: it answers, and neither panics nor runs away.
func FuzzAdopt(f *testing.F) {
	for _, text := range foreign {
		f.Add(text)
	}
	h, err := NewHasher(Options{MemoryKiB: 8, Iterations: 1, Peppers: [][]byte{pepper}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := h.Adopt(text, now)
		if err != nil {
			if !errors.Is(err, ErrForeignHash) && !errors.Is(err, ErrHashCost) {
				t.Fatal(err)
			}
			return
		}
		if _, err := h.Verify(t.Context(), &c, "x"); err == nil {
			t.Fatalf("%q is a hash of x", text)
		}
	})
}
