package portal

import (
	"errors"
	"net/http"

	"github.com/mileusna/useragent"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/ui"
)

func (p *Portal) showAccount(c *call) error {
	u, err := p.engine.User(c.ctx(), c.visitor)
	if err != nil {
		return err
	}
	m, err := p.account(c, &u)
	if err != nil {
		return err
	}
	return p.show(c, http.StatusOK, "portal", m)
}

func (p *Portal) account(c *call, u *account.User) (ui.Account, error) {
	list, err := p.engine.Sessions(c.ctx(), c.visitor)
	if err != nil {
		return ui.Account{}, err
	}
	m := ui.Account{
		Common: p.common(c, ""), Identity: p.identity(c), Home: "/", Administrator: p.engine.Administers(c.visitor),
		Offers: ui.Offers{
			Password: p.engine.Offers(factors.Password), TOTP: p.engine.Offers(factors.TOTP),
			Passkeys: p.engine.Offers(factors.Passkey), SecurityKeys: p.engine.Offers(factors.WebAuthn),
			Phones:  p.engine.Offers(factors.SMSOTP) || p.engine.Offers(factors.WhatsAppOTP),
			Wallets: p.engine.Offers(factors.CryptoWallet),
		},
		Signal: p.signal(c, u),
	}
	for i, e := range u.Emails {
		m.Emails = append(m.Emails, ui.Email{
			ID: e.ID, Address: e.Address, Verified: e.Verified, Primary: i == 0, Removable: p.removable(u, e.ID) && len(u.Emails) > 1,
		})
	}
	if u.Password != nil {
		m.Password = ui.PasswordState{
			Set: true, ChangedAt: u.Password.UpdatedAt, Locked: u.Password.MustReset, Removable: p.removable(u, account.PasswordID(u.ID)),
		}
	}
	m.TOTP = totpState(u)
	if u.TOTP != nil {
		m.TOTP.Removable = p.removable(u, u.TOTP.ID)
	}
	if u.Recovery != nil {
		m.Recovery = ui.RecoveryState{Set: true, Left: u.Recovery.Left(), Of: len(u.Recovery.IDs()), CreatedAt: u.Recovery.CreatedAt}
	}
	p.furtherFactors(&m, u)
	if err := p.devices(c, &m); err != nil {
		return ui.Account{}, err
	}
	for _, s := range list {
		m.Sessions = append(m.Sessions, sessionRow(s, c.visitor.Session))
	}
	return m, nil
}

func (p *Portal) removable(u *account.User, id string) bool {
	return account.MayRemove(u, p.engine.Options().Primary, id) == nil
}

func totpState(u *account.User) ui.TOTPState {
	s := ui.TOTPState{}
	if u.TOTP != nil {
		s.Set, s.CreatedAt, s.UsedAt = true, u.TOTP.ConfirmedAt, u.TOTP.LastUsed()
		return s
	}
	s.Pending = u.PendingTOTP != nil
	if err := account.MayAddSecond(u); err != nil {
		s.Blocked = flow.ErrEmailNotVerified.Detail
	}
	return s
}

func sessionRow(s, current *session.Session) ui.Session {
	return ui.Session{
		ID: s.ID, Device: device(s.Attributes.UserAgent), Address: s.Attributes.IPAddress,
		StartedAt: s.StartedAt, UsedAt: s.LastAccessedAt, Current: s.ID == current.ID,
	}
}

// device describes a browser in the words that its owner would use.
func device(agent string) string {
	ua := useragent.Parse(agent)
	switch {
	case ua.Name == "":
		return "Unknown program"
	case ua.OS == "":
		return ua.Name
	}
	return ua.Name + " on " + ua.OS
}

// accountAgain shows the account page with what has to be put right, or passes the error on.
func (p *Portal) accountAgain(c *call, err error) error {
	e := personal(err)
	if e == nil || c.visitor.Session == nil || errors.Is(e, flow.ErrNoSession) {
		return err
	}
	u, uerr := p.engine.User(c.ctx(), c.visitor)
	if uerr != nil {
		return uerr
	}
	m, aerr := p.account(c, &u)
	if aerr != nil {
		return aerr
	}
	m.Common = refused(m.Common, "", e)
	retryAfter(c.w, e)
	return p.show(c, e.Status, "portal", m)
}

func (p *Portal) accountDone(c *call, err error) error {
	if err != nil {
		return p.accountAgain(c, err)
	}
	return c.redirect(ui.PathAccount)
}

func (p *Portal) postName(c *call) error {
	return p.accountDone(c, p.engine.Rename(c.ctx(), c.visitor, c.value("name")))
}

func (p *Portal) postSessionsForm(c *call) error {
	switch c.value("action") {
	case "revoke":
		return p.accountDone(c, p.engine.RevokeSession(c.ctx(), c.visitor, c.value("session_id")))
	case "revoke_others":
		return p.accountDone(c, p.engine.RevokeOtherSessions(c.ctx(), c.visitor))
	}
	return errBody
}

