package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/store"
)

// SendPhoneCode sends a code by SMS or WhatsApp to a number and returns the method_id to prove
// it with. The answer is the same whether or not the number belongs to an account. A message
// goes out only to a number that is enrolled.
func (e *Engine) SendPhoneCode(ctx context.Context, v Visitor, p factors.Product, number string) (methodID string, err error) {
	folded, err := e.foldPhone(p, number)
	if err != nil {
		return "", err
	}
	u, _, err := e.accounts.Owner(ctx, account.OwnedPhone, folded)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", asError(err)
	}
	useful := err == nil && !u.Locked() && (v.Session == nil || v.Session.UserID == u.ID)
	return e.sendPhoneCode(ctx, v, p, folded, e.opts.CodeLife, useful)
}

// AddPhone sends a code to a number that the visitor's account shall have. The number belongs
// to the account once the code is proven.
func (e *Engine) AddPhone(ctx context.Context, v Visitor, p factors.Product, number string) (methodID string, err error) {
	u, err := e.mayEnrol(ctx, v)
	if err != nil {
		return "", err
	}
	folded, err := e.foldPhone(p, number)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(u.Phones, func(p account.Phone) bool { return p.Number == folded }) {
		return "", ErrDuplicatePhone
	}
	return e.sendPhoneCode(ctx, v, p, folded, min(e.opts.CodeLife, confirmLife), true)
}

func (e *Engine) foldPhone(p factors.Product, number string) (string, error) {
	if !e.Offers(p) || p != factors.SMSOTP && p != factors.WhatsAppOTP {
		return "", ErrNotOffered
	}
	folded, country, err := account.FoldPhone(number)
	if err != nil {
		return "", asError(err)
	}
	// Numbers of no country are those of satellites and the like, which cost a fortune.
	if country == "" || len(e.opts.Countries) > 0 && !slices.Contains(e.opts.Countries, country) {
		return "", ErrCountry
	}
	return folded, nil
}

func (e *Engine) sendPhoneCode(ctx context.Context, v Visitor, p factors.Product, number string, life time.Duration, useful bool) (string, error) {
	user := ""
	if v.Session != nil {
		user = v.Session.UserID
	}
	if err := e.accounts.TakeText(ctx, number, user, v.IP); err != nil {
		return "", asError(err)
	}
	compose := delivery.SMSCode
	if p == factors.WhatsAppOTP {
		compose = delivery.WhatsAppCode
	}
	return e.sendCode(ctx, v, e.accounts.PhoneID(number), number, sentCode{Phone: number, Product: p}, life, useful, compose)
}

// ownerOfPhone sets the user whose number was proven: the one who has it, else the visitor. The
// error is ErrOTPExpired for a text that was sent too early.
func (e *Engine) ownerOfPhone(ctx context.Context, v Visitor, c *candidate, number string, texted time.Time) error {
	u, rev, err := e.accounts.Owner(ctx, account.OwnedPhone, number)
	switch {
	case err == nil:
		c.user, c.rev = u, rev
		if p := u.Phone(e.accounts.PhoneID(number)); p == nil || tooEarly(&u, texted, p.VerifiedAt) {
			return ErrOTPExpired
		}
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	case v.Session == nil:
		return ErrOTPIncorrect
	}
	if err := e.enrolling(ctx, v, c); err != nil {
		return err
	}
	return e.accounts.AddPhone(ctx, &c.change, &c.user, number)
}
