package password

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrForeignHash means that a text is not a hash that can be kept.
	ErrForeignHash = errors.New("not a hash of argon2, bcrypt, scrypt, PBKDF2 or SHA-crypt")
	// ErrHashCost means that checking a hash would take more time or memory than anybody who
	// types a password may cause.
	ErrHashCost = errors.New("a hash whose cost is out of bounds")
)

const (
	// maxForeignHash bounds the text of a hash, in bytes.
	maxForeignHash = 1024
	// minForeignKey bounds what a password is compared with, in bytes: a hash that was cut off fits
	// many passwords.
	minForeignKey = 16
)

// Bounds of what one check of a kept hash may cost.
const (
	maxForeignMemory = 256 << 10 // KiB
	maxScryptWork    = 1 << 20   // KiB
	maxArgon2Passes  = 16
	maxLanes         = 16
	maxBcryptCost    = 15
	maxPBKDF2Rounds  = 5_000_000
	maxSHARounds     = 1_000_000
)

// Adopt makes a credential of a hash that another system made, in PHC or crypt form. Whoever
// signs in with its password gets a hash of this package instead. The error is ErrForeignHash
// or ErrHashCost.
func (h *Hasher) Adopt(text string, now time.Time) (Credential, error) {
	if len(text) > maxForeignHash {
		return Credential{}, ErrForeignHash
	}
	if err := affordable(text); err != nil {
		return Credential{}, err
	}
	digest, err := h.decoder.Decode(text)
	if err != nil {
		return Credential{}, fmt.Errorf("%w: %w", ErrForeignHash, err)
	}
	if n := len(digest.Key()); n < minForeignKey {
		return Credential{}, fmt.Errorf("%w: it has %d bytes", ErrForeignHash, n)
	}
	return Credential{Hash: text, CreatedAt: now, UpdatedAt: now}, nil
}

// affordable judges the cost that a hash names.
func affordable(text string) error {
	parts := strings.Split(text, "$")
	if len(parts) < 4 || parts[0] != "" {
		return ErrForeignHash
	}
	name, args := parts[1], parts[2]
	switch name {
	case "argon2id", "argon2i", "argon2d":
		return affordableArgon2(parts)
	case "2", "2a", "2b", "2x", "2y":
		return within(args, 4, maxBcryptCost)
	case "bcrypt-sha256":
		return within(params(args)["r"], 4, maxBcryptCost)
	case "scrypt":
		return affordableScrypt(params(args))
	case "5", "6":
		if rounds, named := strings.CutPrefix(args, "rounds="); named {
			return within(rounds, 1, maxSHARounds)
		}
		return nil
	}
	if name == "pbkdf2" || strings.HasPrefix(name, "pbkdf2-sha") {
		return within(args, 1, maxPBKDF2Rounds)
	}
	return ErrForeignHash
}

func affordableArgon2(parts []string) error {
	if len(parts) != 6 {
		return ErrForeignHash
	}
	p := params(parts[3])
	if err := errors.Join(within(p["t"], 1, maxArgon2Passes), within(p["p"], 1, maxLanes)); err != nil {
		return err
	}
	lanes, _ := strconv.Atoi(p["p"])
	return within(p["m"], 8*lanes, maxForeignMemory)
}

func affordableScrypt(p map[string]string) error {
	if err := errors.Join(within(p["ln"], 1, 18), within(p["r"], 1, 32), within(p["p"], 1, maxLanes)); err != nil {
		return err
	}
	ln, _ := strconv.Atoi(p["ln"])
	r, _ := strconv.Atoi(p["r"])
	lanes, _ := strconv.Atoi(p["p"])
	memory := r << ln / 8 // KiB: 128 bytes for each of r blocks of 2^ln; lanes come one after the other
	if memory > maxForeignMemory || memory*lanes > maxScryptWork {
		return ErrHashCost
	}
	return nil
}

// params reads k=v,k=v. Of a key that is repeated nothing is read.
func params(text string) map[string]string {
	out := make(map[string]string)
	for part := range strings.SplitSeq(text, ",") {
		k, v, _ := strings.Cut(part, "=")
		if _, twice := out[k]; twice {
			v = ""
		}
		out[k] = v
	}
	return out
}

func within(text string, least, most int) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return ErrForeignHash
	}
	if n < least || n > most {
		return ErrHashCost
	}
	return nil
}
