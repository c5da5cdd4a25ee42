package caddymodule

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/policy"
)

func init() {
	caddy.RegisterModule(&Matcher{})
}

// Matcher matches requests whose session meets a requirement now, so that other directives can
// depend on what the visitor has proven:
//
//	@elevated stepgate mfa 5m
//	header @elevated X-Elevated yes
//
// It protects nothing by itself: it neither asks for factors nor takes headers of the gateway's
// names out of the request. Visitors who are not signed in never match. When the store cannot
// tell who is asking, the request fails with 503, so that “not stepgate …” fails closed too.
type Matcher struct {
	// Require names factors, built-ins, or requirements of the app's policy file, whose later
	// changes apply here too. All of them are needed.
	// Default: none; one is required.
	Require []string `json:"require,omitempty"`
	// Within is how fresh each factor must be.
	// Default: as long as the session lasts.
	Within caddy.Duration `json:"within,omitempty"`

	app      *App
	required func() *policy.Policy
}

// CaddyModule implements caddy.Module.
func (*Matcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers.stepgate", New: func() caddy.Module { return new(Matcher) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	stepgate <name>... [<duration>]
func (m *Matcher) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		if len(m.Require) > 0 {
			return d.Err("stepgate is given twice; name all requirements in one")
		}
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		if last := args[len(args)-1]; last != "" && last[0] >= '0' && last[0] <= '9' {
			span, err := freshness(last)
			if err != nil {
				return d.Err(err.Error())
			}
			m.Within, args = span, args[:len(args)-1]
		}
		m.Require = args
		if err := m.rule().check(); err != nil {
			return d.Err(err.Error())
		}
		if d.NextBlock(d.Nesting()) {
			return d.Err("stepgate takes no block here")
		}
	}
	return nil
}

// rule is the inline rule that asks for the same.
func (m *Matcher) rule() *InlineRule { return &InlineRule{Require: m.Require, Within: m.Within} }

// Provision implements caddy.Provisioner.
func (m *Matcher) Provision(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured("stepgate")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return errors.New("the stepgate matcher needs the stepgate global option: add “stepgate” to the options at the top of the Caddyfile")
	}
	if err != nil {
		return err
	}
	m.app = app.(*App)
	m.required, err = m.app.policies.inline(m.rule(), m.app.Policy, false)
	return err
}

// MatchWithError implements caddyhttp.RequestMatcherWithError. A proof that serves one request
// does not count: nothing would spend it here.
func (m *Matcher) MatchWithError(r *http.Request) (bool, error) {
	e, err := m.app.use()
	if err != nil {
		return false, caddyhttp.Error(http.StatusServiceUnavailable, fmt.Errorf("stepgate matcher: %w", err))
	}
	cookies := r.Header["Cookie"]
	if p, ok := caddyhttp.GetVar(r.Context(), passageVar).(*passage); ok {
		cookies = p.cookie // a gate in front took the session's out
	}
	s, err := e.gate.Visitor(r, cookies)
	if err != nil {
		return false, caddyhttp.Error(http.StatusServiceUnavailable, fmt.Errorf("stepgate matcher: %w", err))
	}
	if s == nil {
		return false, nil
	}
	d := m.required().Decide(&policy.Request{Method: r.Method, Host: "any", Path: "/"}, s.Subject(), e.gate.Now())
	return d.Outcome() == policy.Allow && len(d.Spends()) == 0, nil
}

// Interface guards.
var (
	_ caddy.Provisioner                 = (*Matcher)(nil)
	_ caddyfile.Unmarshaler             = (*Matcher)(nil)
	_ caddyhttp.RequestMatcherWithError = (*Matcher)(nil)
)
