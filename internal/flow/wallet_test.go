package flow

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/mr-tron/base58"
	"golang.org/x/crypto/sha3"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/wallet"
)

// purse is a wallet whose key the test has.
type purse struct {
	chain, address string
	sign           func(text string) string
}

func keccak(text ...[]byte) []byte {
	h := sha3.NewLegacyKeccak256()
	for _, t := range text {
		_, _ = h.Write(t)
	}
	return h.Sum(nil)
}

func newPurse(t *testing.T, chain string) purse {
	t.Helper()
	if chain == "solana" {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		ok(t, err)
		return purse{chain, base58.Encode(public), func(text string) string {
			return base58.Encode(ed25519.Sign(private, []byte(text)))
		}}
	}
	private, err := secp256k1.GeneratePrivateKey()
	ok(t, err)
	address := "0x" + hex.EncodeToString(keccak(private.PubKey().SerializeUncompressed()[1:])[12:])
	return purse{chain, address, func(text string) string { // EIP-191
		compact := ecdsa.SignCompact(private, keccak(fmt.Appendf(nil, "\x19Ethereum Signed Message:\n%d%s", len(text), text)), false)
		return "0x" + hex.EncodeToString(append(compact[1:], compact[0]))
	}}
}

var chains = []string{"ethereum", "solana"}

// newBank is a house where wallets sign in, and alice, who has one of each chain.
func newBank(t *testing.T) (h *house, of map[string]purse) {
	t.Helper()
	h = newHouse(t)
	h.opts.Offered = append(h.opts.Offered, factors.CryptoWallet)
	h.opts.Primary = append(h.opts.Primary, factors.CryptoWallet)
	h.opts.Chains = []wallet.Chain{wallet.Ethereum, wallet.Solana}
	h.user("alice@example.com", true)
	of = make(map[string]purse)
	v := in("laptop")
	v.Session = h.signIn("alice@example.com").Session
	for _, chain := range chains {
		of[chain] = newPurse(t, chain)
		r, err := h.pay(v, of[chain], nil)
		ok(t, err)
		v.Session = r.Session
	}
	if n := len(v.Session.Factors); n != 3 {
		t.Fatalf("%d factors", n)
	}
	return h, of
}

// pay has a wallet sign what it is asked to, or what alter makes of it.
func (h *house) pay(v Visitor, p purse, alter func(string) string) (Result, error) {
	h.t.Helper()
	text, err := h.StartWallet(h.t.Context(), v, p.chain, p.address)
	ok(h.t, err)
	if alter != nil {
		text = alter(text)
	}
	return h.AuthenticateWallet(h.t.Context(), v, p.chain, p.address, p.sign(text))
}

// A wallet that is enrolled signs in, once for each text.
func TestWalletSignsIn(t *testing.T) {
	h, of := newBank(t)
	for _, p := range of {
		v := in("phone")
		text, err := h.StartWallet(t.Context(), v, p.chain, p.address)
		ok(t, err)
		signature := p.sign(text)
		n, errs := many(20, func() error {
			_, err := h.AuthenticateWallet(t.Context(), v, p.chain, p.address, signature)
			return err
		})
		if n != 1 {
			t.Errorf("%s: %d of 20 counted: %v", p.chain, n, errs)
		}
		_, err = h.AuthenticateWallet(t.Context(), v, p.chain, p.address, signature)
		refused(t, err, ErrWalletExpired)
		_, err = h.StartWallet(t.Context(), v, p.chain, p.address)
		ok(t, err)
		_, err = h.AuthenticateWallet(t.Context(), v, p.chain, p.address, signature) // An old signature for a new text
		refused(t, err, ErrWalletIncorrect)
	}
}

