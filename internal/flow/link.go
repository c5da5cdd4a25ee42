package flow

import (
	"context"
	"errors"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/magiclink"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/store"
)

// linkRef finds the link of a browser by its short code.
type linkRef struct {
	Link string `cbor:"1,keyasint"`
}

// SendLink mails a sign-in link to an address and returns the email_id. The link works in the
// visitor's browser, and goes on with the flow, which may be empty. The answer is the same
// whether or not the address belongs to an account.
func (e *Engine) SendLink(ctx context.Context, v Visitor, email, flow string) (methodID string, err error) {
	switch {
	case !e.Offers(factors.MagicLink):
		return "", ErrNotOffered
	case v.Origin == "":
		return "", ErrNoOrigin
	case v.Browser == "":
		return "", ErrNoBrowser
	}
	folded, _, known, err := e.lookup(ctx, email)
	if err != nil {
		return "", err
	}
	if err := e.accounts.TakeSend(ctx, folded, v.IP); err != nil {
		return "", asError(err)
	}
	id := e.accounts.EmailID(folded)
	if !known && v.Session == nil && !e.opts.Registration.allows(folded) {
		return id, nil
	}
	token, link, err := magiclink.New(e.rand, e.db.Now(), e.opts.LinkLife, folded, v.Browser)
	if err != nil {
		return "", asError(err)
	}
	link.Flow = flow
	var c store.Change
	name, _ := magiclink.TokenID(token)
	if err := e.links.Insert(&c, name, link, link.ExpiresAt); err != nil {
		return "", asError(err)
	}
	if err := e.linkCodes.Put(&c, e.linkCode(v.Browser, link.Code), linkRef{Link: name}, link.ExpiresAt); err != nil {
		return "", asError(err)
	}
	m, err := delivery.MagicLink(delivery.Letter{
		To: folded, Site: e.opts.Issuer, Host: e.place(v), Link: v.Origin + "/.stepgate/link/" + token, Life: e.opts.LinkLife,
	})
	if err != nil {
		return "", asError(err)
	}
	return id, e.send(ctx, c, m, link.ExpiresAt)
}

// linkCode is the key of a short code: it is known in one browser only.
func (e *Engine) linkCode(browser, code string) string {
	return e.db.Keyring().Index("link code", browser+"\x00"+code)
}

// LinkView is what the page of a link shows. Opening it spends nothing.
type LinkView struct {
	Email string
	// Code is what to type in the browser that asked; empty in that browser.
	Code string
	// Flow is the flow that the link goes on with.
	Flow string
}

// Link returns what a link stands for.
func (e *Engine) Link(ctx context.Context, v Visitor, token string) (LinkView, error) {
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return LinkView{}, asError(err)
	}
	name, ok := magiclink.TokenID(token)
	if !ok {
		return LinkView{}, e.failed(ctx, v, account.Attempt{}, ErrLinkNotFound)
	}
	link, _, err := e.links.Get(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return LinkView{}, e.failed(ctx, v, account.Attempt{}, ErrLinkNotFound)
	}
	if err != nil {
		return LinkView{}, asError(err)
	}
	if link.Here(v.Browser) {
		return LinkView{Email: link.Email, Flow: link.Flow}, nil
	}
	return LinkView{Email: account.MaskEmail(link.Email), Code: link.Shown()}, nil
}

// AuthenticateLink proves a mailbox by the token of a link mailed to it, in the browser that
// asked for the link.
func (e *Engine) AuthenticateLink(ctx context.Context, v Visitor, token string) (Result, error) {
	name, ok := magiclink.TokenID(token)
	if !ok {
		return Result{}, e.failed(ctx, v, account.Attempt{}, ErrLinkNotFound)
	}
	return e.authenticateLink(ctx, v, name)
}

// AuthenticateLinkCode proves a mailbox by the short code that a link showed in another
// browser or on another device.
func (e *Engine) AuthenticateLinkCode(ctx context.Context, v Visitor, text string) (Result, error) {
	code, err := magiclink.FoldCode(text)
	if err != nil {
		return Result{}, with(ErrInvalidLinkCode, err, 0)
	}
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return Result{}, asError(err)
	}
	ref, _, err := e.linkCodes.Get(ctx, e.linkCode(v.Browser, code))
	if errors.Is(err, store.ErrNotFound) || v.Browser == "" {
		return Result{}, e.failed(ctx, v, account.Attempt{}, ErrLinkCodeIncorrect)
	}
	if err != nil {
		return Result{}, asError(err)
	}
	return e.authenticateLink(ctx, v, ref.Link)
}

// authenticateLink spends a link. Links carry 256 random bits and their codes belong to one
// browser, so that no lock of an account stops them and no guess counts against one.
func (e *Engine) authenticateLink(ctx context.Context, v Visitor, name string) (Result, error) {
	if !e.Offers(factors.MagicLink) {
		return Result{}, ErrNotOffered
	}
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return Result{}, asError(err)
	}
	var enrolled string
	result, err := e.AddProof(ctx, v, account.Attempt{}, func(ctx context.Context) (candidate, error) {
		link, rev, err := e.links.Get(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			return candidate{}, ErrLinkNotFound
		}
		if err != nil {
			return candidate{}, err
		}
		now := e.db.Now()
		if err := link.Verify(v.Browser, now); err != nil {
			return candidate{}, linkRefusal(err)
		}
		var c candidate
		e.links.Require(&c.change, name, rev)
		e.links.Delete(&c.change, name)
		e.linkCodes.Delete(&c.change, e.linkCode(v.Browser, link.Code))
		_, known, err := e.holder(ctx, "", sentCode{Email: link.Email})
		if err != nil {
			return candidate{}, err
		}
		enrolled = ""
		if !known {
			enrolled = link.Email
		}
		if err := e.ownerOf(ctx, v, &c, link.Email); err != nil {
			return candidate{}, err
		}
		c.proof = factors.Proof{
			Product: factors.MagicLink, UserID: c.user.ID, CredentialID: e.accounts.EmailID(link.Email),
			EmailAddress: link.Email, AuthenticatedAt: now,
		}
		return c, nil
	})
	if err != nil || enrolled == "" {
		return result, err
	}
	v.Session = result.Session
	return result, e.added(ctx, v, factors.MagicLink, e.accounts.EmailID(enrolled), "the e-mail address "+enrolled)
}

func linkRefusal(err error) error {
	switch {
	case errors.Is(err, factors.ErrExpired):
		return with(ErrLinkNotFound, err, 0)
	case errors.Is(err, factors.ErrIncorrect):
		return with(ErrOtherBrowser, err, 0)
	}
	return err
}

// LinkExpires is when a link that is sent now stops working.
func (e *Engine) LinkExpires() time.Time { return e.db.Now().Add(e.opts.LinkLife) }
