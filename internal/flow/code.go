package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/otp"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/store"
)

// confirmLife bounds the life of a code that confirms a new address or number.
const confirmLife = 5 * time.Minute

// sentCode is the one live code of an address or a number. Its key is the method_id, so that
// a newer code replaces the older one, and so that addresses without an account have one as
// well.
type sentCode struct {
	Challenge otp.Challenge `cbor:"1,keyasint"`
	// Email or Phone is where the code went.
	Email string `cbor:"2,keyasint,omitempty"`
	Phone string `cbor:"3,keyasint,omitempty"`
	// Product is what the code proves; empty means an e-mail code.
	Product factors.Product `cbor:"4,keyasint,omitempty"`
}

func (s sentCode) product() factors.Product {
	if s.Product == "" {
		return factors.EmailOTP
	}
	return s.Product
}

// what is how notices call the thing that the code went to.
func (s sentCode) what() string {
	if s.Phone != "" {
		return "the phone number " + s.Phone
	}
	return "the e-mail address " + s.Email
}

// until is how long the record is kept. It outlives the code, so that an expired code is
// told from a wrong one.
func (s sentCode) until() time.Time {
	return s.Challenge.ExpiresAt.Add(s.Challenge.ExpiresAt.Sub(s.Challenge.CreatedAt))
}

// SendEmailCode mails a code to an address and returns the method_id to prove it with. The
// answer is the same whether or not the address belongs to an account; a message goes out
// only if a code could be of use.
func (e *Engine) SendEmailCode(ctx context.Context, v Visitor, email string) (methodID string, err error) {
	if !e.Offers(factors.EmailOTP) {
		return "", ErrNotOffered
	}
	return e.sendEmailCode(ctx, v, email, e.opts.CodeLife, delivery.EmailCode)
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
	return e.sendEmailCode(ctx, v, folded, min(e.opts.CodeLife, confirmLife), delivery.EmailConfirmation)
}

// lifeFor is how long a code or link works that is sent to the mailbox of a key of lookup. In a
// session, an address that is not the user's own could become it, and lives as short as one:
// also that of another account, which could be told from an address of nobody otherwise.
func (v Visitor) lifeFor(key string, life time.Duration) time.Duration {
	if v.Session != nil && v.Session.UserID != key {
		return min(life, confirmLife)
	}
	return life
}

func (e *Engine) sendEmailCode(ctx context.Context, v Visitor, email string, life time.Duration, compose func(delivery.Letter) (delivery.Message, error)) (string, error) {
	folded, key, known, err := e.lookup(ctx, email)
	if err != nil {
		return "", err
	}
	if err := e.accounts.TakeSend(ctx, folded, v.IP); err != nil {
		return "", asError(err)
	}
	life = v.lifeFor(key, life)
	useful := known || v.Session != nil || e.opts.Registration.allows(folded)
	sent := sentCode{Email: folded, Product: factors.EmailOTP}
	return e.sendCode(ctx, v, e.accounts.EmailID(folded), folded, sent, life, useful, compose)
}

// sendCode stores a code under its method_id and sends it, if it is of any use.
func (e *Engine) sendCode(ctx context.Context, v Visitor, id, to string, sent sentCode, life time.Duration, useful bool, compose func(delivery.Letter) (delivery.Message, error)) (string, error) {
	code, challenge, err := otp.New(e.rand, e.db.Now(), life)
	if err != nil {
		return "", asError(err)
	}
	sent.Challenge = challenge
	var c store.Change
	if err := e.codes.Put(&c, id, sent, sent.until()); err != nil {
		return "", asError(err)
	}
	if !useful {
		return id, asError(e.db.Apply(ctx, c))
	}
	m, err := compose(delivery.Letter{To: to, Site: e.opts.Issuer, Host: e.place(v), Code: code, Life: life})
	if err != nil {
		return "", asError(err)
	}
	return id, e.send(ctx, c, m, challenge.ExpiresAt)
}

