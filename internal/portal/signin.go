package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

// pending opens the flow of a request; none or one that is over is a fresh one that leads
// to the front page.
func (p *Portal) pending(c *call, id string) (flow.Pending, string, error) {
	if id != "" {
		pending, err := p.engine.Pending(c.visitor, c.visit.Host, id)
		if err == nil {
			return pending, id, nil
		}
		if !errors.Is(err, flow.ErrNotFound) {
			return flow.Pending{}, "", err
		}
	}
	fresh := flow.Pending{Host: c.visit.Host, Return: "/"}
	id, err := p.engine.Begin(fresh)
	return fresh, id, err
}

func (p *Portal) showSignIn(c *call) error {
	pending, id, err := p.pending(c, c.r.URL.Query().Get("flow"))
	if err != nil {
		return err
	}
	if c.r.URL.Query().Get("window") == "1" && pending.Window == "" {
		pending.Window = id
		return p.again(c, ui.PathSignIn, pending)
	}
	if c.visitor.Session != nil {
		return p.next(c, pending)
	}
	if pending.MethodID != "" {
		return p.show(c, http.StatusOK, "sign_in", p.signInCode(c, pending, id))
	}
	return p.show(c, http.StatusOK, "sign_in", p.signIn(c, pending, id))
}

func (p *Portal) signIn(c *call, pending flow.Pending, id string) ui.SignIn {
	m := ui.SignIn{
		Common: p.common(c, id), Target: target(pending), Email: pending.Email,
		Password: p.starts(factors.Password), Forgot: p.starts(factors.Password),
	}
	if p.starts(factors.EmailOTP) {
		m.Others = append(m.Others, ui.Method{Factor: string(factors.EmailOTP), Value: string(factors.EmailOTP)})
	}
	return m
}

// starts tells whether a product is offered and may start a session here.
func (p *Portal) starts(product factors.Product) bool {
	for _, name := range p.engine.Options().Primary {
		if name == product {
			return p.engine.Offers(product)
		}
	}
	return false
}

func (p *Portal) signInCode(c *call, pending flow.Pending, id string) ui.SignInCode {
	return ui.SignInCode{Common: p.common(c, id), Target: target(pending), Channel: "email", To: pending.Email, Waiting: waiting(pending)}
}

// waiting says how long the code of a flow works.
func waiting(pending flow.Pending) ui.Waiting { return ui.Waiting{ExpiresAt: pending.CodeExpires} }

// codeExpires is when a code that is sent now stops working.
func (p *Portal) codeExpires() time.Time { return p.engine.Now().Add(p.engine.Options().CodeLife) }

func (p *Portal) postSignIn(c *call) error {
	pending, id, err := p.pending(c, c.value("flow"))
	if err != nil {
		return err
	}
	if c.visitor.Session != nil {
		return p.next(c, pending)
	}
	switch c.value("action") {
	case "", "password":
		return p.signInByPassword(c, pending, id)
	case string(factors.EmailOTP):
		pending.Email = c.value("email")
		return p.sendSignInCode(c, pending)
	case "resend":
		return p.sendSignInCode(c, pending)
	case "verify":
		return p.signInByCode(c, pending, id)
	case "restart":
		pending.MethodID = ""
		return p.again(c, ui.PathSignIn, pending)
	case "continue":
		return p.next(c, pending)
	}
	return errBody
}

// again shows the page of a flow that changed.
func (p *Portal) again(c *call, path string, pending flow.Pending) error {
	id, err := p.engine.Continue(pending)
	if err != nil {
		return err
	}
	return c.redirect(path + "?flow=" + id)
}

func (p *Portal) signInByPassword(c *call, pending flow.Pending, id string) error {
	pending.Email = c.value("email")
	result, err := p.engine.AuthenticatePassword(c.ctx(), c.visitor, pending.Email, c.value("password"))
	if e := personal(err); e != nil {
		m := p.signIn(c, pending, id)
		field := "password"
		if errors.Is(e, flow.ErrInvalidEmail) {
			field = "email"
		}
		m.Common = refused(m.Common, field, e)
		retryAfter(c.w, e)
		return p.show(c, e.Status, "sign_in", m)
	}
	if err != nil {
		return err
	}
	c.proven(result)
	return p.next(c, pending)
}

