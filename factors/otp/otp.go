// Package otp makes and checks the six-digit codes that are sent by e-mail, SMS or WhatsApp.
package otp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/stepgate/stepgate/factors"
)

const (
	digits   = 6
	saltSize = 16
)

// The bounds of a code's life, and what it is when nothing is configured.
const (
	MinLife     = time.Minute
	MaxLife     = 10 * time.Minute // NIST SP 800-63B-4, section 3.1.3.2
	DefaultLife = 2 * time.Minute
)

// Challenge is a code that was sent. It holds a salted hash, not the code.
type Challenge struct {
	Salt      []byte    `cbor:"1,keyasint"`
	Hash      []byte    `cbor:"2,keyasint"`
	CreatedAt time.Time `cbor:"3,keyasint"`
	ExpiresAt time.Time `cbor:"4,keyasint"`
	// Used is set by whoever accepts the code, in the change that makes it count.
	Used bool `cbor:"5,keyasint,omitempty"`
}

// New draws a code, uniform over all 10^6, and the challenge that recognises it for life.
func New(random io.Reader, now time.Time, life time.Duration) (code string, c Challenge, err error) {
	if life < MinLife || life > MaxLife {
		return "", Challenge{}, fmt.Errorf("life of a code: %s is not between %s and %s", life, MinLife, MaxLife)
	}
	n, err := rand.Int(random, big.NewInt(1_000_000))
	if err != nil {
		return "", Challenge{}, fmt.Errorf("draw a code: %w", err)
	}
	c = Challenge{Salt: make([]byte, saltSize), CreatedAt: now, ExpiresAt: now.Add(life)}
	if _, err := io.ReadFull(random, c.Salt); err != nil {
		return "", Challenge{}, fmt.Errorf("draw a salt: %w", err)
	}
	code = fmt.Sprintf("%0*d", digits, n)
	c.Hash = c.hash(code)
	return code, c, nil
}

// Verify judges a code at a time. The error is factors.ErrMalformed, ErrIncorrect, ErrUsed or
// ErrExpired. That a code was used or has expired is told only to somebody who knows it.
func (c *Challenge) Verify(code string, now time.Time) error {
	switch {
	case !factors.SixDigits(code):
		return factors.ErrMalformed
	case len(c.Hash) == 0 || subtle.ConstantTimeCompare(c.hash(code), c.Hash) != 1:
		if !now.Before(c.ExpiresAt) {
			return factors.ErrExpired
		}
		return factors.ErrIncorrect
	case c.Used:
		return factors.ErrUsed
	case !now.Before(c.ExpiresAt):
		return factors.ErrExpired
	}
	return nil
}

func (c *Challenge) hash(code string) []byte {
	h := hmac.New(sha256.New, c.Salt)
	h.Write([]byte(code))
	return h.Sum(nil)
}
