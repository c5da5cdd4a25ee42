package flow

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/recovery"
	"github.com/stepgate/stepgate/factors/totp"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/store"
)

// TOTPEnrolment is what an authenticator app needs. It is shown once.
type TOTPEnrolment struct {
	ID     string
	Secret string
	URI    string
	// QR is the code as an SVG element, QRImage as a PNG in a data URI.
	QR      string
	QRImage string
}

// StartTOTP begins the enrolment of an authenticator app. It counts only once a code was
// proven; until then an app that is enrolled already stays.
func (e *Engine) StartTOTP(ctx context.Context, v Visitor) (TOTPEnrolment, error) {
	if !e.Offers(factors.TOTP) {
		return TOTPEnrolment{}, ErrNotOffered
	}
	u, err := e.mayEnrol(ctx, v)
	if err != nil {
		return TOTPEnrolment{}, err
	}
	id, err := uuid.NewRandomFromReader(e.rand)
	if err != nil {
		return TOTPEnrolment{}, asError(err)
	}
	pending, err := totp.New("totp-"+id.String(), e.rand, e.db.Now())
	if err != nil {
		return TOTPEnrolment{}, asError(err)
	}
	if _, err := e.change(ctx, v, account.ChangeMaxAge, func(u *account.User, _ *store.Change) error {
		u.PendingTOTP = &pending
		return account.MayAddSecond(u)
	}); err != nil {
		return TOTPEnrolment{}, err
	}
	return e.showTOTP(&u, &pending)
}

func (e *Engine) showTOTP(u *account.User, c *totp.Credential) (TOTPEnrolment, error) {
	uri := c.URI(e.opts.Issuer, u.PrimaryEmail().Address)
	svg, png, err := totp.QR(uri)
	if err != nil {
		return TOTPEnrolment{}, asError(err)
	}
	return TOTPEnrolment{ID: c.ID, Secret: c.SecretText(), URI: uri, QR: svg, QRImage: png}, nil
}

// AuthenticateTOTP proves the visitor's authenticator app by a code. The first right code of
// an app that is being enrolled activates it and returns recovery codes.
func (e *Engine) AuthenticateTOTP(ctx context.Context, v Visitor, code string) (Result, error) {
	if !e.Offers(factors.TOTP) {
		return Result{}, ErrNotOffered
	}
	u, _, err := e.user(ctx, v)
	if err != nil {
		return Result{}, err
	}
	if !factors.SixDigits(code) {
		return Result{}, ErrInvalidCode
	}
	if u.TOTP == nil && (u.PendingTOTP == nil || u.PendingTOTP.Expired(e.db.Now())) {
		return Result{}, ErrTOTPNotFound
	}
	id := ""
	if u.TOTP != nil {
		id = u.TOTP.ID
	}
	try := account.Try{Account: u.ID, Known: true, Product: factors.TOTP, Credential: id, Browser: v.Browser}
	at, err := e.accounts.TakeAttempt(ctx, try)
	active := !errors.Is(err, account.ErrDisabled)
	if !active && u.PendingTOTP != nil {
		try.Credential = u.PendingTOTP.ID
		at, err = e.accounts.TakeAttempt(ctx, try)
	}
	if err != nil {
		return Result{}, asError(err)
	}
	var shown []string
	result, err := e.AddProof(ctx, v, at, func(ctx context.Context) (candidate, error) {
		c, codes, err := e.verifyTOTP(ctx, v, code, active)
		shown = codes
		return c, err
	})
	if err != nil {
		return Result{}, err
	}
	if shown != nil {
		result.RecoveryCodes = shown
		v.Session = result.Session
		e.record(v, audit.Event{Kind: audit.FactorAdded, Factor: string(factors.TOTP)})
		return result, e.notify(ctx, u.ID, noticeFactorAdded("an authenticator app"), v)
	}
	return result, nil
}

// verifyTOTP tries the active app and then one that is being enrolled.
func (e *Engine) verifyTOTP(ctx context.Context, v Visitor, code string, active bool) (candidate, []string, error) {
	u, rev, err := e.user(ctx, v)
	if err != nil {
		return candidate{}, nil, err
	}
	now := e.db.Now()
	c := candidate{user: u, rev: rev, edited: true}
	refused := error(ErrTOTPIncorrect)
	if u.TOTP != nil && active {
		step, err := u.TOTP.Verify(code, now)
		if err == nil {
			used := *u.TOTP
			used.Step = step
			c.user.TOTP = &used
			c.proof = factors.Proof{Product: factors.TOTP, UserID: u.ID, CredentialID: used.ID, AuthenticatedAt: now}
			return c, nil, nil
		}
		refused = totpRefusal(err)
	}
	if p := u.PendingTOTP; p != nil && !p.Expired(now) {
		step, err := p.Verify(code, now)
		if err != nil {
			if u.TOTP == nil {
				refused = totpRefusal(err)
			}
			return candidate{}, nil, refused
		}
		codes, err := e.activate(v, &c, step)
		return c, codes, err
	}
	return candidate{}, nil, refused
}

