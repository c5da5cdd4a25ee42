package portal

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

func (p *Portal) showPassword(c *call) error {
	m, err := p.passwordForm(c, c.r.URL.Query().Get("flow"))
	if err != nil {
		return err
	}
	return p.show(c, http.StatusOK, "portal", m)
}

func (p *Portal) passwordForm(c *call, id string) (ui.Password, error) {
	u, err := p.engine.User(c.ctx(), c.visitor)
	if err != nil {
		return ui.Password{}, err
	}
	fresh := account.Fresh(c.visitor.Session.Subject().Factors, account.PasswordMaxAge, p.engine.Now())
	return ui.Password{
		Common: p.common(c, id), Identity: p.identity(c), Set: u.Password != nil, NeedCurrent: u.PasswordUsable() && !fresh,
		Minimum: account.PasswordMinimum(&u), Cancel: backTo(id),
	}, nil
}

func (p *Portal) postPassword(c *call) error {
	switch c.value("action") {
	case "new":
		return c.startHere(ui.PathPassword)
	case "remove":
		return p.removePassword(c)
	}
	m, err := p.passwordForm(c, c.value("flow"))
	if err != nil {
		return err
	}
	if m.NeedCurrent {
		result, err := p.engine.AuthenticatePassword(c.ctx(), c.visitor, c.visitor.Session.User.Email, c.value("current_password"))
		if e := personal(err); e != nil {
			m.Common = refused(m.Common, "current_password", e)
			return p.show(c, e.Status, "portal", m)
		}
		if err != nil {
			return err
		}
		c.proven(result)
		m.NeedCurrent = false
	}
	err = p.engine.SetPassword(c.ctx(), c.visitor, c.value("password"))
	if e := personal(err); e != nil {
		m.Common = refused(m.Common, "password", e)
		return p.show(c, e.Status, "portal", m)
	}
	if err != nil {
		return err
	}
	return p.afterAccount(c)
}

func (p *Portal) removePassword(c *call) error {
	u, err := p.engine.User(c.ctx(), c.visitor)
	if err != nil {
		return err
	}
	return p.removeConfirmed(c, account.PasswordID(u.ID), ui.Confirm{
		Heading: "Remove your password?", Action: ui.PathPassword, Button: "Remove the password",
		Text:   "You can then no longer sign in with it, and pages that ask for it will stay closed until you set another one.",
		Fields: []ui.Field{{Name: "action", Value: "remove"}},
	})
}

func (p *Portal) showForgot(c *call) error {
	return p.show(c, http.StatusOK, "portal", ui.ForgotPassword{
		Common: p.common(c, c.r.URL.Query().Get("flow")), Cancel: signInPath(c.r.URL.Query().Get("flow")),
	})
}

// flowID is the form of a flow id: no byte in it needs escaping in a URL.
var flowID = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// signInPath is the sign-in page of a flow.
func signInPath(id string) string {
	if !flowID.MatchString(id) {
		return ui.PathSignIn
	}
	return ui.PathSignIn + "?flow=" + id
}

func (p *Portal) postForgot(c *call) error {
	m := ui.ForgotPassword{
		Common: p.common(c, c.value("flow")), Email: c.value("email"), Cancel: signInPath(c.value("flow")), Lasts: account.ResetTicket.Life(),
	}
	err := p.engine.StartReset(c.ctx(), c.visitor, m.Email)
	if e := personal(err); e != nil {
		m.Common = refused(m.Common, "email", e)
		retryAfter(c.w, e)
		return p.show(c, e.Status, "portal", m)
	}
	if err != nil {
		return err
	}
	m.Sent = true
	return p.show(c, http.StatusOK, "portal", m)
}

func (p *Portal) showReset(c *call) error {
	m, err := p.resetForm(c, c.r.PathValue("token"))
	if errors.Is(err, flow.ErrLinkNotFound) {
		return p.show(c, http.StatusNotFound, "error", ui.Expired{Reason: "reset", Next: ui.PathForgot})
	}
	if err != nil {
		return err
	}
	return p.show(c, http.StatusOK, "portal", m)
}

func (p *Portal) resetForm(c *call, token string) (ui.ResetPassword, error) {
	email, minimum, err := p.engine.ResetTarget(c.ctx(), c.visitor, token)
	return ui.ResetPassword{Common: p.common(c, ""), Token: token, Email: email, Minimum: minimum}, err
}

func (p *Portal) postResetForm(c *call) error {
	token := c.value("token")
	err := p.engine.Reset(c.ctx(), c.visitor, token, c.value("password"))
	if errors.Is(err, flow.ErrLinkNotFound) {
		return p.show(c, http.StatusNotFound, "error", ui.Expired{Reason: "reset", Next: ui.PathForgot})
	}
	if e := personal(err); e != nil {
		m, ferr := p.resetForm(c, token)
		if ferr != nil {
			return ferr
		}
		m.Common = refused(m.Common, "password", e)
		return p.show(c, e.Status, "portal", m)
	}
	if err != nil {
		return err
	}
	c.visit.ClearCookie(c.w)
	fresh, id, err := p.pending(c, "")
	if err != nil {
		return err
	}
	c.visitor.Session = nil
	m := p.signIn(c, fresh, id)
	m.Notice = "Your password was changed. Sign in with the new one."
	return p.show(c, http.StatusOK, "sign_in", m)
}

func (p *Portal) showBreakGlass(c *call) error {
	return p.show(c, http.StatusOK, "portal", ui.BreakGlass{Common: p.common(c, ""), Cancel: ui.PathSignIn})
}

// postBreakGlass spends a code and leads to the page for a new password.
func (p *Portal) postBreakGlass(c *call) error {
	m := ui.BreakGlass{Common: p.common(c, ""), Email: strings.TrimSpace(c.value("email")), Cancel: ui.PathSignIn}
	token, err := p.engine.BreakGlass(c.ctx(), c.visitor, m.Email, strings.TrimSpace(c.value("code")))
	if e := personal(err); e != nil {
		field := "code"
		if e.Type == flow.ErrInvalidEmail.Type {
			field = "email"
		}
		m.Common = refused(m.Common, field, e)
		retryAfter(c.w, e)
		return p.show(c, e.Status, "portal", m)
	}
	if err != nil {
		return err
	}
	c.visit.ClearCookie(c.w)
	return c.redirect(ui.PathReset + "/" + token)
}
