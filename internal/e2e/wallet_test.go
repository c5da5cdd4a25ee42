package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/mr-tron/base58"
	"golang.org/x/crypto/sha3"
)

// walletScript announces two wallets to every page: one of Ethereum by EIP-6963 and one of
// Solana by the Wallet Standard. Both check, as wallets do, that a text is of the site.
//
//go:embed testdata/wallets.js
var walletScript string

// purse has the keys of the wallets in a browser.
type purse struct {
	ethereum *secp256k1.PrivateKey
	solana   ed25519.PrivateKey
	// alters makes the wallets sign something else than they show.
	alters atomic.Bool
	signed atomic.Int32
}

func keccak(text []byte) []byte {
	h := sha3.NewLegacyKeccak256()
	_, _ = h.Write(text)
	return h.Sum(nil)
}

// address is the address of the wallet of a chain.
func (p *purse) address(chain string) string {
	if chain == "solana" {
		return base58.Encode(p.solana.Public().(ed25519.PublicKey))
	}
	return "0x" + hex.EncodeToString(keccak(p.ethereum.PubKey().SerializeUncompressed()[1:])[12:])
}

// sign returns the signature in hex, for Ethereum that of EIP-191.
func (p *purse) sign(chain, text string) string {
	p.signed.Add(1)
	if p.alters.Load() {
		text = strings.Replace(text, "Nonce: ", "Nonce: 0", 1)
	}
	if chain == "solana" {
		return hex.EncodeToString(ed25519.Sign(p.solana, []byte(text)))
	}
	compact := ecdsa.SignCompact(p.ethereum, keccak(fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d%s", len(text), text)), false)
	return hex.EncodeToString(append(compact[1:], compact[0]))
}

// wallets puts wallets with keys of their own into the tab.
func (b *tab) wallets() *purse {
	b.t.Helper()
	p := &purse{}
	var err error
	if p.ethereum, err = secp256k1.GeneratePrivateKey(); err != nil {
		b.t.Fatal(err)
	}
	if _, p.solana, err = ed25519.GenerateKey(rand.Reader); err != nil {
		b.t.Fatal(err)
	}
	err = chromedp.Listen(b.ctx, func(event any) {
		called, ok := event.(*runtime.EventBindingCalled)
		if !ok || called.Name != "askPurse" {
			return
		}
		var in struct {
			ID          int
			Chain, Text string
		}
		if err := json.Unmarshal([]byte(called.Payload), &in); err != nil {
			b.t.Error(err)
			return
		}
		go func() { // events are handled in order: an answer has to wait for none
			answer := fmt.Sprintf("purseAnswers(%d, %q)", in.ID, p.sign(in.Chain, in.Text))
			if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](answer)); err != nil {
				b.t.Log(err)
			}
		}()
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := chromedp.Call(b.ctx, runtime.AddBinding, runtime.AddBindingParams{Name: "askPurse"}); err != nil {
		b.t.Fatal(err)
	}
	source := strings.NewReplacer("ETHEREUM_ADDRESS", p.address("ethereum"), "SOLANA_ADDRESS", p.address("solana")).Replace(walletScript)
	if _, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source}); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// Wallets of both chains are added, confirm a payment, and sign in by themselves; one that signs
// something else than it was asked to does none of that.
func TestWallets(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)
	p := b.wallets()
	b.join(d)
	for chain, name := range map[string]string{"ethereum": "Test Ether Wallet", "solana": "Test Sun Wallet"} {
		b.open(d.base + "/.stepgate/account/wallets/new")
		p.alters.Store(true)
		b.press(name)
		b.sees("signature was not accepted")
		b.shot("1-" + chain + "-refused")
		p.alters.Store(false)
		b.press(name)
		b.sees("Where you are signed in")
		b.shot("2-" + chain + "-added")
	}

	for _, name := range []string{"Test Ether Wallet", "Test Sun Wallet"} {
		b.signOut(d)
		b.open(d.base + "/payments")
		b.press("wallet")
		b.press(name)
		b.sees("Coffee Roasters")
		before := p.signed.Load()
		b.press("Make the payment") // the wallet has just been proven
		b.sees("The payment was made.")
		if p.signed.Load() != before {
			t.Error("the wallet was asked again")
		}

		b.signOut(d)
		b.open(d.base + "/payments")
		b.fill("email", "you@example.com")
		b.fill("password", goodPassword)
		b.do(chromedp.Click(chromedp.CSS(`button[value="password"]`)))
		b.sees("Coffee Roasters")
		b.press("Make the payment")
		b.sees("Confirm it’s you")
		if name == "Test Sun Wallet" {
			b.press("Try another way")
			b.press("solana")
			b.sees(name)
		}
		p.alters.Store(true)
		b.press(name)
		b.sees("signature was not accepted")
		p.alters.Store(false)
		b.press(name)
		b.sees("Coffee Roasters")
		b.press("Make the payment")
		b.sees("The payment was made.")
	}
}