func (p *Portal) sendSignInCode(c *call, pending flow.Pending) error {
	methodID, err := p.engine.SendEmailCode(c.ctx(), c.visitor, pending.Email)
	if e := personal(err); e != nil {
		id, ferr := p.engine.Continue(pending)
		if ferr != nil {
			return ferr
		}
		retryAfter(c.w, e)
		if pending.MethodID != "" {
			m := p.signInCode(c, pending, id)
			m.Common = refused(m.Common, "code", e)
			return p.show(c, e.Status, "sign_in", m)
		}
		m := p.signIn(c, pending, id)
		m.Common = refused(m.Common, "email", e)
		return p.show(c, e.Status, "sign_in", m)
	}
	if err != nil {
		return err
	}
	pending.MethodID, pending.CodeExpires = methodID, p.codeExpires()
	return p.again(c, ui.PathSignIn, pending)
}

func (p *Portal) signInByCode(c *call, pending flow.Pending, id string) error {
	result, err := p.engine.AuthenticateCode(c.ctx(), c.visitor, pending.MethodID, typed(c.value("code")))
	if e := personal(err); e != nil {
		m := p.signInCode(c, pending, id)
		m.Common = refused(m.Common, "code", e)
		retryAfter(c.w, e)
		return p.show(c, e.Status, "sign_in", m)
	}
	if err != nil {
		return err
	}
	c.proven(result)
	return p.next(c, pending)
}

func (p *Portal) showInvite(c *call) error {
	token := c.r.PathValue("token")
	if c.visitor.Session != nil {
		return p.show(c, http.StatusConflict, "portal", ui.SignOut{
			Common: p.common(c, ""), Identity: p.identity(c), Cancel: "/",
		})
	}
	t, err := p.engine.Invited(c.ctx(), c.visitor, token)
	if errors.Is(err, flow.ErrLinkNotFound) {
		return p.show(c, http.StatusNotFound, "error", ui.Expired{Reason: "invite", Next: "/"})
	}
	if err != nil {
		return err
	}
	return p.show(c, http.StatusOK, "portal", p.invite(c, token, t))
}

func (p *Portal) invite(c *call, token string, t account.Ticket) ui.Invite {
	return ui.Invite{
		Common: p.common(c, ""), Token: token, Setup: t.Kind == account.SetupTicket, Email: t.Email, EmailOpen: t.Email == "",
		Name: t.Name, Host: c.visit.Host, ExpiresAt: t.ExpiresAt, Password: p.engine.Offers(factors.Password), Minimum: 15,
	}
}

func (p *Portal) postInvite(c *call) error {
	token := c.r.PathValue("token")
	a := flow.Acceptance{Email: c.value("email"), Name: c.value("name"), Password: c.value("password")}
	result, err := p.engine.AcceptInvite(c.ctx(), c.visitor, token, a)
	if errors.Is(err, flow.ErrLinkNotFound) {
		return p.show(c, http.StatusNotFound, "error", ui.Expired{Reason: "invite", Next: "/"})
	}
	if e := personal(err); e != nil {
		t, err := p.engine.Invited(c.ctx(), c.visitor, token)
		if err != nil {
			return err
		}
		m := p.invite(c, token, t)
		m.Name = a.Name
		if m.EmailOpen {
			m.Email = a.Email
		}
		field := ""
		switch e.Type {
		case "weak_password":
			field = "password"
		case flow.ErrInvalidEmail.Type, flow.ErrEmailTaken.Type:
			field = "email"
		}
		m.Common = refused(m.Common, field, e)
		return p.show(c, e.Status, "portal", m)
	}
	if err != nil {
		return err
	}
	c.proven(result)
	return c.redirect("/")
}

func (p *Portal) showSignOut(c *call) error {
	if c.visitor.Session == nil {
		return p.show(c, http.StatusOK, "portal", ui.SignedOut{SignIn: ui.PathSignIn})
	}
	return p.show(c, http.StatusOK, "portal", ui.SignOut{Common: p.common(c, ""), Identity: p.identity(c), Cancel: "/"})
}

func (p *Portal) postSignOut(c *call) error {
	action := c.value("action")
	if action == "everywhere" && c.visitor.Session != nil {
		if err := p.engine.RevokeOtherSessions(c.ctx(), c.visitor); err != nil {
			return err
		}
	}
	pending, _, err := p.pending(c, c.value("flow"))
	if err != nil {
		return err
	}
	if err := p.engine.SignOut(c.ctx(), c.visitor); err != nil && !errors.Is(err, flow.ErrNotFound) {
		return err
	}
	c.visit.ClearCookie(c.w)
	c.w.Header().Set("Clear-Site-Data", `"cache"`)
	if action == "switch" {
		pending.Family, pending.Method, pending.MethodID, pending.Email = "", "", "", ""
		return p.again(c, ui.PathSignIn, pending)
	}
	return p.show(c, http.StatusOK, "portal", ui.SignedOut{Everywhere: action == "everywhere", SignIn: ui.PathSignIn})
}
