package portal

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

// routePages registers every page and every form.
func (p *Portal) routePages() {
	p.page("GET "+ui.PathSignIn, p.showSignIn)
	p.form(ui.PathSignIn, p.postSignIn)
	p.page("GET "+ui.PathChallenge, p.showChallenge)
	p.form(ui.PathChallenge, p.postChallenge)
	p.page("GET "+ui.PathSignOut, p.showSignOut)
	p.form(ui.PathSignOut, p.postSignOut)
	p.page("GET "+ui.PathInvite+"{token}", p.showInvite)
	p.form(ui.PathInvite+"{token}", p.postInvite)
	p.page("GET "+ui.PathForgot, p.showForgot)
	p.form(ui.PathForgot, p.postForgot)
	p.page("GET "+ui.PathReset+"/{token}", p.showReset)
	p.form(ui.PathReset, p.postResetForm)
	p.page("GET "+ui.PathBreakGlass, p.showBreakGlass)
	p.form(ui.PathBreakGlass, p.postBreakGlass)
	p.page("GET "+ui.PathAccount, p.showAccount)
	p.form(ui.PathName, p.postName)
	p.page("GET "+ui.PathPassword, p.showPassword)
	p.form(ui.PathPassword, p.postPassword)
	p.page("GET "+ui.PathEmails, p.showConfirmEmail)
	p.form(ui.PathEmails, p.postEmailsForm)
	p.page("GET "+ui.PathEmails+"/new", func(c *call) error { return p.showAddAddress(c, false) })
	p.page("GET "+ui.PathLink+"{token}", p.showLink)
	p.form(ui.PathLink+"{token}", p.postLink)
	p.page("GET "+apiPrefix+"oauth/{provider}/start", p.startOAuth)
	p.page("GET "+apiPrefix+"oauth/{provider}/callback", p.finishOAuth)
	p.page("GET "+ui.PathPhones, p.showConfirmPhone)
	p.form(ui.PathPhones, p.postPhonesForm)
	p.page("GET "+ui.PathPhones+"/new", func(c *call) error { return p.showAddAddress(c, true) })
	p.page("GET "+ui.PathPasskeys+"/new", p.showAddPasskey)
	p.form(ui.PathPasskeys, p.postPasskeysForm)
	p.form(ui.PathConnections, p.postConnectionsForm)
	p.page("GET "+ui.PathWallets+"/new", p.showAddWallet)
	p.form(ui.PathWallets, p.postWalletsForm)
	p.form(ui.PathTOTP, p.postTOTPForm)
	p.form(ui.PathRecoveryCodes, p.postRecoveryForm)
	p.form(ui.PathSessions, p.postSessionsForm)
	p.form(ui.PathDevices, p.postDevicesForm)
	p.page("GET "+Prefix+"{$}", func(c *call) error { return c.redirect(ui.PathAccount) })
	p.page("GET "+ui.PathOutbox, p.showOutbox)
	p.page("GET "+ui.PathOutboxJSON, p.outboxJSON)
}

type pageHandler func(c *call) error

// page registers a handler whose errors become error pages.
func (p *Portal) page(pattern string, h pageHandler) {
	p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := newCall(w, r)
		if err := h(c); err != nil {
			p.failedPage(c, err)
		}
	})
}

// form registers a handler for a POST whose token must be that of the visitor.
func (p *Portal) form(path string, h pageHandler) {
	p.page("POST "+path, func(c *call) error {
		if err := c.r.ParseForm(); err != nil {
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				return errTooLarge
			}
			return errBody
		}
		if !p.ownForm(c) {
			return errCrossOrigin
		}
		return h(c)
	})
}

// ownForm tells whether a form carries the visitor's token. A form that only goes on after a
// script has signed the visitor in was shown to a stranger, and carries a stranger's token.
func (p *Portal) ownForm(c *call) bool {
	given, want := c.value("csrf"), p.csrf(c)
	if c.value("action") == "continue" && c.r.URL.Path == ui.PathSignIn {
		want = p.engine.FormToken(c.visit.Host, "")
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(want)) == 1
}

// csrf is the token of a visitor's forms. It follows the family of the session, so that a
// form survives a step-up in another tab.
func (p *Portal) csrf(c *call) string {
	family := ""
	if c.visitor.Session != nil {
		family = c.visitor.Session.Family
	}
	return p.engine.FormToken(c.visit.Host, family)
}

// value is a field of the posted form.
func (c *call) value(name string) string { return c.r.PostForm.Get(name) }

func (c *call) redirect(to string) error {
	http.Redirect(c.w, c.r, to, http.StatusSeeOther) //nolint:gosec // every caller passes a path of this host, see local
	return nil
}

func (c *call) ctx() context.Context { return c.r.Context() }

