package flow

import (
	"context"
	"errors"
	"slices"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/wallet"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/store"
)

// StartWallet returns the text that a wallet has to sign. It is for the visitor's browser or
// session alone, and works once.
func (e *Engine) StartWallet(ctx context.Context, v Visitor, chain, address string) (challenge string, err error) {
	a, err := e.walletAddress(v, chain, address)
	if err != nil {
		return "", err
	}
	if v.Origin == "" {
		return "", ErrNoOrigin
	}
	if err := e.accounts.TakeChallenge(ctx, v.IP); err != nil {
		return "", asError(err)
	}
	host := e.place(v)
	made, err := wallet.New(e.rand, e.db.Now(), wallet.Request{
		Domain: host, URI: v.Origin, Address: a,
		Statement: "Sign in to " + host + ". This costs nothing and moves nothing.",
	})
	if err != nil {
		return "", asError(err)
	}
	var c store.Change
	if err := e.walletTexts.Put(&c, e.walletKey(v, a), made, made.ExpiresAt); err != nil {
		return "", asError(err)
	}
	return made.Message, asError(e.db.Apply(ctx, c))
}

func (e *Engine) walletAddress(v Visitor, chain, address string) (wallet.Address, error) {
	if !e.Offers(factors.CryptoWallet) || !slices.Contains(e.opts.Chains, wallet.Chain(chain)) {
		return wallet.Address{}, ErrNotOffered
	}
	if v.Session == nil && v.Browser == "" {
		return wallet.Address{}, ErrNoBrowser
	}
	a, err := wallet.ParseAddress(wallet.Chain(chain), address)
	if err != nil {
		return wallet.Address{}, with(ErrInvalidWallet, err, 0)
	}
	return a, nil
}

// walletKey is where the one live text of a wallet is kept for the visitor.
func (e *Engine) walletKey(v Visitor, a wallet.Address) string {
	mark := "browser\x00" + v.Browser
	if v.Session != nil {
		mark = "family\x00" + v.Session.Family
	}
	return e.db.Keyring().Index("wallet challenge", mark+"\x00"+account.WalletKey(string(a.Chain()), a.Key()))
}

// AuthenticateWallet proves a wallet by its signature over the text that StartWallet returned.
// In a session, a wallet that nobody has becomes the user's, under the rules for changing
// factors.
func (e *Engine) AuthenticateWallet(ctx context.Context, v Visitor, chain, address, signature string) (Result, error) {
	a, err := e.walletAddress(v, chain, address)
	if err != nil {
		return Result{}, err
	}
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return Result{}, asError(err)
	}
	// Taken first: a text is answered once, rightly or not.
	asked, err := e.walletTexts.Take(ctx, e.walletKey(v, a))
	if errors.Is(err, store.ErrNotFound) {
		return Result{}, e.failed(ctx, v, account.Attempt{}, ErrWalletExpired)
	}
	if err != nil {
		return Result{}, asError(err)
	}
	if err := asked.Verify(ctx, signature, e.db.Now(), e.contracts); err != nil {
		return Result{}, e.failed(ctx, v, account.Attempt{}, walletRefusal(err))
	}
	id, enrolled := e.accounts.WalletID(chain, a.Key()), false
	result, err := e.AddProof(ctx, v, account.Attempt{}, func(ctx context.Context) (candidate, error) {
		c, fresh, err := e.ownerOfWallet(ctx, v, a)
		if err != nil {
			return candidate{}, err
		}
		enrolled = fresh
		c.proof = factors.Proof{
			Product: factors.CryptoWallet, Variant: chain, UserID: c.user.ID, CredentialID: id, AuthenticatedAt: e.db.Now(),
			WalletAddress: a.String(), WalletType: chain,
		}
		return c, nil
	})
	if err != nil || !enrolled {
		return result, err
	}
	v.Session = result.Session
	return result, e.added(ctx, v, factors.CryptoWallet, id, "the wallet "+a.String())
}

// ownerOfWallet returns the user whose wallet was proven: the one who has it, else the visitor.
func (e *Engine) ownerOfWallet(ctx context.Context, v Visitor, a wallet.Address) (c candidate, enrolled bool, err error) {
	now := e.db.Now()
	u, rev, err := e.accounts.Owner(ctx, account.OwnedWallet, account.WalletKey(string(a.Chain()), a.Key()))
	switch {
	case err == nil:
		u.Wallets = slices.Clone(u.Wallets)
		if w := u.Wallet(e.accounts.WalletID(string(a.Chain()), a.Key())); w != nil {
			w.LastUsedAt = now
		}
		return candidate{user: u, rev: rev, edited: true}, false, nil
	case !errors.Is(err, store.ErrNotFound):
		return candidate{}, false, err
	case v.Session == nil:
		return candidate{}, false, ErrWalletIncorrect
	}
	if err := e.enrolling(ctx, v, &c); err != nil {
		return candidate{}, false, err
	}
	err = e.accounts.AddWallet(ctx, &c.change, &c.user, account.Wallet{
		Chain: string(a.Chain()), Address: a.Key(), CreatedAt: now, LastUsedAt: now,
	})
	return c, true, err
}

func walletRefusal(err error) error {
	switch {
	case errors.Is(err, factors.ErrExpired):
		return with(ErrWalletExpired, err, 0)
	case errors.Is(err, factors.ErrMalformed), errors.Is(err, factors.ErrIncorrect):
		return with(ErrWalletIncorrect, err, 0)
	}
	return with(ErrWalletUnavailable, err, 0)
}
