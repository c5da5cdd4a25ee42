package wallet

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/mr-tron/base58"

	"github.com/stepgate/stepgate/factors"
)

// The neutral point as a key lets a constant stand for the signature of every text.
func TestSolanaAddressOfSmallOrderProvesNothing(t *testing.T) {
	key, forged := make([]byte, 32), make([]byte, 64)
	key[0], forged[0] = 1, 1
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	address, err := ParseAddress(Solana, base58.Encode(key))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(rand.Reader, now, Request{Domain: "app.test", URI: "https://app.test", Statement: "Sign in.", Address: address})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(t.Context(), base58.Encode(forged), now, nil); !errors.Is(err, factors.ErrIncorrect) {
		t.Fatalf("got %v, want %v", err, factors.ErrIncorrect)
	}
}
