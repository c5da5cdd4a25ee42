package browsertest

import (
	"crypto/ed25519"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/mr-tron/base58"
	"golang.org/x/crypto/sha3"
)

// walletScript announces two wallets to every page: one of Ethereum by EIP-6963 and one of
// Solana by the Wallet Standard. Both check, as wallets do, that a text is of the site.
//
//go:embed wallets.js
var walletScript string

// Purse has the keys of the wallets in a browser.
type Purse struct {
	ethereum *secp256k1.PrivateKey
	solana   ed25519.PrivateKey
	// Alters makes the wallets sign something else than they show.
	Alters atomic.Bool
	// Signed counts signatures.
	Signed atomic.Int32
}

func keccak(text []byte) []byte {
	h := sha3.NewLegacyKeccak256()
	_, _ = h.Write(text)
	return h.Sum(nil)
}

// Address is the address of the wallet of a chain.
func (p *Purse) Address(chain string) string {
	if chain == "solana" {
		return base58.Encode(p.solana.Public().(ed25519.PublicKey))
	}
	return "0x" + hex.EncodeToString(keccak(p.ethereum.PubKey().SerializeUncompressed()[1:])[12:])
}

// sign returns the signature in hex, for Ethereum that of EIP-191.
func (p *Purse) sign(chain, text string) string {
	p.Signed.Add(1)
	if p.Alters.Load() {
		text = strings.Replace(text, "Nonce: ", "Nonce: 0", 1)
	}
	if chain == "solana" {
		return hex.EncodeToString(ed25519.Sign(p.solana, []byte(text)))
	}
	compact := ecdsa.SignCompact(p.ethereum, keccak(fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d%s", len(text), text)), false)
	return hex.EncodeToString(append(compact[1:], compact[0]))
}

// Wallets puts wallets with keys of their own into the tab.
func (b *Tab) Wallets() *Purse {
	b.T.Helper()
	p := &Purse{}
	var err error
	if p.ethereum, err = secp256k1.GeneratePrivateKey(); err != nil {
		b.T.Fatal(err)
	}
	if _, p.solana, err = ed25519.GenerateKey(rand.Reader); err != nil {
		b.T.Fatal(err)
	}
	b.Answer("askPurse", func(question string) string {
		chain, text, _ := strings.Cut(question, " ")
		return p.sign(chain, text)
	})
	b.Script(strings.NewReplacer("ETHEREUM_ADDRESS", p.Address("ethereum"), "SOLANA_ADDRESS", p.Address("solana")).Replace(walletScript))
	return p
}
