package portal

import (
	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

// The addresses below /.well-known/ that the portal can serve.
const (
	// changeAddress leads to the page that changes the password (W3C, A Well-Known URL for
	// Changing Passwords).
	changeAddress = "/.well-known/change-password"
	// keyEndpoints tells password managers where passkeys are made and managed (W3C, A
	// Well-Known URL for Relying Party Passkey Endpoints).
	keyEndpoints = "/.well-known/passkey-endpoints"
	// relatedOrigins lists the other origins that may use the passkeys of a host (WebAuthn,
	// section 5.11).
	relatedOrigins = "/.well-known/webauthn"
)

// WellKnown tells whether the portal serves a path below /.well-known/ of a host: ours when the
// application does not, always when the configuration says what is there.
func (p *Portal) WellKnown(host, path string) (ours, always bool) {
	switch path {
	case changeAddress:
		return p.engine.Offers(factors.Password), false
	case keyEndpoints:
		return p.engine.Offers(factors.Passkey), false
	case relatedOrigins:
		o := p.engine.Options()
		listed := len(o.RelatedOrigins) > 0 && host == o.RPID
		return listed, listed
	}
	return false, false
}

func (p *Portal) routeWellKnown() {
	p.page("GET "+changeAddress, func(c *call) error { return c.redirect(ui.PathPassword) })
	p.page("GET "+keyEndpoints, p.showPasskeyEndpoints)
	p.page("GET "+relatedOrigins, func(c *call) error {
		p.writeJSON(c, map[string]any{"origins": p.engine.Options().RelatedOrigins})
		return nil
	})
}

func (p *Portal) showPasskeyEndpoints(c *call) error {
	if c.visit.Origin == "" {
		return flow.ErrNoOrigin
	}
	p.writeJSON(c, map[string]string{
		"enroll": c.visit.Origin + ui.PathPasskeys + "/new?type=platform", "manage": c.visit.Origin + ui.PathAccount,
	})
	return nil
}
