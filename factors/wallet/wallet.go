// Package wallet proves crypto wallets by what they sign: Ethereum by EIP-4361 with the
// signatures of EIP-191, Solana by the same text and ed25519.
//
// The server makes the text. What is checked later is the signature over exactly that text,
// so that a wallet cannot be brought to sign for another site, and nothing that it returns
// has to be parsed.
package wallet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/stepgate/stepgate/factors"
)

// Life is how long a text can be signed.
const Life = 5 * time.Minute

// nonceSize is the length of a nonce: 22 characters of an alphabet of 62 have 130 bits.
const nonceSize = 22

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// ErrUnavailable means that the chain could not be asked about a wallet that is a contract.
var ErrUnavailable = errors.New("the chain cannot be asked")

// Request is what a text is about.
type Request struct {
	// Domain is the host of the site, with its port when that is not the usual one.
	Domain string
	// URI is the origin of the site.
	URI string
	// Statement is one line for the person.
	Statement string
	Address   Address
}

// Challenge is a text that was made for a wallet to sign.
type Challenge struct {
	Chain     Chain     `cbor:"1,keyasint"`
	Address   string    `cbor:"2,keyasint"`
	Message   string    `cbor:"3,keyasint"`
	ExpiresAt time.Time `cbor:"4,keyasint"`
}

// New makes a text for a wallet to sign within Life. Its lines are those of EIP-4361.
func New(random io.Reader, now time.Time, r Request) (Challenge, error) {
	if r.Address.chain == "" {
		return Challenge{}, fmt.Errorf("%w: no wallet", factors.ErrMalformed)
	}
	for _, text := range []string{r.Domain, r.URI, r.Statement} {
		if text == "" || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return Challenge{}, fmt.Errorf("%w: empty or control characters in the text to sign", factors.ErrMalformed)
		}
	}
	nonce, err := newNonce(random)
	if err != nil {
		return Challenge{}, err
	}
	expires := now.Add(Life)
	message := r.Domain + " wants you to sign in with your " + r.Address.chain.name() + " account:\n" +
		r.Address.String() + "\n\n" + r.Statement + "\n\n" +
		"URI: " + r.URI + "\n" +
		"Version: 1\n" +
		"Chain ID: " + r.Address.chain.id() + "\n" +
		"Nonce: " + nonce + "\n" +
		"Issued At: " + timestamp(now) + "\n" +
		"Expiration Time: " + timestamp(expires)
	return Challenge{Chain: r.Address.chain, Address: r.Address.Key(), Message: message, ExpiresAt: expires}, nil
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func newNonce(random io.Reader) (string, error) {
	out := make([]byte, nonceSize)
	for i := range out {
		n, err := rand.Int(random, big.NewInt(int64(len(alphanumeric))))
		if err != nil {
			return "", fmt.Errorf("draw a nonce: %w", err)
		}
		out[i] = alphanumeric[n.Int64()]
	}
	return string(out), nil
}

// Verify judges a signature over the text: "0x" and hex for Ethereum, base58 for Solana.
// contracts judges wallets that are contracts; nil accepts none. The error is
// factors.ErrExpired, factors.ErrMalformed, factors.ErrIncorrect, or ErrUnavailable.
func (c *Challenge) Verify(ctx context.Context, signature string, now time.Time, contracts ContractVerifier) error {
	if c.Message == "" || !now.Before(c.ExpiresAt) {
		return factors.ErrExpired
	}
	a, err := ParseAddress(c.Chain, c.Address)
	if err != nil {
		return err
	}
	if c.Chain == Solana {
		return verifySolana(a, c.Message, signature)
	}
	return verifyEthereum(ctx, a, c.Message, signature, contracts)
}
