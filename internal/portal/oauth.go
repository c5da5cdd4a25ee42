package portal

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

// leave shows the page that goes on to an identity provider: browsers refuse a redirect to
// another origin as the answer to a form.
func (p *Portal) leave(c *call, provider string, pending flow.Pending, cancel string) error {
	id, err := p.engine.Continue(pending)
	if err != nil {
		return err
	}
	if err := p.tellApart(c); err != nil {
		return err
	}
	to, err := p.engine.StartOAuth(c.ctx(), c.visitor, provider, id)
	if err != nil {
		return p.providerFailed(c, id, err)
	}
	return p.show(c, http.StatusOK, "portal", ui.Leave{Label: p.label(provider), URL: to, Cancel: cancel + "?flow=" + id})
}

// label is what people call a provider.
func (p *Portal) label(provider string) string {
	for _, o := range p.engine.Providers() {
		if o.Name() == provider {
			return o.Label()
		}
	}
	return provider
}

// startOAuth begins at an identity provider from an address. Another site cannot begin it: it
// could have put its own identity into the browser before.
func (p *Portal) startOAuth(c *call) error {
	if site := c.r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return errCrossOrigin
	}
	id := c.r.URL.Query().Get("flow")
	if id != "" {
		if _, err := p.engine.Pending(c.visitor, c.visit.Host, id); err != nil {
			return err
		}
	}
	if err := p.tellApart(c); err != nil {
		return err
	}
	provider := c.r.PathValue("provider")
	to, err := p.engine.StartOAuth(c.ctx(), c.visitor, provider, id)
	if err != nil {
		return p.providerFailed(c, id, err)
	}
	http.Redirect(c.w, c.r, to, http.StatusSeeOther) //nolint:gosec // the address comes from the provider's configuration
	return nil
}

// postedCallback turns the answer of a provider that posts it (OAuth 2.0 Form Post Response
// Mode) into a request by GET, with which the browser sends its cookies. Nothing is done yet,
// so it does not matter that another site caused the request. Providers that do not post get
// no such exemption, and an answer with a token in it is refused: only codes are taken.
func (p *Portal) postedCallback(c *call) bool {
	rest, ok := strings.CutPrefix(c.r.URL.Path, apiPrefix+"oauth/")
	provider, callback := strings.CutSuffix(rest, "/callback")
	if !ok || !callback || c.r.Method != http.MethodPost || !p.posts(provider) {
		return false
	}
	if err := c.r.ParseForm(); err != nil {
		p.errorPage(c, errBody)
		return true
	}
	answer, err := flow.PostedAnswer(c.r.PostForm)
	if err != nil {
		p.errorPage(c, err)
		return true
	}
	http.Redirect(c.w, c.r, flow.CallbackPath(url.PathEscape(provider))+"?"+answer.Encode(), http.StatusSeeOther)
	return true
}

// posts tells whether a provider posts its answers.
func (p *Portal) posts(provider string) bool {
	for _, o := range p.engine.Providers() {
		if o.Name() == provider {
			return o.PostsAnswer()
		}
	}
	return false
}

func (p *Portal) finishOAuth(c *call) error {
	r, id, err := p.engine.FinishOAuth(c.ctx(), c.visitor, c.r.PathValue("provider"), c.r.URL.Query())
	if errors.Is(err, flow.ErrSessionChanged) && id != "" { // another tab was faster: this one goes on
		pending, _, err := p.pending(c, id)
		if err != nil {
			return err
		}
		return p.next(c, pending)
	}
	if err != nil {
		return p.providerFailed(c, id, err)
	}
	before := c.visitor.Session
	c.proven(r)
	if id == "" && before != nil {
		return c.redirect(ui.PathAccount)
	}
	pending, _, err := p.pending(c, id)
	if err != nil {
		return err
	}
	return p.next(c, pending)
}

// providerFailed shows where the visitor was, with what went wrong at the provider.
func (p *Portal) providerFailed(c *call, id string, err error) error {
	e := personal(err)
	if errors.Is(err, flow.ErrOAuthUnavailable) {
		e = p.known(err)
	}
	if e == nil {
		return err
	}
	retryAfter(c.w, e)
	if c.visitor.Session == nil {
		pending, fresh, err := p.pending(c, id)
		if err != nil {
			return err
		}
		pending.Method = ""
		return p.show(c, e.Status, "sign_in", refusedPage(p.signIn(c, pending, fresh), e))
	}
	if id != "" {
		ch, err := p.openChallenge(c, id)
		if err == nil && len(ch.methods) > 0 && !ch.progress.Satisfied {
			return p.challengeRefused(c, ch, e)
		}
	}
	return p.accountAgain(c, e)
}
