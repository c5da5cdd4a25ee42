// Package magiclink makes and checks links that are mailed to sign somebody in.
//
// A link is half a key. The other half is the browser that asked for it: only there does the
// link sign in. In any other browser, or in the hands of a program that follows the links of
// a mail, it shows a short code, which its owner types where the link was asked for.
package magiclink

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stepgate/stepgate/factors"
)

// The bounds of a link's life, and what it is when nothing is configured.
const (
	MinLife     = 5 * time.Minute
	MaxLife     = 7 * 24 * time.Hour
	DefaultLife = time.Hour
)

const (
	tokenSize = 32
	saltSize  = 16
	codeSize  = 8 // characters of five bits each
)

// MaxTries is how many codes may be typed for a link. When the last one is wrong, the link is
// worth nothing any more.
const MaxTries = 5

// alphabet is Crockford's base32: no letter in it can be read as another character.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Link is a link that was mailed. It holds hashes, but for the short code, which the page of
// the link must be able to show.
type Link struct {
	Email     string    `cbor:"1,keyasint"`
	Salt      []byte    `cbor:"2,keyasint"`
	Browser   []byte    `cbor:"3,keyasint"`
	Code      string    `cbor:"4,keyasint"`
	CreatedAt time.Time `cbor:"5,keyasint"`
	ExpiresAt time.Time `cbor:"6,keyasint"`
	// Flow is what the link goes on with; the caller's own.
	Flow string `cbor:"7,keyasint,omitempty"`
	// Tries counts the codes that were typed for the link.
	Tries int `cbor:"8,keyasint,omitempty"`
}

// New draws the token of a link, which is to be mailed, and the link that browser asks for.
// browser is the secret that tells one browser from another; it must not be empty.
func New(random io.Reader, now time.Time, life time.Duration, email, browser string) (token string, l Link, err error) {
	if life < MinLife || life > MaxLife {
		return "", Link{}, fmt.Errorf("life of a link: %s is not between %s and %s", life, MinLife, MaxLife)
	}
	if browser == "" {
		return "", Link{}, fmt.Errorf("%w: a link belongs to a browser", factors.ErrMalformed)
	}
	draw := make([]byte, tokenSize+saltSize+codeSize)
	if _, err := io.ReadFull(random, draw); err != nil {
		return "", Link{}, fmt.Errorf("draw a link: %w", err)
	}
	l = Link{Email: email, Salt: draw[tokenSize : tokenSize+saltSize], CreatedAt: now, ExpiresAt: now.Add(life)}
	l.Browser = l.hash(browser)
	code := make([]byte, codeSize)
	for i, b := range draw[tokenSize+saltSize:] {
		code[i] = alphabet[b%32]
	}
	l.Code = string(code)
	return base64.RawURLEncoding.EncodeToString(draw[:tokenSize]), l, nil
}

func (l *Link) hash(browser string) []byte {
	sum := sha256.Sum256(append(l.Salt[:len(l.Salt):len(l.Salt)], browser...))
	return sum[:]
}

// TokenID is the name under which the link of a token is kept: a hash of it. ok is false for
// a text that is no token.
func TokenID(token string) (id string, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != tokenSize {
		return "", false
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:]), true
}

// Here tells whether browser is the one that asked for the link.
func (l *Link) Here(browser string) bool {
	return len(l.Salt) == saltSize && browser != "" && subtle.ConstantTimeCompare(l.hash(browser), l.Browser) == 1
}

// Verify judges whether the link signs a browser in at a time. The error is
// factors.ErrIncorrect for another browser, or factors.ErrExpired.
func (l *Link) Verify(browser string, now time.Time) error {
	switch {
	case !l.Here(browser):
		return factors.ErrIncorrect
	case !now.Before(l.ExpiresAt):
		return factors.ErrExpired
	}
	return nil
}

// Try counts a code that is typed, before it is looked at. It is false when no try is left.
func (l *Link) Try() bool {
	if l.Tries >= MaxTries {
		return false
	}
	l.Tries++
	return true
}

// Matches tells whether a code, as FoldCode returns it, is the one that the link shows.
func (l *Link) Matches(code string) bool {
	return len(l.Code) == codeSize && subtle.ConstantTimeCompare([]byte(l.Code), []byte(code)) == 1
}

// Shown is the short code as pages show it: two groups of four.
func (l *Link) Shown() string {
	if len(l.Code) != codeSize {
		return ""
	}
	return l.Code[:codeSize/2] + "-" + l.Code[codeSize/2:]
}

// FoldCode returns the one spelling of a short code: capitals without hyphens and spaces, and
// the letters that people take for digits as digits. The error is factors.ErrMalformed.
func FoldCode(text string) (string, error) {
	code := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(text))
	if len(code) != codeSize {
		return "", factors.ErrMalformed
	}
	for _, b := range []byte(code) {
		if strings.IndexByte(alphabet, b) < 0 {
			return "", factors.ErrMalformed
		}
	}
	return code, nil
}
