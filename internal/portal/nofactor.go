package portal

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

// noFactor says what to set up, or that nothing helps: then with the reference under which the
// request is found in the log.
func (p *Portal) noFactor(c *call, ch *challenge) error {
	u, err := p.engine.User(c.ctx(), c.visitor)
	if err != nil {
		return err
	}
	m := ui.NoFactor{
		Common: p.common(c, ch.id), Target: target(ch.pending), Identity: p.identity(c),
		Reference: cmp.Or(ch.pending.RequestID, c.visit.RequestID), Options: p.enrolments(ch.progress, u.TOTP != nil),
	}
	return p.show(c, http.StatusForbidden, "step_up", m)
}

// enrolments lists what the user can set up and what leads to the end: factors of alternatives
// of which everything is enrolled or can be set up here. app is set for a user who has an
// authenticator app.
func (p *Portal) enrolments(progress flow.Progress, app bool) []ui.Enrolment {
	var out []ui.Enrolment
	for _, set := range progress.Missing {
		var steps []ui.Enrolment
		whole := true
		for _, m := range set {
			ways := p.enrolment(progress, m.Factor, app)
			whole = whole && (m.Enrolled || len(ways) > 0)
			if !m.Enrolled {
				steps = append(steps, ways...)
			}
		}
		for _, e := range steps {
			if whole && !slices.ContainsFunc(out, func(o ui.Enrolment) bool { return o.Action == e.Action && slices.Equal(o.Fields, e.Fields) }) {
				out = append(out, e)
			}
		}
	}
	return out
}

// enrolment says how a user sets a factor up without help; empty when they cannot.
func (p *Portal) enrolment(progress flow.Progress, factor string, app bool) []ui.Enrolment {
	offered := func(name string) bool {
		return slices.ContainsFunc(progress.Options, func(o flow.Option) bool { return o.Factor == name })
	}
	if !offered(factor) {
		return nil
	}
	base, variant, _ := strings.Cut(factor, ":")
	way := func(action string, fields ...ui.Field) []ui.Enrolment {
		return []ui.Enrolment{{Factor: base, Action: action, Fields: fields}}
	}
	begin := ui.Field{Name: "action", Value: "new"}
	switch product := factors.Product(base); product {
	case factors.TOTP, factors.RecoveryCode:
		if product == factors.RecoveryCode && app {
			return way(ui.PathRecoveryCodes, begin)
		}
		// Setting an authenticator app up gives recovery codes too.
		return []ui.Enrolment{{Factor: string(factors.TOTP), Action: ui.PathTOTP, Fields: []ui.Field{{Name: "action", Value: "start"}}}}
	case factors.Passkey:
		return way(ui.PathPasskeys, begin, ui.Field{Name: "type", Value: "platform"})
	case factors.WebAuthn:
		return way(ui.PathPasskeys, begin, ui.Field{Name: "type", Value: "cross-platform"})
	case factors.SMSOTP, factors.WhatsAppOTP:
		return way(ui.PathPhones, begin)
	case factors.EmailOTP, factors.MagicLink:
		return way(ui.PathEmails, begin)
	case factors.OAuth:
		var out []ui.Enrolment
		for _, provider := range p.engine.Providers() {
			if variant == "" || provider.Name() == variant {
				out = append(out, ui.Enrolment{
					Factor: base, Label: provider.Label(), Action: ui.PathConnections,
					Fields: []ui.Field{{Name: "action", Value: "connect"}, {Name: "provider", Value: provider.Name()}},
				})
			}
		}
		return out
	case factors.CryptoWallet:
		return way(ui.PathWallets, begin)
	case factors.Password:
		return way(ui.PathPassword, begin)
	}
	return nil
}
