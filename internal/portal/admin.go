package portal

import (
	"net/http"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

// routeAdmin registers the pages of administrators.
func (p *Portal) routeAdmin() {
	p.admin("GET "+ui.PathAdmin, func(c *call, _ flow.Administrator) error { return c.redirect(ui.PathAdminUsers) })
	p.admin("GET "+ui.PathAdminUsers, p.showUsers)
	p.adminForm(ui.PathAdminUsers, p.postUsers)
	p.admin("GET "+ui.PathAdminUsers+"/{user}", p.showUser)
	p.adminForm(ui.PathAdminUsers+"/{user}", p.postUser)
	p.admin("GET "+ui.PathAdminPolicy, p.showPolicy)
	p.admin("GET "+ui.PathAdminEvents, p.showEvents)
	p.admin("GET "+ui.PathAdminReadiness, p.showReadiness)
	p.admin("GET "+ui.PathAdminRefusals, p.showRefusals)
	p.admin("GET "+ui.PathAdminRefusals+"/{reference}", p.showRefusal)
}

type adminHandler func(c *call, a flow.Administrator) error

// administrator asks who makes a call before its handler runs.
func (p *Portal) administrator(h adminHandler) pageHandler {
	return func(c *call) error {
		a, err := p.engine.Administrator(c.ctx(), c.visitor)
		if err != nil {
			return err
		}
		return h(c, a)
	}
}

func (p *Portal) admin(pattern string, h adminHandler)  { p.page(pattern, p.administrator(h)) }
func (p *Portal) adminForm(path string, h adminHandler) { p.form(path, p.administrator(h)) }

const (
	// usersPerPage bounds the list, and usersPerLook what is read at once to fill it.
	usersPerPage = 50
	usersPerLook = 500
)

func (p *Portal) showUsers(c *call, a flow.Administrator) error {
	m, err := p.users(c, a)
	if err != nil {
		return err
	}
	return p.show(c, http.StatusOK, "portal", m)
}

// users is the page of users that was asked for.
func (p *Portal) users(c *call, a flow.Administrator) (ui.Admin, error) {
	query, after := c.r.URL.Query().Get("q"), c.r.URL.Query().Get("after")
	m := ui.Admin{Common: p.common(c, ""), Identity: p.identity(c), Query: query}
	for {
		list, err := a.List(c.ctx(), after, usersPerLook)
		if err != nil {
			return m, err
		}
		for i := range list {
			if !finds(&list[i], query) {
				continue
			}
			if len(m.Users) == usersPerPage {
				m.Next = m.Users[usersPerPage-1].ID
				return m, nil
			}
			m.Users = append(m.Users, userRow(&list[i]))
		}
		if len(list) < usersPerLook {
			return m, nil
		}
		after = list[len(list)-1].ID
	}
}

// finds tells whether a search finds a user: by name or address, whatever the letter case.
func finds(u *account.User, query string) bool {
	query = strings.ToLower(strings.TrimSpace(query))
	if query == "" || strings.Contains(strings.ToLower(u.Name), query) {
		return true
	}
	return slices.ContainsFunc(u.Emails, func(e account.Email) bool { return strings.Contains(e.Address, query) })
}

func userRow(u *account.User) ui.User {
	m := u.PrimaryEmail()
	row := ui.User{
		ID: u.ID, Email: m.Address, Name: u.Name, Groups: u.AllGroups(), Verified: m.Verified, State: "active", Weak: !account.CanCombine(u),
	}
	if u.Locked() {
		row.State = "locked"
	}
	for _, f := range u.Enrolled() {
		name := f.Name
		if f.Discoverable {
			name = "passkey"
		}
		if name != "magic_link" && name != "whatsapp_otp" && !slices.Contains(row.Factors, name) { // the code to the same place stands for them
			row.Factors = append(row.Factors, name)
		}
	}
	return row
}

func (p *Portal) postUsers(c *call, a flow.Administrator) error {
	if c.value("action") != "invite" {
		return errBody
	}
	link, _, err := a.Invite(c.ctx(), c.visit.Origin, account.NewUser{
		Email: strings.TrimSpace(c.value("email")), Name: strings.TrimSpace(c.value("name")), Groups: typedGroups(c.value("groups")),
	})
	e := personal(err)
	if err != nil && e == nil {
		return err
	}
	m, err := p.users(c, a)
	if err != nil {
		return err
	}
	if e != nil {
		m.Email, m.Name, m.Groups = c.value("email"), c.value("name"), c.value("groups")
		field := ""
		if e.Type == flow.ErrInvalidEmail.Type || e.Type == flow.ErrEmailTaken.Type {
			field = "email"
		}
		m.Common = refused(m.Common, field, e)
		return p.show(c, e.Status, "portal", m)
	}
	m.Link = link
	return p.show(c, http.StatusOK, "portal", m)
}

// typedGroups reads groups that are separated by commas.
func typedGroups(text string) []string {
	var out []string
	for g := range strings.SplitSeq(text, ",") {
		if g = strings.TrimSpace(g); g != "" {
			out = append(out, g)
		}
	}
	return out
}
