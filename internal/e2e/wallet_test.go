package e2e

import "testing"

// Wallets of both chains are added, confirm a payment, and sign in by themselves; one that signs
// something else than it was asked to does none of that.
func TestWallets(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)
	p := b.Wallets()
	b.join(d)
	for _, w := range [][2]string{{"ethereum", "Test Ether Wallet"}, {"solana", "Test Sun Wallet"}} { // a challenge offers the first
		chain, name := w[0], w[1]
		b.Open(d.base + "/.stepgate/account/wallets/new")
		p.Alters.Store(true)
		b.Press(name)
		b.Sees("signature was not accepted")
		b.Shot("1-" + chain + "-refused")
		p.Alters.Store(false)
		b.Press(name)
		b.Sees("Where you are signed in")
		b.Shot("2-" + chain + "-added")
	}

	for _, name := range []string{"Test Ether Wallet", "Test Sun Wallet"} {
		b.signOut(d)
		b.Open(d.base + "/payments")
		b.Press("wallet")
		b.Press(name)
		b.Sees("Coffee Roasters")
		before := p.Signed.Load()
		b.Press("Make the payment") // the wallet has just been proven
		b.Sees("The payment was made.")
		if p.Signed.Load() != before {
			t.Error("the wallet was asked again")
		}

		b.signOut(d)
		b.Open(d.base + "/payments")
		b.Fill("email", "you@example.com")
		b.Fill("password", goodPassword)
		b.Click(`button[value="password"]`)
		b.Sees("Coffee Roasters")
		b.Press("Make the payment")
		b.Sees("Confirm it’s you")
		if name == "Test Sun Wallet" {
			b.Press("Try another way")
			b.Press("Solana")
			b.Sees(name)
		}
		p.Alters.Store(true)
		b.Press(name)
		b.Sees("signature was not accepted")
		p.Alters.Store(false)
		b.Press(name)
		b.Sees("Coffee Roasters")
		b.Press("Make the payment")
		b.Sees("The payment was made.")
	}
}
