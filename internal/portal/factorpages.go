package portal

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

// startHere leads from a challenge to a page of the account with the flow kept.
func (c *call) startHere(path string) error {
	id := c.value("flow")
	if !flowID.MatchString(id) {
		return c.redirect(path)
	}
	joint := "?"
	if strings.Contains(path, "?") {
		joint = "&"
	}
	return c.redirect(path + joint + "flow=" + id)
}

// backTo is the page that a page of the account was reached from.
func backTo(id string) string {
	if !flowID.MatchString(id) {
		return ui.PathAccount
	}
	return ui.PathChallenge + "?flow=" + id
}

func (p *Portal) showAddPasskey(c *call) error {
	if err := p.engine.MayChange(c.ctx(), c.visitor); err != nil {
		return err
	}
	id := c.r.URL.Query().Get("flow")
	m := ui.AddPasskey{Common: p.common(c, id), Identity: p.identity(c), Type: "platform", Cancel: backTo(id)}
	if c.r.URL.Query().Get("type") == "cross-platform" {
		m.Type = "cross-platform"
	}
	return p.show(c, http.StatusOK, "portal", m)
}

func (p *Portal) postPasskeysForm(c *call) error {
	id := c.value("id")
	switch c.value("action") {
	case "new":
		kind := "platform"
		if c.value("type") == "cross-platform" {
			kind = "cross-platform"
		}
		return c.startHere(ui.PathPasskeys + "/new?type=" + kind)
	case "added":
		return p.afterAccount(c)
	case "rename":
		return p.accountDone(c, p.engine.RenameKey(c.ctx(), c.visitor, id, c.value("passkey_name")))
	case "remove":
		u, err := p.engine.User(c.ctx(), c.visitor)
		if err != nil {
			return err
		}
		k := u.Key(id)
		if k == nil {
			return p.accountAgain(c, flow.ErrNotFound)
		}
		return p.removeConfirmed(c, id, ui.Confirm{
			Heading: "Remove “" + k.Name + "”?", Action: ui.PathPasskeys, Button: "Remove it",
			Text:   "You can no longer confirm with it. Pages that ask for one will stay closed until you add another.",
			Fields: []ui.Field{{Name: "action", Value: "remove"}, {Name: "id", Value: id}},
		})
	}
	return errBody
}

func (p *Portal) postPhonesForm(c *call) error {
	id := c.value("phone_id")
	switch c.value("action") {
	case "new":
		return c.startHere(ui.PathPhones + "/new")
	case "add":
		return p.addAgain(c, true, p.sendPhoneConfirmation(c, c.value("phone_number"), backTo(c.value("flow"))))
	case "send":
		pending, _, err := p.pending(c, c.value("flow"))
		if err != nil {
			return err
		}
		return p.accountAgain(c, p.sendPhoneConfirmation(c, pending.Phone, p.cameFrom(c)))
	case "verify":
		return p.confirmPhone(c)
	case "remove":
		u, err := p.engine.User(c.ctx(), c.visitor)
		if err != nil {
			return err
		}
		n := u.Phone(id)
		if n == nil { // a number that was never confirmed is dropped by leaving it
			return c.redirect(p.cameFrom(c))
		}
		return p.removeConfirmed(c, id, ui.Confirm{
			Heading: "Remove " + n.Number + "?", Action: ui.PathPhones, Button: "Remove this number",
			Text:   "You can no longer get codes with this number.",
			Fields: []ui.Field{{Name: "action", Value: "remove"}, {Name: "phone_id", Value: id}},
		})
	}
	return errBody
}

// sendPhoneConfirmation sends a code to a number and leads to the page that asks for it, from
// which it goes on to after.
func (p *Portal) sendPhoneConfirmation(c *call, number, after string) error {
	product, _ := p.phoneProduct("")
	methodID, err := p.engine.AddPhone(c.ctx(), c.visitor, product, number)
	if err != nil {
		return err
	}
	folded, _, err := account.FoldPhone(number)
	if err != nil {
		return err
	}
	id, err := p.engine.Begin(flow.Pending{
		Host: c.visit.Host, Return: after, Family: c.visitor.Session.Family, Method: string(product), Phone: folded,
		MethodID: methodID, CodeExpires: p.codeExpires(),
	})
	if err != nil {
		return err
	}
	return c.redirect(ui.PathPhones + "?flow=" + id)
}

func (p *Portal) confirmPhonePage(c *call, id string, pending flow.Pending) ui.ConfirmPhone {
	m := ui.ConfirmPhone{
		Common: p.common(c, id), Identity: p.identity(c), ID: pending.MethodID, Number: pending.Phone, Channel: "sms", Waiting: waiting(pending),
	}
	if factors.Product(pending.Method) == factors.WhatsAppOTP {
		m.Channel = "whatsapp"
	}
	return m
}

func (p *Portal) showConfirmPhone(c *call) error {
	id := c.r.URL.Query().Get("flow")
	pending, err := p.engine.Pending(c.visitor, c.visit.Host, id)
	if err != nil || pending.MethodID == "" || pending.Phone == "" || c.visitor.Session == nil {
		return c.redirect(ui.PathAccount)
	}
	return p.show(c, http.StatusOK, "portal", p.confirmPhonePage(c, id, pending))
}

