// Package password hashes and checks passwords, and judges whether one is good enough.
//
// Passwords are normalised to NFC both when they are set and when they are checked
// (NIST SP 800-63B-4, section 3.1.1.2), keyed with a pepper that is kept apart from the store,
// and hashed with argon2id (RFC 9106). Hashes of other systems in PHC or crypt form are
// checked as they are and reported for rehashing.
package password

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-crypt/crypt"
	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/stepgate/stepgate/factors"
)

// MaxBytes bounds what is ever hashed.
const MaxBytes = 1024

// peppered marks hashes of this package, which are made of the keyed password.
const peppered = "stepgate1:"

// Credential is the password of a user, hashed.
type Credential struct {
	Hash      string    `cbor:"1,keyasint"`
	CreatedAt time.Time `cbor:"2,keyasint"`
	UpdatedAt time.Time `cbor:"3,keyasint"`
	// MustReset is set when the password may no longer be used until it is set anew.
	MustReset bool `cbor:"4,keyasint,omitempty"`
}

// Options are the cost of a hash. Zero fields take the defaults.
type Options struct {
	// MemoryKiB of one hash. Default: 19456 (19 MiB).
	MemoryKiB uint32
	// Iterations over the memory. Default: 2.
	Iterations int
	// Concurrent bounds the hashes computed at once, and thereby the memory. Default: 4.
	Concurrent int
	// Peppers key the password before it is hashed; each has at least 32 bytes. The first
	// hashes, all verify, so that a secret can be replaced.
	Peppers [][]byte
}

// Hasher hashes and checks passwords. It is safe for parallel use.
type Hasher struct {
	hasher  *argon2.Hasher
	decoder *crypt.Decoder
	peppers [][]byte
	slots   chan struct{}
	dummy   string
	prefix  string
}

// NewHasher returns a Hasher.
func NewHasher(o Options) (*Hasher, error) {
	if o.MemoryKiB == 0 {
		o.MemoryKiB = 19 << 10
	}
	if o.Iterations == 0 {
		o.Iterations = 2
	}
	if o.Concurrent == 0 {
		o.Concurrent = 4
	}
	if len(o.Peppers) == 0 || slices.ContainsFunc(o.Peppers, func(p []byte) bool { return len(p) < 32 }) {
		return nil, errors.New("a password pepper has fewer than 32 bytes")
	}
	hasher, err := argon2.New(argon2.WithVariantID(), argon2.WithMemoryInKiB(o.MemoryKiB), argon2.WithIterations(o.Iterations), argon2.WithParallelism(1))
	if err != nil {
		return nil, fmt.Errorf("argon2id parameters: %w", err)
	}
	decoder, err := crypt.NewDefaultDecoder()
	if err != nil {
		return nil, fmt.Errorf("password hash decoder: %w", err)
	}
	h := &Hasher{
		hasher: hasher, decoder: decoder, peppers: o.Peppers, slots: make(chan struct{}, o.Concurrent),
		prefix: fmt.Sprintf("%s$argon2id$v=19$m=%d,t=%d,p=1$", peppered, o.MemoryKiB, o.Iterations),
	}
	if h.dummy, err = h.hash(rand.Text()); err != nil {
		return nil, err
	}
	return h, nil
}

// New hashes a password that Check has approved. It waits for its turn until ctx is done.
func (h *Hasher) New(ctx context.Context, password string, now time.Time) (Credential, error) {
	if len(password) > MaxBytes {
		return Credential{}, factors.ErrMalformed
	}
	if err := h.acquire(ctx); err != nil {
		return Credential{}, err
	}
	defer h.release()
	text, err := h.hash(password)
	if err != nil {
		return Credential{}, err
	}
	return Credential{Hash: text, CreatedAt: now, UpdatedAt: now}, nil
}

// Verify judges a password. c may be nil for an account without one: the work is the same,
// and the answer factors.ErrIncorrect. rehash tells that the password is right and its hash is
// of another make or cost. The error is factors.ErrIncorrect or factors.ErrMalformed for a
// password over MaxBytes; anything else means that it could not be judged.
func (h *Hasher) Verify(ctx context.Context, c *Credential, password string) (rehash bool, err error) {
	if len(password) > MaxBytes {
		return false, factors.ErrMalformed
	}
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer h.release()
	stored := h.dummy
	if c != nil && c.Hash != "" {
		stored = c.Hash
	}
	text, ours := strings.CutPrefix(stored, peppered)
	digest, err := h.decoder.Decode(text)
	if err != nil {
		return false, fmt.Errorf("stored password hash: %w", err)
	}
	used, match, err := h.match(digest, password, ours)
	if err != nil {
		return false, err
	}
	if !match || c == nil || c.Hash == "" {
		return false, factors.ErrIncorrect
	}
	return used > 0 || !strings.HasPrefix(stored, h.prefix), nil
}

// match compares a password with a digest and tells which pepper fitted.
func (h *Hasher) match(digest algorithm.Digest, password string, ours bool) (used int, ok bool, err error) {
	password = norm.NFC.String(password)
	if !ours {
		ok, err = digest.MatchAdvanced(password)
		return 0, ok, matchError(err)
	}
	for i, pepper := range h.peppers {
		ok, err = digest.MatchAdvanced(keyed(pepper, password))
		if ok || matchError(err) != nil {
			return i, ok, matchError(err)
		}
	}
	return 0, false, nil
}

func matchError(err error) error {
	if err == nil || errors.Is(err, algorithm.ErrPasswordInvalid) {
		return nil
	}
	return fmt.Errorf("check a password: %w", err)
}

func (h *Hasher) hash(password string) (string, error) {
	digest, err := h.hasher.Hash(keyed(h.peppers[0], norm.NFC.String(password)))
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return peppered + digest.Encode(), nil
}

func keyed(pepper []byte, password string) string {
	mac := hmac.New(sha256.New, pepper)
	mac.Write([]byte(password))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

func (h *Hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the password hasher: %w", ctx.Err())
	}
}

func (h *Hasher) release() { <-h.slots }
