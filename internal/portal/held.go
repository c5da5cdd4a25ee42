package portal

import (
	"errors"
	"net/http"
	"strings"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/ui"
)

// owner is whom the requests belong to that wait for a signed-in visitor.
func (c *call) owner() held.Owner {
	s := c.visitor.Session
	return held.Owner{UserID: s.UserID, Family: s.Family, Browser: c.visitor.Browser, Host: c.visit.Host}
}

// heldFor is the request that waits for the end of a flow of the visitor; nil when none was held.
// The error is held.ErrGone when it waits no longer.
func (p *Portal) heldFor(c *call, pending flow.Pending) (*held.Head, error) {
	if pending.Held == "" || c.visitor.Session == nil {
		return nil, nil
	}
	h, err := p.held.Peek(c.ctx(), pending.Held, c.owner())
	if err != nil {
		return nil, err
	}
	return &h, nil
}

// repeat has the browser ask, at the address that a held request was sent to, to have it sent on:
// so the answer of the application arrives where it would have without the challenge.
func (p *Portal) repeat(c *call, ch *challenge) error {
	return p.show(c, http.StatusOK, "portal", ui.Repeat{
		Common: p.common(c, ch.id), Target: ch.target(), Action: ch.held.Target, Name: held.Field, Value: ch.id,
	})
}

// target is what the visitor confirms for: where what they entered goes, or what they open.
func (ch *challenge) target() ui.Target {
	if ch.held == nil {
		return target(ch.pending)
	}
	path, _, _ := strings.Cut(ch.held.Target, "?")
	return ui.Target{Host: ch.pending.Host, Path: path}
}

// over answers for a flow that cannot go on; any other error it returns.
func (p *Portal) over(c *call, ch *challenge, err error) error {
	switch {
	case errors.Is(err, held.ErrGone):
		return p.show(c, http.StatusGone, "error", ui.Expired{Reason: "held", Target: target(ch.pending), Next: local(ch.pending.Return)})
	case errors.Is(err, flow.ErrNotFound):
		return p.show(c, http.StatusNotFound, "error", ui.Expired{Reason: "flow", Next: "/"})
	}
	return err
}

// cancel ends a flow and drops what waits for its end.
func (p *Portal) cancel(c *call, id string) error {
	pending, err := p.engine.Pending(c.visitor, c.visit.Host, id)
	if err == nil && pending.Held != "" {
		if err := p.held.Drop(c.ctx(), pending.Held, c.owner()); err != nil && !errors.Is(err, held.ErrGone) {
			return err
		}
	}
	return c.redirect("/")
}
