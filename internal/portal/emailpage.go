package portal

import (
	"context"
	"net/http"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

func (p *Portal) postEmailsForm(c *call) error {
	id := c.value("email_id")
	switch c.value("action") {
	case "new":
		return c.redirect(ui.PathAccount + "#about")
	case "add":
		return p.sendConfirmation(c, c.value("email"), p.engine.AddEmail)
	case "send":
		u, err := p.engine.User(c.ctx(), c.visitor)
		if err != nil {
			return err
		}
		if e := u.Email(id); e != nil {
			return p.sendConfirmation(c, e.Address, p.engine.SendEmailCode)
		}
		pending, _, err := p.pending(c, c.value("flow"))
		if err != nil {
			return err
		}
		return p.sendConfirmation(c, pending.Email, p.engine.AddEmail)
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
			return c.redirect(ui.PathAccount)
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

func (p *Portal) sendConfirmation(c *call, address string, send sendCode) error {
	methodID, err := send(c.ctx(), c.visitor, address)
	if err != nil {
		return p.accountAgain(c, err)
	}
	folded, err := account.FoldEmail(address)
	if err != nil {
		return err
	}
	pending := flow.Pending{Host: c.visit.Host, Return: ui.PathAccount, Family: c.visitor.Session.Family, Email: folded, MethodID: methodID, CodeExpires: p.codeExpires()}
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
	return c.redirect(ui.PathAccount)
}
