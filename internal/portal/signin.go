package portal

import (
	"errors"
	"net/http"
	"strings"
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
			c.visitor.Flow = id
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
	return p.show(c, http.StatusOK, "sign_in", p.signInPage(c, pending, id))
}

// signInPage is the page of a sign-in as far as the visitor has come with it.
func (p *Portal) signInPage(c *call, pending flow.Pending, id string) ui.Page {
	if pending.MethodID != "" {
		return p.signInCode(c, pending, id)
	}
	switch factors.Product(pending.Method) {
	case factors.SMSOTP:
		return ui.SignInPhone{Common: p.common(c, id), Target: target(pending), Channel: "sms", Phone: pending.Phone}
	case factors.WhatsAppOTP:
		return ui.SignInPhone{Common: p.common(c, id), Target: target(pending), Channel: "whatsapp", Phone: pending.Phone}
	case factors.CryptoWallet:
		return ui.SignInWallet{Common: p.common(c, id), Target: target(pending), Chain: p.chain("")}
	}
	return p.signIn(c, pending, id)
}

func (p *Portal) signIn(c *call, pending flow.Pending, id string) ui.SignIn {
	m := ui.SignIn{
		Common: p.common(c, id), Target: target(pending), Email: pending.Email,
		Password: p.starts(factors.Password), Forgot: p.starts(factors.Password),
		Passkey: p.starts(factors.Passkey) || p.starts(factors.WebAuthn),
	}
	for _, product := range []factors.Product{factors.MagicLink, factors.EmailOTP, factors.SMSOTP, factors.WhatsAppOTP} {
		if p.starts(product) {
			m.Others = append(m.Others, ui.Method{Factor: string(product), Value: string(product)})
		}
	}
	if p.starts(factors.OAuth) {
		for _, o := range p.engine.Providers() {
			m.Others = append(m.Others, ui.Method{Factor: string(factors.OAuth), Value: "oauth:" + o.Name(), Label: o.Label()})
		}
	}
	if p.starts(factors.CryptoWallet) {
		m.Others = append(m.Others, ui.Method{Factor: string(factors.CryptoWallet), Value: string(factors.CryptoWallet)})
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
	m := ui.SignInCode{Common: p.common(c, id), Target: target(pending), Channel: "email", To: pending.Email, Waiting: waiting(pending)}
	switch factors.Product(pending.Method) {
	case factors.SMSOTP:
		m.Channel, m.To = "sms", pending.Phone
	case factors.WhatsAppOTP:
		m.Channel, m.To = "whatsapp", pending.Phone
	case factors.MagicLink:
		m.Link = true
	}
	return m
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
	action := c.value("action")
	switch factors.Product(action) {
	case factors.EmailOTP, factors.MagicLink:
		pending.Method, pending.Email = action, c.value("email")
		return p.sendSignIn(c, pending)
	case factors.SMSOTP, factors.WhatsAppOTP:
		pending.Method, pending.Phone = action, c.value("phone_number")
		if pending.Phone == "" {
			return p.again(c, ui.PathSignIn, pending)
		}
		return p.sendSignIn(c, pending)
	case factors.CryptoWallet:
		pending.Method = action
		return p.again(c, ui.PathSignIn, pending)
	}
	if provider, ok := strings.CutPrefix(action, "oauth:"); ok {
		return p.leave(c, provider, pending, ui.PathSignIn)
	}
	switch action {
	case "", "password":
		return p.signInByPassword(c, pending, id)
	case "resend":
		return p.sendSignIn(c, pending)
	case "verify":
		return p.signInByCode(c, pending, id)
	case "restart":
		pending.Method, pending.MethodID = "", ""
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

// sendSignIn sends the code or link that the visitor chose.
func (p *Portal) sendSignIn(c *call, pending flow.Pending) error {
	methodID, expires, err := p.sendFor(c, factors.Product(pending.Method), pending)
	if e := personal(err); e != nil {
		id, ferr := p.engine.Continue(pending)
		if ferr != nil {
			return ferr
		}
		retryAfter(c.w, e)
		return p.show(c, e.Status, "sign_in", refusedPage(p.signInPage(c, pending, id), e))
	}
	if err != nil {
		return err
	}
	pending.MethodID, pending.CodeExpires = methodID, expires
	return p.again(c, ui.PathSignIn, pending)
}

// sendFor sends the code or link of a product to the address or number of a flow.
func (p *Portal) sendFor(c *call, product factors.Product, pending flow.Pending) (methodID string, expires time.Time, err error) {
	expires = p.codeExpires()
	switch product {
	case factors.EmailOTP:
		methodID, err = p.engine.SendEmailCode(c.ctx(), c.visitor, pending.Email)
	case factors.SMSOTP, factors.WhatsAppOTP:
		methodID, err = p.engine.SendPhoneCode(c.ctx(), c.visitor, product, pending.Phone)
	case factors.MagicLink:
		if err = p.tellApart(c); err != nil {
			return "", time.Time{}, err
		}
		pending.MethodID = ""
		id, ferr := p.engine.Continue(pending)
		if ferr != nil {
			return "", time.Time{}, ferr
		}
		expires = p.engine.LinkExpires()
		methodID, err = p.engine.SendLink(c.ctx(), c.visitor, pending.Email, id)
	default:
		err = errBody
	}
	return methodID, expires, err
}

// refusedPage shows a page of a sign-in again with what has to be put right.
func refusedPage(m ui.Page, e *flow.Error) ui.Page {
	switch m := m.(type) {
	case ui.SignInCode:
		m.Common = refused(m.Common, "code", e)
		return m
	case ui.SignInPhone:
		m.Common = refused(m.Common, "phone_number", e)
		return m
	case ui.SignInWallet:
		m.Common = refused(m.Common, "", e)
		return m
	case ui.SignIn:
		field := ""
		if errors.Is(e, flow.ErrInvalidEmail) || errors.Is(e, flow.ErrTooManyRequests) {
			field = "email"
		}
		m.Common = refused(m.Common, field, e)
		return m
	}
	return m
}

func (p *Portal) signInByCode(c *call, pending flow.Pending, id string) error {
	result, err := p.verifySent(c, factors.Product(pending.Method), pending.MethodID, c.value("code"))
	if e := personal(err); e != nil {
		retryAfter(c.w, e)
		return p.show(c, e.Status, "sign_in", refusedPage(p.signInCode(c, pending, id), e))
	}
	if err != nil {
		return err
	}
	c.proven(result)
	return p.next(c, pending)
}

// verifySent proves what a code was sent for, or what the link of a mail shows.
func (p *Portal) verifySent(c *call, product factors.Product, methodID, code string) (flow.Result, error) {
	if product == factors.MagicLink {
		return p.engine.AuthenticateLinkCode(c.ctx(), c.visitor, code)
	}
	return p.engine.AuthenticateCode(c.ctx(), c.visitor, methodID, typed(code))
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
		pending.Family, pending.Method, pending.MethodID, pending.Email, pending.Phone = "", "", "", "", ""
		return p.again(c, ui.PathSignIn, pending)
	}
	return p.show(c, http.StatusOK, "portal", ui.SignedOut{Everywhere: action == "everywhere", SignIn: ui.PathSignIn})
}
