package portal

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

func (p *Portal) showUser(c *call, a flow.Administrator) error {
	m, err := p.user(c, a)
	if err != nil {
		return err
	}
	return p.show(c, http.StatusOK, "portal", m)
}

// user is the page of one user.
func (p *Portal) user(c *call, a flow.Administrator) (ui.AdminUser, error) {
	u, err := a.Find(c.ctx(), c.r.PathValue("user"))
	if err != nil {
		return ui.AdminUser{}, err
	}
	list, err := a.Sessions(c.ctx(), u.ID)
	if err != nil {
		return ui.AdminUser{}, err
	}
	until, err := a.LockedUntil(c.ctx(), u.ID)
	if err != nil {
		return ui.AdminUser{}, err
	}
	events, err := p.events.Last(c.ctx(), u.ID, shownOfUser)
	if err != nil {
		return ui.AdminUser{}, err
	}
	m := ui.AdminUser{
		Common: p.common(c, ""), Identity: p.identity(c), User: userRow(&u), CreatedAt: u.CreatedAt, PausedUntil: until,
		Events:  eventRows(c.ctx(), a, events),
		Factors: credentials(&u), Passwords: p.engine.Offers(factors.Password),
	}
	m.User.Groups = u.Groups
	for _, s := range list {
		m.Sessions = append(m.Sessions, sessionRow(s, c.visitor.Session))
	}
	all := u.AllClaims()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		text, err := json.Marshal(all[name])
		if err != nil {
			return m, fmt.Errorf("show the claim %q: %w", name, err)
		}
		_, own := u.CustomClaims[name]
		m.Claims = append(m.Claims, ui.Claim{Name: name, Value: string(text), Given: !own})
	}
	return m, nil
}

// credentials lists what a user has, for administrators.
func credentials(u *account.User) []ui.Credential {
	var out []ui.Credential
	if c := u.Password; c != nil {
		out = append(out, ui.Credential{Factor: "password", ID: account.PasswordID(u.ID), CreatedAt: c.CreatedAt})
	}
	if c := u.TOTP; c != nil {
		out = append(out, ui.Credential{Factor: "totp", ID: c.ID, CreatedAt: c.ConfirmedAt, UsedAt: c.LastUsed()})
	}
	for _, k := range u.Keys {
		factor := "webauthn"
		if k.Discoverable {
			factor = "passkey"
		}
		out = append(out, ui.Credential{Factor: factor, ID: k.ID, Label: k.Name, CreatedAt: k.CreatedAt, UsedAt: k.LastUsedAt})
	}
	for _, e := range u.Emails {
		out = append(out, ui.Credential{Factor: "email_otp", ID: e.ID, Label: e.Address, CreatedAt: e.CreatedAt})
	}
	for _, n := range u.Phones {
		out = append(out, ui.Credential{Factor: "sms_otp", ID: n.ID, Label: n.Number, CreatedAt: n.VerifiedAt})
	}
	for _, i := range u.Identities {
		out = append(out, ui.Credential{Factor: "oauth", ID: i.ID, Label: strings.TrimSpace(i.Provider + " " + i.Email), CreatedAt: i.CreatedAt, UsedAt: i.LastUsedAt})
	}
	for i := range u.Wallets {
		w := &u.Wallets[i]
		out = append(out, ui.Credential{Factor: "crypto_wallet", ID: w.ID, Label: flow.WalletAddress(w), CreatedAt: w.CreatedAt, UsedAt: w.LastUsedAt})
	}
	return out
}

func (p *Portal) postUser(c *call, a flow.Administrator) error {
	u, err := a.Find(c.ctx(), c.r.PathValue("user"))
	if err != nil {
		return err
	}
	switch c.value("action") {
	case "lock":
		return p.userDone(c, a, a.Lock(c.ctx(), u.ID))
	case "unlock":
		return p.userDone(c, a, a.Unlock(c.ctx(), u.ID))
	case "revoke_sessions":
		return p.userDone(c, a, a.RevokeSessions(c.ctx(), u.ID))
	case "revoke":
		return p.userDone(c, a, a.RevokeSession(c.ctx(), u.ID, c.value("session_id")))
	case "groups":
		return p.userDone(c, a, a.SetGroups(c.ctx(), u.ID, typedGroups(c.value("groups"))))
	case "claim":
		_, err := a.SetClaims(c.ctx(), u.ID, map[string]any{strings.TrimSpace(c.value("name")): account.ParseClaim(c.value("value"))})
		return p.userDone(c, a, err)
	case "reset_link":
		return p.resetLink(c, a, u.ID)
	case "reset_factor":
		return p.resetFactor(c, a, &u)
	case "delete":
		return p.deleteUser(c, a, &u)
	}
	return errBody
}

// userDone leads back to the page of the user, or shows there what has to be put right.
func (p *Portal) userDone(c *call, a flow.Administrator, err error) error {
	if err == nil {
		return c.redirect(c.r.URL.Path)
	}
	e := personal(err)
	if e == nil || e.Type == flow.ErrNotFound.Type {
		return err
	}
	m, err := p.user(c, a)
	if err != nil {
		return err
	}
	m.Common = refused(m.Common, "", e)
	return p.show(c, e.Status, "portal", m)
}

func (p *Portal) resetLink(c *call, a flow.Administrator, id string) error {
	link, _, err := a.ResetLink(c.ctx(), c.visit.Origin, id)
	if err != nil {
		return p.userDone(c, a, err)
	}
	m, err := p.user(c, a)
	if err != nil {
		return err
	}
	m.Link = link
	return p.show(c, http.StatusOK, "portal", m)
}

func (p *Portal) resetFactor(c *call, a flow.Administrator, u *account.User) error {
	id := c.value("id")
	i := slices.IndexFunc(credentials(u), func(f ui.Credential) bool { return f.ID == id })
	if i < 0 {
		return flow.ErrNotFound
	}
	if c.value("confirm") == "yes" {
		return p.userDone(c, a, a.ResetFactor(c.ctx(), u.ID, id))
	}
	f := credentials(u)[i]
	return p.ask(c, ui.Confirm{
		Heading: "Take this away from " + u.PrimaryEmail().Address + "?", Button: "Take it away",
		Text:   ui.Method{Factor: f.Factor}.Noun() + " " + f.Label + ": the user can no longer sign in or confirm with it, is signed out everywhere, and is told by mail. Nothing takes its place.",
		Fields: []ui.Field{{Name: "action", Value: "reset_factor"}, {Name: "id", Value: id}},
	})
}

func (p *Portal) deleteUser(c *call, a flow.Administrator, u *account.User) error {
	if c.value("confirm") != "yes" {
		return p.ask(c, ui.Confirm{
			Heading: "Delete " + u.PrimaryEmail().Address + "?", Button: "Delete the account",
			Text:   "Everything that is set up for this account goes with it. This cannot be undone.",
			Fields: []ui.Field{{Name: "action", Value: "delete"}},
		})
	}
	if err := a.Delete(c.ctx(), u.ID); err != nil {
		return p.userDone(c, a, err)
	}
	return c.redirect(ui.PathAdminUsers)
}

// ask shows a page that confirms an action on the page of a user.
func (p *Portal) ask(c *call, m ui.Confirm) error {
	m.Common, m.Action, m.Cancel = p.common(c, ""), c.r.URL.Path, c.r.URL.Path
	return p.show(c, http.StatusOK, "portal", m)
}
