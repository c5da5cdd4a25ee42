// Package recovery makes and checks recovery codes: ten texts of 80 random bits that stand in
// for a lost authenticator app (NIST SP 800-63B-4, section 4.2). Each works once.
package recovery

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/factors"
)

const (
	count     = 10
	codeBytes = 10 // 80 bits, 16 characters
	groups    = 4
	groupSize = 4
	saltSize  = 16
)

// alphabet is Crockford's: no I, L, O or U.
var alphabet = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// Set is the recovery codes of one user, hashed.
type Set struct {
	Codes     []Code    `cbor:"1,keyasint"`
	CreatedAt time.Time `cbor:"2,keyasint"`
}

// Code is one recovery code. 80 random bits need no slow hash: they cannot be guessed.
type Code struct {
	ID   string `cbor:"1,keyasint"`
	Salt []byte `cbor:"2,keyasint"`
	Hash []byte `cbor:"3,keyasint"`
}

// New draws a set and returns its codes in plain text, to be shown once.
func New(random io.Reader, now time.Time) (plain []string, s Set, err error) {
	s.CreatedAt = now
	for range count {
		text, code, err := draw(random)
		if err != nil {
			return nil, Set{}, err
		}
		plain = append(plain, text)
		s.Codes = append(s.Codes, code)
	}
	return plain, s, nil
}

func draw(random io.Reader) (string, Code, error) {
	b := make([]byte, codeBytes+2*saltSize)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", Code{}, fmt.Errorf("draw a recovery code: %w", err)
	}
	raw := alphabet.EncodeToString(b[:codeBytes])
	c := Code{
		ID:   "recovery-code-" + base64.RawURLEncoding.EncodeToString(b[codeBytes:codeBytes+saltSize]),
		Salt: b[codeBytes+saltSize:],
	}
	c.Hash = c.hash(raw)
	var parts []string
	for part := range slices.Chunk([]byte(raw), groupSize) {
		parts = append(parts, string(part))
	}
	return strings.Join(parts, "-"), c, nil
}

// normal is a code as it is hashed: lower case without hyphens and spaces, with the letters
// that Crockford's alphabet leaves out read as the digits they look like. ok is false for
// anything that is no code.
func normal(text string) (code string, ok bool) {
	if len(text) > 4*groups*groupSize {
		return "", false
	}
	code = strings.NewReplacer("-", "", " ", "", "i", "1", "l", "1", "o", "0").Replace(strings.ToLower(text))
	if len(code) != groups*groupSize {
		return "", false
	}
	if _, err := alphabet.DecodeString(code); err != nil {
		return "", false
	}
	return code, true
}

// WellFormed tells whether a text can be a recovery code, however a person typed it.
func WellFormed(text string) bool {
	_, ok := normal(text)
	return ok
}

// Verify returns the id of the code that a text is. The error is factors.ErrMalformed, or
// factors.ErrIncorrect, also for a code that was used: it is no longer in the set.
func (s *Set) Verify(text string) (id string, err error) {
	raw, ok := normal(text)
	if !ok {
		return "", factors.ErrMalformed
	}
	for i := range s.Codes {
		if subtle.ConstantTimeCompare(s.Codes[i].hash(raw), s.Codes[i].Hash) == 1 {
			id = s.Codes[i].ID
		}
	}
	if id == "" {
		return "", factors.ErrIncorrect
	}
	return id, nil
}

// Replace returns the set with a new code in the place of a used one, and the new code in
// plain text, to be shown once.
func (s *Set) Replace(id string, random io.Reader) (plain string, next Set, err error) {
	i := slices.IndexFunc(s.Codes, func(c Code) bool { return c.ID == id })
	if i < 0 {
		return "", Set{}, factors.ErrIncorrect
	}
	plain, code, err := draw(random)
	if err != nil {
		return "", Set{}, err
	}
	next = Set{Codes: slices.Clone(s.Codes), CreatedAt: s.CreatedAt}
	next.Codes[i] = code
	return plain, next, nil
}

// Left is how many codes can be used; 0 for a nil set.
func (s *Set) Left() int {
	if s == nil {
		return 0
	}
	return len(s.Codes)
}

// IDs lists the ids of the codes; none for a nil set.
func (s *Set) IDs() []string {
	if s == nil {
		return nil
	}
	out := make([]string, len(s.Codes))
	for i, c := range s.Codes {
		out[i] = c.ID
	}
	return out
}

func (c *Code) hash(raw string) []byte {
	h := hmac.New(sha256.New, c.Salt)
	h.Write([]byte(raw))
	return h.Sum(nil)
}