// activate makes the pending app the active one. The rules for enrolling are judged again:
// the session may have aged since the enrolment began.
func (e *Engine) activate(v Visitor, c *candidate, step int64) ([]string, error) {
	now := e.db.Now()
	if err := e.mayChangeUser(v, &c.user, account.ChangeMaxAge); err != nil {
		return nil, err
	}
	if err := account.MayAddSecond(&c.user); err != nil {
		return nil, err
	}
	codes, set, err := recovery.New(e.rand, now)
	if err != nil {
		return nil, err
	}
	if c.user.TOTP != nil {
		c.drop = append(c.drop, c.user.TOTP.ID)
	}
	confirmed := *c.user.PendingTOTP
	confirmed.Step, confirmed.ConfirmedAt = step, now
	c.user.TOTP, c.user.PendingTOTP, c.user.Recovery = &confirmed, nil, &set
	c.proof = factors.Proof{Product: factors.TOTP, UserID: c.user.ID, CredentialID: confirmed.ID, AuthenticatedAt: now}
	return codes, nil
}

func totpRefusal(err error) error {
	switch {
	case errors.Is(err, factors.ErrUsed):
		return ErrTOTPUsed
	case errors.Is(err, factors.ErrMalformed):
		return ErrInvalidCode
	case errors.Is(err, factors.ErrIncorrect):
		return ErrTOTPIncorrect
	}
	return err
}

// AuthenticateRecoveryCode spends a recovery code in place of the authenticator app. The
// result carries the code that takes its place on the user's list.
func (e *Engine) AuthenticateRecoveryCode(ctx context.Context, v Visitor, code string) (Result, error) {
	if !e.Offers(factors.RecoveryCode) {
		return Result{}, ErrNotOffered
	}
	u, _, err := e.user(ctx, v)
	if err != nil {
		return Result{}, err
	}
	if !recovery.WellFormed(code) {
		return Result{}, ErrInvalidRecoveryCode
	}
	at, err := e.accounts.TakeAttempt(ctx, account.Try{
		Account: u.ID, Known: true, Product: factors.RecoveryCode, Credential: account.RecoveryID(u.ID), Browser: v.Browser,
	})
	if err != nil {
		return Result{}, asError(err)
	}
	var fresh string
	result, err := e.AddProof(ctx, v, at, func(ctx context.Context) (candidate, error) {
		u, rev, err := e.user(ctx, v)
		if err != nil {
			return candidate{}, err
		}
		if u.Recovery == nil {
			return candidate{}, ErrRecoveryIncorrect
		}
		now := e.db.Now()
		id, err := u.Recovery.Verify(code)
		if err != nil {
			return candidate{}, with(ErrRecoveryIncorrect, err, 0)
		}
		text, set, err := u.Recovery.Replace(id, e.rand)
		if err != nil {
			return candidate{}, err
		}
		fresh = text
		u.Recovery = &set
		return candidate{user: u, rev: rev, edited: true, proof: factors.Proof{
			Product: factors.RecoveryCode, UserID: u.ID, CredentialID: id, AuthenticatedAt: now,
		}}, nil
	})
	if err != nil {
		return Result{}, err
	}
	result.RecoveryCodes = []string{fresh}
	v.Session = result.Session
	return result, e.notify(ctx, u.ID, noticeRecoveryUsed, v)
}

// RenewRecoveryCodes replaces all recovery codes of the visitor and returns the new ones.
func (e *Engine) RenewRecoveryCodes(ctx context.Context, v Visitor) ([]string, error) {
	u, err := e.mayChange(ctx, v, account.ChangeMaxAge)
	if err != nil {
		return nil, err
	}
	if u.TOTP == nil {
		return nil, ErrTOTPNotFound
	}
	codes, set, err := recovery.New(e.rand, e.db.Now())
	if err != nil {
		return nil, asError(err)
	}
	if _, err := e.change(ctx, v, account.ChangeMaxAge, func(u *account.User, _ *store.Change) error {
		u.Recovery = &set
		return nil
	}); err != nil {
		return nil, err
	}
	e.record(v, audit.Event{Kind: audit.FactorAdded, Factor: string(factors.RecoveryCode)})
	return codes, e.notify(ctx, u.ID, noticeRecoveryRenewed, v)
}