// common fills the part that all forms share.
func (p *Portal) common(c *call, flowID string) ui.Common {
	return ui.Common{CSRF: p.csrf(c), Flow: flowID}
}

// refused shows a form again with what has to be put right.
func refused(common ui.Common, field string, e *flow.Error) ui.Common {
	common.Problems = append(common.Problems, ui.Problem{Field: field, Text: e.Detail})
	return common
}

// personal returns the error that a form can show in place; nil when the error is not one
// that the visitor can put right there.
func personal(err error) *flow.Error {
	var e *flow.Error
	if errors.As(err, &e) && e.Status < http.StatusInternalServerError && e.Required == nil {
		return e
	}
	return nil
}

func (p *Portal) show(c *call, status int, mark string, m ui.Page) error {
	if mark != "" {
		c.w.Header().Set("Stepgate-Response", mark)
	}
	return p.pages.Render(c.w, status, m)
}

// failedPage answers an error of a page. A further proof that would help is asked for.
func (p *Portal) failedPage(c *call, err error) {
	e := p.known(err)
	switch {
	case e.Required != nil && c.visitor.Session != nil:
		id, err := p.engine.StepUp(c.visitor.Session, c.visit.Host, c.comeBack(), e.Required)
		if err == nil {
			_ = c.redirect(ui.PathChallenge + "?flow=" + id)
			return
		}
		e = p.known(err)
	case errors.Is(e, flow.ErrNoSession):
		id, err := p.engine.Begin(flow.Pending{Host: c.visit.Host, Return: c.comeBack()})
		if err == nil {
			_ = c.redirect(ui.PathSignIn + "?flow=" + id)
			return
		}
		e = p.known(err)
	}
	p.errorPage(c, e)
}

// comeBack is where a page that asks for a proof first leads afterwards: to itself, or, for a
// form, which is not sent twice, to the page that it stood on.
func (c *call) comeBack() string {
	switch {
	case c.r.Method == http.MethodGet:
		return c.r.URL.RequestURI()
	case strings.HasPrefix(c.r.URL.Path, ui.PathAdminUsers):
		return c.r.URL.Path
	}
	return ui.PathAccount
}

func (p *Portal) errorPage(c *call, err error) {
	e := p.known(err)
	retryAfter(c.w, e)
	if errors.Is(e, errBody) {
		e = &flow.Error{Type: e.Type, Status: e.Status} // its text is for programs
	}
	page := ui.Error{Status: e.Status, Detail: e.Detail, RetryAfter: e.RetryAfter, Reference: c.visit.RequestID, Back: "/"}
	if err := p.show(c, e.Status, "error", page); err != nil {
		p.log("render the error page", err)
	}
}

// next is where a flow goes on after a proof: to the challenge while something is missing,
// else back to where the visitor was going.
func (p *Portal) next(c *call, pending flow.Pending) error {
	progress, err := p.engine.Progress(c.ctx(), c.visitor, pending)
	if err != nil {
		return err
	}
	if progress.Satisfied {
		if err := p.rememberDevice(c, progress); err != nil {
			return err
		}
		return p.finish(c, pending)
	}
	pending.Method, pending.Email, pending.Phone, pending.MethodID = "", "", "", ""
	if c.visitor.Session == nil {
		pending.Family = ""
		return p.again(c, ui.PathSignIn, pending)
	}
	pending.Family = c.visitor.Session.Family
	return p.again(c, ui.PathChallenge, pending)
}

// finish ends a flow: by sending what waits for it, back to the document that was asked for, or,
// in a window that a script opened, by telling that window to close.
func (p *Portal) finish(c *call, pending flow.Pending) error {
	if pending.Held != "" {
		return p.again(c, ui.PathChallenge, pending)
	}
	if pending.Window == "" {
		return c.redirect(local(pending.Return))
	}
	return p.show(c, http.StatusOK, "portal", ui.Done{Target: target(pending), Flow: pending.Window})
}

// local lets only a path of this host through. Browsers read a backslash as a slash, and leave
// control characters out.
func local(to string) string {
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") ||
		strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return "/"
	}
	return to
}

// proven makes a new session the one of this call and of the browser.
func (c *call) proven(r flow.Result) {
	c.visit.SetCookie(c.w, r.Cookie)
	c.visitor.Session = r.Session
}

func target(pending flow.Pending) ui.Target {
	path, _, _ := strings.Cut(pending.Return, "?")
	return ui.Target{Host: pending.Host, Path: path, Title: ""}
}

func (p *Portal) identity(c *call) ui.Identity {
	if c.visitor.Session == nil {
		return ui.Identity{}
	}
	return ui.Identity{Email: c.visitor.Session.User.Email, Name: c.visitor.Session.User.Name}
}
