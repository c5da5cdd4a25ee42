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

// maxAsked bounds the links of a browser whose codes can be typed; older ones are dropped.
const maxAsked = 5

// askedLinks are the live links that a browser asked for, the newest last.
type askedLinks struct {
	Names []string `cbor:"1,keyasint"`
	// ExpiresAt is when the last of the links that were asked for expires.
	ExpiresAt time.Time `cbor:"2,keyasint"`
}

// SendLink mails a sign-in link to an address and returns the email_id. The link works in the
// visitor's browser, and goes on with the flow, which may be empty. The answer is the same
// whether or not the address belongs to an account; a message goes out only if a link could be
// of use.
func (e *Engine) SendLink(ctx context.Context, v Visitor, email, flow string) (methodID string, err error) {
	switch {
	case !e.Offers(factors.MagicLink):
		return "", ErrNotOffered
	case v.Origin == "":
		return "", ErrNoOrigin
	case v.Browser == "":
		return "", ErrNoBrowser
	}
	folded, key, known, err := e.lookup(ctx, email)
	if err != nil {
		return "", err
	}
	if err := e.accounts.TakeSend(ctx, folded, v.IP); err != nil {
		return "", asError(err)
	}
	life := v.lifeFor(key, e.opts.LinkLife)
	token, link, err := magiclink.New(e.rand, e.db.Now(), life, folded, v.Browser)
	if err != nil {
		return "", asError(err)
	}
	link.Flow = flow
	name, _ := magiclink.TokenID(token)
	c, err := e.ask(ctx, v.Browser, name, link)
	if err != nil {
		return "", asError(err)
	}
	id := e.accounts.EmailID(folded)
	if !known && v.Session == nil && !e.opts.Registration.allows(folded) {
		return id, asError(e.db.Apply(ctx, c))
	}
	m, err := delivery.MagicLink(delivery.Letter{
		To: folded, Site: e.opts.Issuer, Host: e.place(v), Link: v.Origin + "/.stepgate/link/" + token, Life: life,
	})
	if err != nil {
		return "", asError(err)
	}
	return id, e.send(ctx, c, m, link.ExpiresAt)
}

// ask notes that a browser asks for a link, and returns the change that makes it.
func (e *Engine) ask(ctx context.Context, browser, name string, link magiclink.Link) (c store.Change, err error) {
	if err := e.links.Insert(&c, name, link, link.ExpiresAt); err != nil {
		return c, err
	}
	var dropped []string
	err = e.asked.Update(ctx, e.askedKey(browser), func(r *askedLinks, _ bool) (time.Time, error) {
		r.Names = append(r.Names, name)
		over := max(0, len(r.Names)-maxAsked)
		dropped, r.Names = r.Names[:over], r.Names[over:]
		if link.ExpiresAt.After(r.ExpiresAt) { // a link sent in a session may be shorter-lived than one before
			r.ExpiresAt = link.ExpiresAt
		}
		return r.ExpiresAt, nil
	})
	for _, old := range dropped {
		e.links.Delete(&c, old)
	}
	return c, err
}

func (e *Engine) askedKey(browser string) string {
	return e.db.Keyring().Index("links of a browser", browser)
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
	name, err := e.linkOfCode(ctx, v.Browser, code)
	if err != nil {
		return Result{}, e.failed(ctx, v, account.Attempt{}, err)
	}
	return e.authenticateLink(ctx, v, name)
}

// linkOfCode finds the link of a browser by its short code. Every code that is typed is counted
// at all links of the browser before it is looked at, and five wrong ones burn a link.
func (e *Engine) linkOfCode(ctx context.Context, browser, code string) (name string, err error) {
	if browser == "" {
		return "", ErrLinkNotFound
	}
	asked, _, err := e.asked.Get(ctx, e.askedKey(browser))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	refused := ErrLinkNotFound
	for _, one := range asked.Names {
		var link magiclink.Link
		err := e.links.Update(ctx, one, func(l *magiclink.Link, exists bool) (time.Time, error) {
			if !exists || !l.Try() {
				return time.Time{}, store.ErrNotFound
			}
			link = *l
			return l.ExpiresAt, nil
		})
		switch {
		case errors.Is(err, store.ErrNotFound): // used, too old, or burnt
		case err != nil:
			return "", err
		case link.Matches(code):
			name = one
		case link.Tries < magiclink.MaxTries:
			refused = ErrLinkCodeIncorrect
		default:
			var c store.Change
			e.links.Delete(&c, one)
			if err := e.db.Apply(ctx, c); err != nil {
				return "", err
			}
		}
	}
	if name == "" {
		return "", refused
	}
	return name, nil
}

// authenticateLink spends a link. Links carry 256 random bits and their codes belong to one
// browser and have a budget of their own, so that no lock of an account stops them and no guess
// counts against one.
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
		_, known, err := e.holder(ctx, "", sentCode{Email: link.Email})
		if err != nil {
			return candidate{}, err
		}
		enrolled = ""
		if !known {
			enrolled = link.Email
		}
		if err := e.ownerOf(ctx, v, &c, link.Email, link.CreatedAt); errors.Is(err, ErrOTPExpired) {
			return candidate{}, ErrLinkNotFound
		} else if err != nil {
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
