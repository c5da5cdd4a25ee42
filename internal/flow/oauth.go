package flow

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/oauth"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/store"
)

// oauthAttempt is a sign-in under way at an identity provider. Its key stands for its state.
type oauthAttempt struct {
	Attempt oauth.Attempt `cbor:"1,keyasint"`
	// Browser is the one that began; nobody else can finish.
	Browser string `cbor:"2,keyasint"`
	// Family is the session that the identity shall be added to; empty to start one.
	Family string `cbor:"3,keyasint,omitempty"`
	// Flow is what goes on afterwards.
	Flow string `cbor:"4,keyasint,omitempty"`
}

// Providers lists the identity providers in the order in which pages offer them.
func (e *Engine) Providers() []*oauth.Provider {
	if !e.Offers(factors.OAuth) {
		return nil
	}
	return e.providers
}

func (e *Engine) provider(name string) (*oauth.Provider, error) {
	for _, p := range e.Providers() {
		if p.Name() == name {
			return p, nil
		}
	}
	return nil, ErrNotOffered
}

// CallbackPath is where an identity provider sends people back to.
func CallbackPath(provider string) string { return "/.stepgate/api/v1/oauth/" + provider + "/callback" }

// PostedAnswer is what a provider posted, as the query of a request for its callback that the
// browser makes by GET. Nothing is judged but that no token is among it, and nothing twice.
func PostedAnswer(form url.Values) (url.Values, error) {
	if err := oauth.CheckAnswer(form); err != nil {
		return nil, with(ErrOAuthRefused, err, 0)
	}
	answer := make(url.Values)
	for _, name := range []string{"state", "code", "iss", "error", "error_description"} {
		if form.Has(name) {
			answer[name] = form[name]
		}
	}
	return answer, nil
}

// StartOAuth begins a sign-in at an identity provider and returns the address to go to. The
// flow, which may be empty, goes on afterwards.
func (e *Engine) StartOAuth(ctx context.Context, v Visitor, provider, flow string) (to string, err error) {
	p, err := e.provider(provider)
	if err != nil {
		return "", err
	}
	switch {
	case v.Origin == "":
		return "", ErrNoOrigin
	case v.Browser == "":
		return "", ErrNoBrowser
	}
	if err := e.accounts.TakeChallenge(ctx, v.IP); err != nil {
		return "", asError(err)
	}
	attempt, to, err := p.Begin(ctx, e.rand, e.db.Now(), v.Origin+CallbackPath(provider), e.maxAgeOf(v, flow))
	if err != nil {
		return "", e.providerRefusal(err)
	}
	kept := oauthAttempt{Attempt: attempt, Browser: e.browserMark(v), Flow: flow}
	if v.Session != nil {
		kept.Family = v.Session.Family
	}
	var c store.Change
	if err := e.attempts.Insert(&c, e.stateKey(attempt.State), kept, attempt.ExpiresAt); err != nil {
		return "", asError(err)
	}
	return to, asError(e.db.Apply(ctx, c))
}

// maxAgeOf is how old the provider's own proof may be for a flow: as old as the flow asks an
// identity to be; 0 when it does not matter.
func (e *Engine) maxAgeOf(v Visitor, flow string) time.Duration {
	if v.Session == nil {
		return 0
	}
	v.Flow = flow
	required := e.required(v)
	var age time.Duration
	for _, set := range required.MissingAhead(e.subject(v), e.db.Now(), e.db.Now(), nil) {
		for _, need := range set {
			base, _, _ := strings.Cut(need.Factor, ":")
			if base == string(factors.OAuth) && need.MaxAge > 0 && (age == 0 || need.MaxAge < age) {
				age = need.MaxAge
			}
		}
	}
	return age
}

func (e *Engine) stateKey(state string) string { return e.db.Keyring().Index("oauth state", state) }

// FinishOAuth proves an identity by what its provider sent back. In a session, an identity that
// nobody has becomes the user's, under the rules for changing factors; without one, it opens
// the account that it is linked to or whose proven mailbox the provider vouches for. The flow
// that goes on is returned with an error too, once the attempt is known to be the visitor's.
func (e *Engine) FinishOAuth(ctx context.Context, v Visitor, provider string, callback url.Values) (r Result, flow string, err error) {
	p, err := e.provider(provider)
	if err != nil {
		return Result{}, "", err
	}
	if err := e.accounts.MayTry(ctx, v.IP); err != nil {
		return Result{}, "", asError(err)
	}
	kept, err := e.oauthAttempt(ctx, v, provider, callback["state"])
	if err != nil {
		return Result{}, kept.Flow, e.failed(ctx, v, account.Attempt{}, err)
	}
	v.Flow = kept.Flow
	identity, err := p.Finish(ctx, e.db.Now(), kept.Attempt, callback)
	if err != nil {
		return Result{}, kept.Flow, e.failed(ctx, v, account.Attempt{}, e.providerRefusal(err))
	}
	id, enrolled := e.accounts.IdentityID(identity.Issuer, identity.Subject), false
	r, err = e.AddProof(ctx, v, account.Attempt{}, func(ctx context.Context) (candidate, error) {
		c, fresh, err := e.ownerOfIdentity(ctx, v, p, identity)
		if err != nil {
			return candidate{}, err
		}
		enrolled = fresh
		c.proof = factors.Proof{
			Product: factors.OAuth, Variant: provider, UserID: c.user.ID, CredentialID: id, AuthenticatedAt: e.db.Now(),
			ProviderType: p.Type(), ProviderSubject: identity.Subject,
		}
		if folded, err := account.FoldEmail(identity.Email); err == nil && identity.EmailVerified {
			if m := c.user.Email(e.accounts.EmailID(folded)); m != nil {
				c.proof.EmailID = m.ID
			}
		}
		return c, nil
	})
	if err != nil || !enrolled {
		return r, kept.Flow, err
	}
	v.Session = r.Session
	return r, kept.Flow, e.added(ctx, v, factors.OAuth, id, "sign-in with "+p.Label())
}

