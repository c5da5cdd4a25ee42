package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// MinSecret is the least length of the configured secret, in bytes.
const MinSecret = 32

// ErrSealed means that a sealed text was not made by this keyring for this purpose.
var ErrSealed = errors.New("sealed text cannot be opened")

// Keyring derives every key of the gateway from the configured secret, each for one use. The
// first secret seals and indexes; all of them open, so that a secret can be replaced.
type Keyring struct {
	secrets [][]byte
	seal    []cipher.AEAD
	index   []byte
}

// NewKeyring returns a keyring. Each secret has at least MinSecret bytes. previous are
// secrets that were in use before.
func NewKeyring(secret []byte, previous ...[]byte) (*Keyring, error) {
	k := &Keyring{}
	for _, s := range append([][]byte{secret}, previous...) {
		if len(s) < MinSecret {
			return nil, fmt.Errorf("the secret has %d bytes, at least %d are needed", len(s), MinSecret)
		}
		k.secrets = append(k.secrets, append([]byte(nil), s...))
		key, err := hkdf.Key(sha256.New, s, nil, "stepgate seal", 32)
		if err != nil {
			return nil, fmt.Errorf("derive the sealing key: %w", err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("sealing cipher: %w", err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("sealing cipher: %w", err)
		}
		k.seal = append(k.seal, aead)
	}
	// The index outlives a rotation of the secret: it follows the oldest one, because keys
	// that were written under it must still be found.
	oldest := k.secrets[len(k.secrets)-1]
	index, err := hkdf.Key(sha256.New, oldest, nil, "stepgate index", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the index key: %w", err)
	}
	k.index = index
	return k, nil
}

// Derive returns n key bytes for the use that label names.
func (k *Keyring) Derive(label string, n int) ([]byte, error) {
	return hkdf.Key(sha256.New, k.secrets[0], nil, "stepgate use "+label, n)
}

// DeriveAll is Derive for every secret, the one in use first.
func (k *Keyring) DeriveAll(label string, n int) ([][]byte, error) {
	out := make([][]byte, len(k.secrets))
	for i, s := range k.secrets {
		key, err := hkdf.Key(sha256.New, s, nil, "stepgate use "+label, n)
		if err != nil {
			return nil, fmt.Errorf("derive %s: %w", label, err)
		}
		out[i] = key
	}
	return out, nil
}

// Seal encrypts plain so that only Open with the same purpose returns it.
func (k *Keyring) Seal(purpose string, plain []byte) ([]byte, error) {
	return k.seal[0].Seal(nil, nil, plain, []byte(purpose)), nil //nolint:gosec // this AEAD draws its nonce itself
}

// Open returns what Seal was given, or ErrSealed.
func (k *Keyring) Open(purpose string, sealed []byte) ([]byte, error) {
	for _, aead := range k.seal {
		if plain, err := aead.Open(nil, nil, sealed, []byte(purpose)); err == nil {
			return plain, nil
		}
	}
	return nil, ErrSealed
}

// Index returns a text that stands for text in keys and ids. It is the same every time, and
// without the secret it tells nothing.
func (k *Keyring) Index(label, text string) string {
	h := hmac.New(sha256.New, k.index)
	fmt.Fprintf(h, "%d:%s:%s", len(label), label, text)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:20]))
}
