package flow

import (
	"context"
	"errors"
	"slices"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/otp"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/store"
)

// sentCode is the one live code of an address. Its key is the method_id, so that a newer
// code replaces the older one, and so that addresses without an account have one as well.
type sentCode struct {
	Challenge otp.Challenge `cbor:"1,keyasint"`
	Email     string        `cbor:"2,keyasint"`
}

// SendEmailCode mails a code to an address and returns the method_id to prove it with. The
// answer is the same whether or not the address belongs to an account; a message goes out
// only if a code could be of use.
func (e *Engine) SendEmailCode(ctx context.Context, v Visitor, email string) (methodID string, err error) {
	if !e.Offers(factors.EmailOTP) {
		return "", ErrNotOffered
	}
	return e.sendCode(ctx, v, email, delivery.EmailCode)
}

// AddEmail mails a code to an address that the visitor's account shall have. The address
// belongs to the account once the code is proven.
func (e *Engine) AddEmail(ctx context.Context, v Visitor, email string) (methodID string, err error) {
	u, err := e.mayChange(ctx, v, account.ChangeMaxAge)
	if err != nil {
		return "", err
	}
	folded, err := account.FoldEmail(email)
	if err != nil {
		return "", asError(err)
	}
	if slices.ContainsFunc(u.Emails, func(m account.Email) bool { return m.Address == folded && m.Verified }) {
		return "", ErrDuplicateEmail
	}
	return e.sendCode(ctx, v, folded, delivery.EmailConfirmation)
}

func (e *Engine) sendCode(ctx context.Context, v Visitor, email string, compose func(delivery.Letter) (delivery.Message, error)) (string, error) {
	folded, _, known, err := e.lookup(ctx, email)
	if err != nil {
		return "", err
	}
	if err := e.accounts.TakeSend(ctx, folded, v.IP); err != nil {
		return "", asError(err)
	}
	code, challenge, err := otp.New(e.rand, e.db.Now(), e.opts.CodeLife)
	if err != nil {
		return "", asError(err)
	}
	id := e.accounts.EmailID(folded)
	var c store.Change
	// The record outlives the code, so that an expired code is told from a wrong one.
	if err := e.codes.Put(&c, id, sentCode{Challenge: challenge, Email: folded}, challenge.ExpiresAt.Add(e.opts.CodeLife)); err != nil {
		return "", asError(err)
	}
	if !known && v.Session == nil && !e.opts.Registration.allows(folded) {
		return id, asError(e.db.Apply(ctx, c))
	}
	m, err := compose(delivery.Letter{To: folded, Site: e.opts.Issuer, Host: e.place(v), Code: code, Life: e.opts.CodeLife})
	if err != nil {
		return "", asError(err)
	}
	return id, e.send(ctx, c, m, challenge.ExpiresAt)
}

// AuthenticateCode proves a mailbox by a code sent to it. In a session, a mailbox that
// nobody has becomes the user's, under the rules for changing factors.
func (e *Engine) AuthenticateCode(ctx context.Context, v Visitor, methodID, code string) (Result, error) {
	if !factors.SixDigits(code) {
		return Result{}, ErrInvalidCode
	}
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return Result{}, asError(err)
	}
	sent, _, err := e.codes.Get(ctx, methodID)
	if errors.Is(err, store.ErrNotFound) {
		return Result{}, e.failed(ctx, v, account.Attempt{}, ErrOTPExpired)
	}
	if err != nil {
		return Result{}, asError(err)
	}
	_, key, known, err := e.lookup(ctx, sent.Email)
	if err != nil {
		return Result{}, err
	}
	at, err := e.accounts.TakeAttempt(ctx, key, known, factors.EmailOTP, "")
	if errors.Is(err, account.ErrLocked) && v.Session == nil {
		return Result{}, e.failed(ctx, v, at, ErrOTPIncorrect)
	}
	if err != nil {
		return Result{}, asError(err)
	}
	result, err := e.AddProof(ctx, v, at, func(ctx context.Context) (candidate, error) {
		return e.verifyCode(ctx, v, methodID, code)
	})
	if err != nil || known {
		return result, err
	}
	v.Session = result.Session
	e.record(v, audit.Event{Kind: audit.FactorAdded, Factor: string(factors.EmailOTP), CredentialID: methodID})
	return result, e.notify(ctx, result.Session.UserID, noticeFactorAdded("the e-mail address "+sent.Email), v)
}

func (e *Engine) verifyCode(ctx context.Context, v Visitor, methodID, code string) (candidate, error) {
	sent, rev, err := e.codes.Get(ctx, methodID)
	if errors.Is(err, store.ErrNotFound) {
		return candidate{}, ErrOTPExpired
	}
	if err != nil {
		return candidate{}, err
	}
	now := e.db.Now()
	if err := sent.Challenge.Verify(code, now); err != nil {
		return candidate{}, codeRefusal(err)
	}
	var c candidate
	sent.Challenge.Used = true
	if err := e.codes.Replace(&c.change, methodID, rev, sent, sent.Challenge.ExpiresAt.Add(e.opts.CodeLife)); err != nil {
		return candidate{}, err
	}
	if err := e.ownerOf(ctx, v, &c, sent.Email); err != nil {
		return candidate{}, err
	}
	c.proof = factors.Proof{
		Product: factors.EmailOTP, UserID: c.user.ID, CredentialID: methodID, EmailAddress: sent.Email, AuthenticatedAt: now,
	}
	return c, nil
}

// ownerOf sets the user whose mailbox was proven: the one who has it, else the visitor, else
// a new one where registration allows. Proving a mailbox verifies it.
func (e *Engine) ownerOf(ctx context.Context, v Visitor, c *candidate, folded string) error {
	u, rev, err := e.accounts.ByEmail(ctx, folded)
	switch {
	case err == nil:
		c.user, c.rev = u, rev
		m := c.user.Email(e.accounts.EmailID(folded))
		if m == nil || m.Verified {
			return nil
		}
		if v.Session == nil && account.LocksPassword(&c.user, m) {
			locked := *c.user.Password
			locked.MustReset = true
			c.user.Password = &locked
		}
		verify(&c.user, m.ID, e.db.Now())
		c.edited = true
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	case v.Session != nil:
		if _, err := e.mayChange(ctx, v, account.ChangeMaxAge); err != nil {
			return err
		}
		c.user, c.rev, err = e.user(ctx, v)
		if err != nil {
			return err
		}
		c.edited = true
		return e.accounts.AddEmail(ctx, &c.change, &c.user, folded, true)
	case e.opts.Registration.allows(folded):
		c.created = true
		c.user, err = e.accounts.Add(ctx, &c.change, account.NewUser{Email: folded, Verified: true}, nil)
		return err
	}
	return ErrOTPIncorrect
}

func codeRefusal(err error) error {
	switch {
	case errors.Is(err, factors.ErrExpired):
		return ErrOTPExpired
	case errors.Is(err, factors.ErrUsed):
		return ErrOTPUsed
	case errors.Is(err, factors.ErrMalformed):
		return ErrInvalidCode
	case errors.Is(err, factors.ErrIncorrect):
		return ErrOTPIncorrect
	}
	return err
}