// oauthAttempt takes the attempt that a callback belongs to: once, and only for the browser
// and the session that began it. When another tab has signed in meanwhile, the error is
// ErrSessionChanged, and only the flow of the attempt is of use.
func (e *Engine) oauthAttempt(ctx context.Context, v Visitor, provider string, state []string) (oauthAttempt, error) {
	if len(state) != 1 || state[0] == "" || v.Browser == "" {
		return oauthAttempt{}, ErrOAuthState
	}
	kept, _, err := e.attempts.Get(ctx, e.stateKey(state[0]))
	if errors.Is(err, store.ErrNotFound) {
		return oauthAttempt{}, ErrOAuthState
	}
	if err != nil {
		return oauthAttempt{}, err
	}
	family := ""
	if v.Session != nil {
		family = v.Session.Family
	}
	overtaken := kept.Family == "" && family != ""
	if kept.Browser != e.browserMark(v) || kept.Family != family && !overtaken || kept.Attempt.Provider != provider {
		return oauthAttempt{}, ErrOAuthState
	}
	kept, err = e.attempts.Take(ctx, e.stateKey(state[0]))
	if errors.Is(err, store.ErrNotFound) {
		return oauthAttempt{}, ErrOAuthState
	}
	if err == nil && overtaken {
		return oauthAttempt{Flow: kept.Flow}, ErrSessionChanged
	}
	return kept, err
}

// ownerOfIdentity returns the user whose identity was proven: the one who has it, else the
// visitor, else the one whose proven mailbox the provider vouches for, else a new one where
// registration allows.
func (e *Engine) ownerOfIdentity(ctx context.Context, v Visitor, p *oauth.Provider, i oauth.Identity) (c candidate, enrolled bool, err error) {
	now := e.db.Now()
	link := account.Identity{
		Provider: p.Name(), Issuer: i.Issuer, Subject: i.Subject, Email: i.Email, CreatedAt: now, LastUsedAt: now,
		Groups: account.GroupsOfProvider(i.Groups), Claims: account.ClaimsOfProvider(i.Claims),
	}
	u, rev, err := e.accounts.Owner(ctx, account.OwnedIdentity, account.IdentityKey(i.Issuer, i.Subject))
	switch {
	case err == nil:
		u.Identities = slices.Clone(u.Identities)
		if known := u.Identity(e.accounts.IdentityID(i.Issuer, i.Subject)); known != nil {
			link.ID, link.CreatedAt = known.ID, known.CreatedAt
			*known = link
		}
		return candidate{user: u, rev: rev, edited: true}, false, nil
	case !errors.Is(err, store.ErrNotFound):
		return candidate{}, false, err
	case v.Session != nil:
		if err := e.enrolling(ctx, v, &c); err != nil {
			return candidate{}, false, err
		}
	default:
		if err := e.byVouchedMailbox(ctx, &c, i); err != nil {
			return candidate{}, false, err
		}
	}
	if c.created {
		return c, true, e.createWithIdentity(ctx, &c, link)
	}
	c.edited = true
	return c, true, e.accounts.AddIdentity(ctx, &c.change, &c.user, link)
}

// byVouchedMailbox finds the account of a mailbox that the provider says it verified. Both
// sides must have proven the mailbox: an address that a stranger registered links nothing.
func (e *Engine) byVouchedMailbox(ctx context.Context, c *candidate, i oauth.Identity) error {
	folded, err := account.FoldEmail(i.Email)
	if err != nil || !i.EmailVerified {
		return ErrIdentityUnknown
	}
	c.user, c.rev, err = e.accounts.ByEmail(ctx, folded)
	switch {
	case err == nil:
		if m := c.user.Email(e.accounts.EmailID(folded)); m == nil || !m.Verified || c.user.Locked() {
			return ErrIdentityUnknown
		}
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	case e.opts.Registration.allows(folded):
		c.created = true
		c.user = account.User{Name: i.Name, Emails: []account.Email{{Address: folded}}}
		return nil
	}
	return ErrIdentityUnknown
}

// createWithIdentity makes the account of somebody who registers by an identity provider.
func (e *Engine) createWithIdentity(ctx context.Context, c *candidate, link account.Identity) error {
	n := account.NewUser{Email: c.user.Emails[0].Address, Name: c.user.Name, Verified: true}
	if len(n.Name) > account.MaxName {
		n.Name = ""
	}
	var linked error
	var err error
	c.user, err = e.accounts.Add(ctx, &c.change, n, func(u *account.User) {
		linked = e.accounts.AddIdentity(ctx, &c.change, u, link)
	})
	return errors.Join(err, linked)
}

// providerRefusal turns what went wrong at a provider into the answer for it.
func (e *Engine) providerRefusal(err error) error {
	var said *oauth.ProviderError
	switch {
	case errors.As(err, &said):
		return with(ErrOAuthDenied, err, 0)
	case errors.Is(err, oauth.ErrUnavailable):
		return with(ErrOAuthUnavailable, err, 10*time.Second)
	case errors.Is(err, oauth.ErrRefused):
		return with(ErrOAuthRefused, err, 0)
	}
	return err
}
