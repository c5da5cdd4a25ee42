package session

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
)

const (
	secretBytes = 32
	// cookieLength is the length of secretBytes in unpadded base64url.
	cookieLength = 43
	idPrefix     = "session-"
)

// newCookie draws a cookie value: 256 random bits in unpadded base64url.
func newCookie(rand io.Reader) (string, error) {
	var b [secretBytes]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("draw a session secret: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// idOf is the session_id that belongs to a cookie value. ok is false for anything but the
// one canonical spelling of 32 bytes, so that no second text opens the same session.
func idOf(cookie string) (id string, ok bool) {
	if len(cookie) != cookieLength {
		return "", false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cookie)
	if err != nil || len(b) != secretBytes {
		return "", false
	}
	sum := sha256.Sum256(b)
	return idPrefix + base64.RawURLEncoding.EncodeToString(sum[:]), true
}

// newFamily draws the name that a session keeps through its rotations.
func newFamily(rand io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("draw a session family: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}