func (p *Portal) confirmPhone(c *call) error {
	pending, id, err := p.pending(c, c.value("flow"))
	if err != nil {
		return err
	}
	result, err := p.engine.AuthenticateCode(c.ctx(), c.visitor, pending.MethodID, typed(c.value("code")))
	if e := personal(err); e != nil && c.visitor.Session != nil {
		m := p.confirmPhonePage(c, id, pending)
		m.Common = refused(m.Common, "code", e)
		retryAfter(c.w, e)
		return p.show(c, e.Status, "portal", m)
	}
	if err != nil {
		return err
	}
	c.proven(result)
	return c.redirect(local(pending.Return))
}

func (p *Portal) postConnectionsForm(c *call) error {
	switch c.value("action") {
	case "connect":
		pending := flow.Pending{Host: c.visit.Host, Return: ui.PathAccount, CreatedAt: p.engine.Now()}
		cancel := ui.PathAccount
		if c.value("flow") != "" {
			var err error
			if pending, _, err = p.pending(c, c.value("flow")); err != nil {
				return err
			}
			cancel = ui.PathChallenge
		}
		if err := p.engine.MayChange(c.ctx(), c.visitor); err != nil {
			return p.accountAgain(c, err)
		}
		return p.leave(c, c.value("provider"), pending, cancel)
	case "remove":
		u, err := p.engine.User(c.ctx(), c.visitor)
		if err != nil {
			return err
		}
		i := u.Identity(c.value("id"))
		if i == nil {
			return p.accountAgain(c, flow.ErrNotFound)
		}
		return p.removeConfirmed(c, i.ID, ui.Confirm{
			Heading: "Disconnect " + p.label(i.Provider) + "?", Action: ui.PathConnections, Button: "Disconnect",
			Text:   "You can no longer sign in here with it. Your account there is not touched.",
			Fields: []ui.Field{{Name: "action", Value: "remove"}, {Name: "id", Value: i.ID}},
		})
	}
	return errBody
}

// chain is the blockchain that a wallet page is for; "" for all that are offered.
func (p *Portal) chain(asked string) string {
	if offered := p.engine.Options().Chains; len(offered) == 1 {
		return string(offered[0])
	}
	return asked
}

func (p *Portal) showAddWallet(c *call) error {
	if err := p.engine.MayChange(c.ctx(), c.visitor); err != nil {
		return err
	}
	id := c.r.URL.Query().Get("flow")
	return p.show(c, http.StatusOK, "portal", ui.AddWallet{
		Common: p.common(c, id), Identity: p.identity(c), Host: c.visit.Host, Chain: p.chain(""), Cancel: backTo(id),
	})
}

func (p *Portal) postWalletsForm(c *call) error {
	switch c.value("action") {
	case "new":
		return c.startHere(ui.PathWallets + "/new")
	case "added":
		return p.afterAccount(c)
	case "remove":
		u, err := p.engine.User(c.ctx(), c.visitor)
		if err != nil {
			return err
		}
		w := u.Wallet(c.value("id"))
		if w == nil {
			return p.accountAgain(c, flow.ErrNotFound)
		}
		return p.removeConfirmed(c, w.ID, ui.Confirm{
			Heading: "Remove this wallet?", Action: ui.PathWallets, Button: "Remove it",
			Text:   "You can no longer sign in here with " + flow.WalletAddress(w) + ".",
			Fields: []ui.Field{{Name: "action", Value: "remove"}, {Name: "id", Value: w.ID}},
		})
	}
	return errBody
}

// furtherFactors fills the parts of the account page that this file looks after.
func (p *Portal) furtherFactors(m *ui.Account, u *account.User) {
	for _, n := range u.Phones {
		m.Phones = append(m.Phones, ui.Phone{ID: n.ID, Number: n.Number})
	}
	for _, k := range u.Keys {
		m.Passkeys = append(m.Passkeys, ui.Passkey{
			ID: k.ID, Name: k.Name, Discoverable: k.Discoverable, Synced: k.BackedUp, CreatedAt: k.CreatedAt, UsedAt: k.LastUsedAt,
			Removable: p.removable(u, k.ID),
		})
	}
	for _, o := range p.engine.Providers() {
		m.Providers = append(m.Providers, p.connections(u, o.Name(), o.Label())...)
	}
	for i := range u.Wallets {
		w := &u.Wallets[i]
		m.Wallets = append(m.Wallets, ui.Wallet{
			ID: w.ID, Address: flow.WalletAddress(w), Chain: w.Chain, UsedAt: w.LastUsedAt, Removable: p.removable(u, w.ID),
		})
	}
}

// connections lists a user's identities at a provider, or that there is none.
func (p *Portal) connections(u *account.User, provider, label string) []ui.Connection {
	var out []ui.Connection
	for _, i := range u.Identities {
		if i.Provider == provider {
			out = append(out, ui.Connection{ID: i.ID, Provider: provider, Label: label, Email: i.Email, Removable: p.removable(u, i.ID)})
		}
	}
	if out == nil {
		out = append(out, ui.Connection{Provider: provider, Label: label})
	}
	return out
}

// signal tells the page which passkeys the site still knows, so that the browser can forget
// the others (WebAuthn, section 5.1.10).
func (p *Portal) signal(c *call, u *account.User) ui.Signal {
	rpID, handle, ids := p.engine.AcceptedKeys(c.visitor, u)
	s := ui.Signal{RPID: rpID, UserID: base64.RawURLEncoding.EncodeToString(handle)}
	for _, id := range ids {
		s.Credentials = append(s.Credentials, base64.RawURLEncoding.EncodeToString(id))
	}
	return s
}