// AuthenticateCode proves a mailbox or a phone number by a code sent to it. In a session, one
// that nobody has becomes the user's, under the rules for changing factors.
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
	key, known, err := e.holder(ctx, methodID, sent)
	if err != nil {
		return Result{}, err
	}
	at, err := e.accounts.TakeAttempt(ctx, account.Try{Account: key, Known: known, Product: sent.product(), Browser: v.Browser})
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
	return result, e.added(ctx, v, sent.product(), methodID, sent.what())
}

// added records that something was enrolled and tells the owner.
func (e *Engine) added(ctx context.Context, v Visitor, p factors.Product, id, what string) error {
	e.record(v, audit.Event{Kind: audit.FactorAdded, Factor: string(p), CredentialID: id})
	return e.notify(ctx, v.Session.UserID, noticeFactorAdded(what), v)
}

// holder returns the account under which attempts at a code are counted: the user, or the
// address when it belongs to nobody, so that both lock alike.
func (e *Engine) holder(ctx context.Context, methodID string, sent sentCode) (key string, known bool, err error) {
	kind, what := account.OwnedEmail, sent.Email
	if sent.Phone != "" {
		kind, what = account.OwnedPhone, sent.Phone
	}
	u, _, err := e.accounts.Owner(ctx, kind, what)
	if errors.Is(err, store.ErrNotFound) {
		return "nobody-" + methodID, false, nil
	}
	return u.ID, err == nil, asError(err)
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
	if err := e.codes.Replace(&c.change, methodID, rev, sent, sent.until()); err != nil {
		return candidate{}, err
	}
	if sent.Phone != "" {
		err = e.ownerOfPhone(ctx, v, &c, sent.Phone, sent.Challenge.CreatedAt)
	} else {
		err = e.ownerOf(ctx, v, &c, sent.Email, sent.Challenge.CreatedAt)
	}
	if err != nil {
		return candidate{}, err
	}
	c.proof = factors.Proof{
		Product: sent.product(), UserID: c.user.ID, CredentialID: methodID, EmailAddress: sent.Email, PhoneNumber: sent.Phone,
		AuthenticatedAt: now,
	}
	return c, nil
}

// ownerOf sets the user whose mailbox was proven: the one who has it, else the visitor, else
// a new one where registration allows. Proving a mailbox verifies it. The error is ErrOTPExpired
// for what was mailed too early.
func (e *Engine) ownerOf(ctx context.Context, v Visitor, c *candidate, folded string, mailed time.Time) error {
	u, rev, err := e.accounts.ByEmail(ctx, folded)
	switch {
	case err == nil:
		c.user, c.rev = u, rev
		m := c.user.Email(e.accounts.EmailID(folded))
		switch {
		case m == nil || tooEarly(&u, mailed, m.CreatedAt):
			return ErrOTPExpired
		case m.Verified:
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
		if err := e.editing(ctx, v, c); err != nil {
			return err
		}
		return e.accounts.AddEmail(ctx, &c.change, &c.user, folded, true)
	case e.opts.Registration.allows(folded):
		c.created = true
		c.user, err = e.accounts.Add(ctx, &c.change, account.NewUser{Email: folded, Verified: true}, nil)
		return err
	}
	return ErrOTPIncorrect
}

// tooEarly tells whether something was sent to an address or a number before it was the user's, or
// before LinksSince: whoever has it by now may be somebody else.
func tooEarly(u *account.User, sent, owned time.Time) bool {
	return sent.Before(owned) || sent.Before(u.LinksSince)
}

// editing makes the visitor's own account the one that a candidate changes, if the rules for
// changing factors allow.
func (e *Engine) editing(ctx context.Context, v Visitor, c *candidate) error {
	var err error
	if c.user, c.rev, err = e.user(ctx, v); err != nil {
		return err
	}
	c.edited = true
	return e.mayChangeUser(v, &c.user, account.ChangeMaxAge)
}

// enrolling is editing for a factor that makes the account stronger.
func (e *Engine) enrolling(ctx context.Context, v Visitor, c *candidate) error {
	if err := e.editing(ctx, v, c); err != nil {
		return err
	}
	return asError(account.MayAddSecond(&c.user))
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