func (p *Portal) postTOTPForm(c *call) error {
	switch c.value("action") {
	case "start":
		return p.startTOTP(c)
	case "confirm":
		return p.confirmTOTP(c)
	case "cancel":
		return p.afterAccount(c)
	case "remove":
		u, err := p.engine.User(c.ctx(), c.visitor)
		if err != nil {
			return err
		}
		if u.TOTP == nil {
			return p.accountAgain(c, flow.ErrTOTPNotFound)
		}
		return p.removeConfirmed(c, u.TOTP.ID, ui.Confirm{
			Heading: "Remove your authenticator app?", Action: ui.PathTOTP,
			Text:   "Pages that ask for an authenticator code will stay closed until you set up another one. Your recovery codes stop working too.",
			Button: "Remove authenticator app", Fields: []ui.Field{{Name: "action", Value: "remove"}},
		})
	}
	return errBody
}

// removeConfirmed removes a credential once the person has confirmed it.
func (p *Portal) removeConfirmed(c *call, id string, ask ui.Confirm) error {
	if err := p.engine.MayChange(c.ctx(), c.visitor); err != nil {
		return p.accountAgain(c, err)
	}
	if c.value("confirm") != "yes" {
		rules, err := p.engine.NeededBy(c.ctx(), c.visitor, id)
		if err != nil {
			return err
		}
		ask.Common, ask.Cancel, ask.Rules = p.common(c, ""), ui.PathAccount, rules
		return p.show(c, http.StatusOK, "portal", ask)
	}
	return p.accountDone(c, p.engine.RemoveFactor(c.ctx(), c.visitor, id, true))
}

func (p *Portal) startTOTP(c *call) error {
	t, err := p.engine.StartTOTP(c.ctx(), c.visitor)
	if err != nil {
		return p.enrolmentRefused(c, err)
	}
	return p.show(c, http.StatusOK, "portal", ui.EnrolTOTP{
		Common: p.common(c, c.value("flow")), Identity: p.identity(c), ID: t.ID, QR: t.QR, Secret: t.Secret, URI: t.URI,
	})
}

// enrolmentRefused leads an unverified address to its confirmation, which is what helps.
func (p *Portal) enrolmentRefused(c *call, err error) error {
	if !errors.Is(err, flow.ErrEmailNotVerified) {
		return p.accountAgain(c, err)
	}
	return p.accountAgain(c, p.sendConfirmation(c, c.visitor.Session.User.Email, p.engine.SendEmailCode, backTo(c.value("flow"))))
}

func (p *Portal) confirmTOTP(c *call) error {
	result, err := p.engine.AuthenticateTOTP(c.ctx(), c.visitor, typed(c.value("code")))
	if e := personal(err); e != nil && !errors.Is(e, flow.ErrNoSession) {
		m := ui.EnrolTOTP{Common: refused(p.common(c, c.value("flow")), "code", e), Identity: p.identity(c), ID: c.value("totp_id")}
		retryAfter(c.w, e)
		return p.show(c, e.Status, "portal", m)
	}
	if err != nil {
		return err
	}
	c.proven(result)
	pending, _, err := p.pending(c, c.value("flow"))
	if err != nil {
		return err
	}
	if c.value("flow") == "" {
		pending.Return = ui.PathAccount
	}
	return p.showRecoveryCodes(c, pending, result.RecoveryCodes, false)
}

func (p *Portal) showRecoveryCodes(c *call, pending flow.Pending, codes []string, replaced bool) error {
	if c.visitor.Session != nil && pending.Family != "" {
		pending.Family = c.visitor.Session.Family
	}
	id, err := p.engine.Continue(pending)
	if err != nil {
		return err
	}
	return p.show(c, http.StatusOK, "portal", ui.RecoveryCodes{
		Common: p.common(c, id), Identity: p.identity(c), Codes: codes, Host: c.visit.Host, Replaced: replaced,
	})
}

func (p *Portal) postRecoveryForm(c *call) error {
	switch c.value("action") {
	case "new":
		codes, err := p.engine.RenewRecoveryCodes(c.ctx(), c.visitor)
		if err != nil {
			return p.accountAgain(c, err)
		}
		pending := flow.Pending{Host: c.visit.Host, Return: ui.PathAccount, CreatedAt: p.engine.Now()}
		if asked, err := p.engine.Pending(c.visitor, c.visit.Host, c.value("flow")); err == nil {
			pending = asked // the challenge that lacked a code goes on
		}
		return p.showRecoveryCodes(c, pending, codes, true)
	case "saved":
		return p.afterAccount(c)
	}
	return errBody
}

// afterAccount goes on with the flow that led to a page of the account, or back to it.
func (p *Portal) afterAccount(c *call) error {
	if c.value("flow") == "" {
		return c.redirect(ui.PathAccount)
	}
	pending, _, err := p.pending(c, c.value("flow"))
	if err != nil {
		return err
	}
	return p.next(c, pending)
}
