package portal

import (
	"errors"
	"net/http"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

// showLink shows what a mailed link is for. It changes nothing, whoever opens it.
func (p *Portal) showLink(c *call) error {
	token := c.r.PathValue("token")
	view, err := p.engine.Link(c.ctx(), c.visitor, token)
	if errors.Is(err, flow.ErrLinkNotFound) {
		return p.show(c, http.StatusNotFound, "error", ui.Expired{Reason: "link", Next: ui.PathSignIn})
	}
	if err != nil {
		return err
	}
	return p.show(c, http.StatusOK, "portal", p.linkPage(c, token, view))
}

func (p *Portal) linkPage(c *call, token string, view flow.LinkView) ui.MagicLink {
	m := ui.MagicLink{Common: p.common(c, ""), Token: token, Email: view.Email, Code: view.Code}
	if pending, err := p.engine.Pending(c.visitor, c.visit.Host, view.Flow); err == nil {
		m.Target = target(pending)
	}
	return m
}

// postLink signs in by a link, in the browser that asked for it.
func (p *Portal) postLink(c *call) error {
	token := c.r.PathValue("token")
	view, err := p.engine.Link(c.ctx(), c.visitor, token)
	if errors.Is(err, flow.ErrLinkNotFound) {
		return p.show(c, http.StatusNotFound, "error", ui.Expired{Reason: "link", Next: ui.PathSignIn})
	}
	if err != nil {
		return err
	}
	c.visitor.Flow = view.Flow
	result, err := p.engine.AuthenticateLink(c.ctx(), c.visitor, token)
	if e := personal(err); e != nil {
		m := p.linkPage(c, token, view)
		m.Common = refused(m.Common, "", e)
		return p.show(c, e.Status, "portal", m)
	}
	if err != nil {
		return err
	}
	c.proven(result)
	pending, _, err := p.pending(c, view.Flow)
	if err != nil {
		return err
	}
	return p.next(c, pending)
}
