package portal

import (
	"context"
	"errors"
	"net/http"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

func (p *Portal) postEmailsForm(c *call) error {
	id := c.value("email_id")
	switch c.value("action") {
	case "new":
		return c.startHere(ui.PathEmails + "/new")
	case "add":
		return p.addAgain(c, false, p.sendConfirmation(c, c.value("email"), p.engine.AddEmail, backTo(c.value("flow"))))
	case "send":
		u, err := p.engine.User(c.ctx(), c.visitor)
		if err != nil {
			return err
		}
		if e := u.Email(id); e != nil {
			return p.accountAgain(c, p.sendConfirmation(c, e.Address, p.engine.SendEmailCode, p.cameFrom(c)))
		}
		pending, _, err := p.pending(c, c.value("flow"))
		if err != nil {
			return err
		}
		return p.accountAgain(c, p.sendConfirmation(c, pending.Email, p.engine.AddEmail, p.cameFrom(c)))
	case "verify":
		return p.confirmEmail(c)
	case "primary":
		return p.accountDone(c, p.engine.MakePrimary(c.ctx(), c.visitor, id))
	case "remove":
		u, err := p.engine.User(c.ctx(), c.visitor)
		if err != nil {
			return err
		}
		e := u.Email(id)
		if e == nil { // an address that was never confirmed is dropped by leaving it
			return c.redirect(p.cameFrom(c))
		}
		return p.removeConfirmed(c, id, ui.Confirm{
			Heading: "Remove " + e.Address + "?", Action: ui.PathEmails, Button: "Remove this address",
			Text:   "You can no longer sign in or get codes with this address.",
			Fields: []ui.Field{{Name: "action", Value: "remove"}, {Name: "email_id", Value: id}},
		})
	}
	return errBody
}

type sendCode func(context.Context, flow.Visitor, string) (string, error)

// sendConfirmation sends a code to an address and leads to the page that asks for it, from which
// it goes on to after.
func (p *Portal) sendConfirmation(c *call, address string, send sendCode, after string) error {
	methodID, err := send(c.ctx(), c.visitor, address)
	if err != nil {
		return err
	}
	folded, err := account.FoldEmail(address)
	if err != nil {
		return err
	}
	pending := flow.Pending{Host: c.visit.Host, Return: after, Family: c.visitor.Session.Family, Email: folded, MethodID: methodID, CodeExpires: p.codeExpires()}
	id, err := p.engine.Begin(pending)
	if err != nil {
		return err
	}
	return c.redirect(ui.PathEmails + "?flow=" + id)
}

func (p *Portal) showConfirmEmail(c *call) error {
	pending, err := p.engine.Pending(c.visitor, c.visit.Host, c.r.URL.Query().Get("flow"))
	if err != nil || pending.MethodID == "" || c.visitor.Session == nil {
		return c.redirect(ui.PathAccount)
	}
	return p.show(c, http.StatusOK, "portal", ui.ConfirmEmail{
		Common: p.common(c, c.r.URL.Query().Get("flow")), Identity: p.identity(c), ID: pending.MethodID, Address: pending.Email, Waiting: waiting(pending),
	})
}

func (p *Portal) confirmEmail(c *call) error {
	pending, id, err := p.pending(c, c.value("flow"))
	if err != nil {
		return err
	}
	result, err := p.engine.AuthenticateCode(c.ctx(), c.visitor, pending.MethodID, typed(c.value("code")))
	if e := personal(err); e != nil && c.visitor.Session != nil {
		m := ui.ConfirmEmail{Common: refused(p.common(c, id), "code", e), Identity: p.identity(c), ID: pending.MethodID, Address: pending.Email, Waiting: waiting(pending)}
		retryAfter(c.w, e)
		return p.show(c, e.Status, "portal", m)
	}
	if err != nil {
		return err
	}
	c.proven(result)
	return c.redirect(local(pending.Return))
}

// cameFrom is where the flow of a confirmation leads afterwards: the account, when there is none.
func (p *Portal) cameFrom(c *call) string {
	pending, err := p.engine.Pending(c.visitor, c.visit.Host, c.value("flow"))
	if err != nil {
		return ui.PathAccount
	}
	return local(pending.Return)
}

func (p *Portal) showAddAddress(c *call, phone bool) error {
	if err := p.engine.MayChange(c.ctx(), c.visitor); err != nil {
		return err
	}
	return p.show(c, http.StatusOK, "portal", p.addAddress(c, phone, c.r.URL.Query().Get("flow")))
}

func (p *Portal) addAddress(c *call, phone bool, id string) ui.AddAddress {
	return ui.AddAddress{Common: p.common(c, id), Identity: p.identity(c), Phone: phone, Cancel: backTo(id)}
}

// addAgain shows the page that adds an address or a number with what has to be put right, or
// passes the error on.
func (p *Portal) addAgain(c *call, phone bool, err error) error {
	e := personal(err)
	if e == nil || c.visitor.Session == nil || errors.Is(e, flow.ErrNoSession) {
		return err
	}
	m, field := p.addAddress(c, phone, c.value("flow")), "email"
	if phone {
		field = "phone_number"
	}
	m.Value, m.Common = c.value(field), refused(m.Common, field, e)
	retryAfter(c.w, e)
	return p.show(c, e.Status, "portal", m)
}