// A signature over anything but the very text that was made here opens nothing, and the
// text is spent by it.
func TestAlteredTextsAreRefused(t *testing.T) {
	h, of := newBank(t)
	for name, alter := range map[string]func(text, address string) string{
		"another domain": func(s, _ string) string { return strings.Replace(s, "app.test wants", "evil.test wants", 1) },
		"another origin": func(s, _ string) string {
			return strings.Replace(s, "URI: https://app.test", "URI: https://evil.test", 1)
		},
		"a test network": func(s, _ string) string {
			return strings.NewReplacer("Chain ID: 1\n", "Chain ID: 5\n", "mainnet", "devnet").Replace(s)
		},
		"another version":   func(s, _ string) string { return strings.Replace(s, "Version: 1", "Version: 2", 1) },
		"another nonce":     func(s, _ string) string { return strings.Replace(s, "Nonce: ", "Nonce: A", 1) },
		"another statement": func(s, _ string) string { return strings.Replace(s, "moves nothing", "moves everything", 1) },
		"a longer life": func(s, _ string) string {
			return strings.Replace(s, "Expiration Time: 2026", "Expiration Time: 2036", 1)
		},
		"more lines":      func(s, _ string) string { return s + "\nResources:\n- https://evil.test" },
		"other line ends": func(s, _ string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"white space":     func(s, _ string) string { return s + "\n" },
		"another address": func(s, address string) string {
			return strings.Replace(s, s[strings.Index(s, "\n")+1:strings.Index(s, "\n\n")], address, 1)
		},
		"nothing": func(string, string) string { return "" },
	} {
		for _, p := range of {
			other := newPurse(t, p.chain)
			v := in("phone")
			asked, err := h.StartWallet(t.Context(), v, p.chain, p.address)
			ok(t, err)
			text := alter(asked, other.address)
			if text == asked {
				t.Fatalf("%s: nothing is altered in %q", name, asked)
			}
			if _, err = h.AuthenticateWallet(t.Context(), v, p.chain, p.address, p.sign(text)); err == nil {
				t.Errorf("%s on %s signed in", name, p.chain)
			}
			refused(t, err, ErrWalletIncorrect)
			_, err = h.AuthenticateWallet(t.Context(), v, p.chain, p.address, p.sign(asked))
			refused(t, err, ErrWalletExpired)
		}
	}
}

// The signature of another wallet, one for another address, and one of the other chain are none.
func TestOtherWalletsSignForNobody(t *testing.T) {
	h, of := newBank(t)
	for _, chain := range chains {
		p, stranger := of[chain], newPurse(t, chain)
		stolen := stranger
		stolen.address = p.address // claims to be alice's, and signs with a key of its own
		_, err := h.pay(in("phone"), stolen, nil)
		refused(t, err, ErrWalletIncorrect)
		_, err = h.pay(in("phone"), stranger, nil) // a wallet registers nobody
		refused(t, err, ErrWalletIncorrect)

		text, err := h.StartWallet(t.Context(), in("phone"), chain, p.address)
		ok(t, err)
		_, err = h.AuthenticateWallet(t.Context(), in("phone"), chain, stranger.address, stranger.sign(text))
		refused(t, err, ErrWalletExpired) // nothing was asked of that address
		other := of[map[string]string{"ethereum": "solana", "solana": "ethereum"}[chain]]
		_, err = h.AuthenticateWallet(t.Context(), in("phone"), chain, p.address, other.sign(text))
		refused(t, err, ErrWalletIncorrect)
	}
	h.opts.Chains = []wallet.Chain{wallet.Ethereum}
	_, err := h.StartWallet(t.Context(), in("phone"), "solana", of["solana"].address)
	refused(t, err, ErrNotOffered)
}

// A text is for one browser, or one session, and for five minutes.
func TestTextIsOfItsBrowser(t *testing.T) {
	h, of := newBank(t)
	p := of["ethereum"]
	session := in("phone")
	session.Session = h.signIn("alice@example.com").Session
	for name, c := range map[string]struct{ asked, answered Visitor }{
		"another browser":   {in("phone"), in("laptop")},
		"a session began":   {in("phone"), session},
		"a session is over": {session, in("phone")},
		"another session":   {session, as(h.signIn("alice@example.com"))},
	} {
		text, err := h.StartWallet(t.Context(), c.asked, p.chain, p.address)
		ok(t, err)
		if _, err := h.AuthenticateWallet(t.Context(), c.answered, p.chain, p.address, p.sign(text)); err == nil {
			t.Errorf("%s: signed in", name)
		}
	}
	_, err := h.StartWallet(t.Context(), anon(), p.chain, p.address)
	refused(t, err, ErrNoBrowser)
	text, err := h.StartWallet(t.Context(), in("phone"), p.chain, p.address)
	ok(t, err)
	h.clock.Advance(wallet.Life)
	_, err = h.AuthenticateWallet(t.Context(), in("phone"), p.chain, p.address, p.sign(text))
	refused(t, err, ErrWalletExpired)
}

// SPEC 6: the wallet of another user is told as such, and never switches the session.
func TestWalletOfAnotherUser(t *testing.T) {
	h, of := newBank(t)
	u := h.user("bob@example.com", true)
	for _, p := range of {
		v := in("phone")
		v.Session = h.signIn("bob@example.com").Session
		_, err := h.pay(v, p, nil)
		refused(t, err, ErrAnotherUser)
	}
	if u, _, err := h.accounts.Get(t.Context(), u.ID); err != nil || len(u.Wallets) != 0 {
		t.Errorf("%+v, %v", u.Wallets, err)
	}
}
