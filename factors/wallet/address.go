package wallet

import (
	"encoding/hex"
	"strings"

	"github.com/mr-tron/base58"
	"golang.org/x/crypto/sha3"

	"github.com/stepgate/stepgate/factors"
)

// Chain is a blockchain whose wallets can be proven.
type Chain string

// The chains.
const (
	Ethereum Chain = "ethereum"
	Solana   Chain = "solana"
)

// name is the chain in the first line of a text.
func (c Chain) name() string {
	if c == Solana {
		return "Solana"
	}
	return "Ethereum"
}

// id is the chain id in a text: that of the main network.
func (c Chain) id() string {
	if c == Solana {
		return "mainnet"
	}
	return "1"
}

const (
	ethereumSize = 20
	solanaSize   = 32
	maxBase58    = 44
)

// Address is the address of a wallet. The zero Address is no wallet.
type Address struct {
	chain Chain
	bytes string // raw, so that addresses can be compared
}

// ParseAddress reads an address as a person or a wallet writes it. Ethereum: 0x and 40 hex
// digits, and where both cases occur, the checksum of EIP-55. Solana: 32 bytes in base58. The
// error is factors.ErrMalformed.
func ParseAddress(c Chain, text string) (Address, error) {
	switch c {
	case Ethereum:
		return parseEthereum(text)
	case Solana:
		return parseSolana(text)
	}
	return Address{}, factors.ErrMalformed
}

func parseEthereum(text string) (Address, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != ethereumSize {
		return Address{}, factors.ErrMalformed
	}
	a := Address{chain: Ethereum, bytes: string(raw)}
	mixed := digits != strings.ToLower(digits) && digits != strings.ToUpper(digits)
	if mixed && text != a.String() {
		return Address{}, factors.ErrMalformed
	}
	return a, nil
}

func parseSolana(text string) (Address, error) {
	if len(text) > maxBase58 {
		return Address{}, factors.ErrMalformed
	}
	raw, err := base58.Decode(text)
	if err != nil || len(raw) != solanaSize || base58.Encode(raw) != text {
		return Address{}, factors.ErrMalformed
	}
	return Address{chain: Solana, bytes: string(raw)}, nil
}

// Chain is the blockchain of the wallet.
func (a Address) Chain() Chain { return a.chain }

// Key is the one spelling under which the wallet is known: lower-case hex, or base58.
func (a Address) Key() string {
	if a.chain == Ethereum {
		return "0x" + hex.EncodeToString([]byte(a.bytes))
	}
	return base58.Encode([]byte(a.bytes))
}

// String is the address as wallets show it: with the checksum of EIP-55, or base58.
func (a Address) String() string {
	if a.chain != Ethereum {
		return a.Key()
	}
	digits := []byte(hex.EncodeToString([]byte(a.bytes)))
	sum := keccak(digits)
	for i, d := range digits {
		nibble := sum[i/2] >> 4
		if i%2 == 1 {
			nibble = sum[i/2] & 0xf
		}
		if d >= 'a' && nibble >= 8 {
			digits[i] = d - 'a' + 'A'
		}
	}
	return "0x" + string(digits)
}

func keccak(parts ...[]byte) (sum [32]byte) {
	h := sha3.NewLegacyKeccak256()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}
