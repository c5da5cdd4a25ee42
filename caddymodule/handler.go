package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/problem"
)

func init() {
	caddy.RegisterModule(&Handler{})
}

// Handler gates a route: it forwards a request when the policy lets it pass, asks on its own
// pages for what is missing, or refuses.
//
// It sets these placeholders on every request, empty where they do not apply:
//
// Placeholder | Description
// ------------|------------
// `{http.auth.user.id}` | the id of the signed-in user
// `{http.stepgate.user.id}` | the same, whatever ran in front of the gate
// `{http.stepgate.user.email}` | the user's e-mail address
// `{http.stepgate.user.name}` | the user's name
// `{http.stepgate.user.groups}` | the user's groups, separated by commas
// `{http.stepgate.session.id}` | the session's id
// `{http.stepgate.outcome}` | allow, sign_in, step_up, deny, refused or portal
// `{http.stepgate.rule}` | the rule that decided
// `{http.stepgate.floor}` | the floor of the policy that is missing something
// `{http.stepgate.reason}` | why, as a stable word
// `{http.stepgate.held}` | what became of a form that met a step-up: held, sent, gone, too_large, busy, unreadable or cross_site
// `{http.stepgate.request_id}` | the reference that the answer carries, when the gateway answered itself; else that in the decision log, if it is written there
//
// `{http.auth.user.id}` keeps the value that an authenticator in front of the gate gave it.
//
// It counts `stepgate_decisions_total{outcome}`, `stepgate_held_forms_total{result}` for forms that
// met a step-up, and, for rules with `report_only`, `stepgate_reported_total{outcome}`, which it
// also logs as “reported”. It emits the event
// `stepgate_denied` with `rule`, `reason` and `request_id`. The access log gets the field
// `stepgate`.
type Handler struct {
	// Policy is the policy file of this gate.
	// Default: that of the stepgate app.
	Policy string `json:"policy,omitempty"`

	// Rule is a policy of one rule, instead of a file. Write several gates for several rules.
	// Default: none.
	Rule *InlineRule `json:"rule,omitempty"`

	// Hosts are the host names that this gate serves; others get 421.
	// Default: every host that the site serves.
	Hosts []string `json:"hosts,omitempty"`

	// AllowTarget names items that request targets of this route may contain although
	// programs read them in different ways: backslash, encoded_backslash, encoded_dot,
	// encoded_percent, encoded_slash, empty_segment, non_ascii, semicolon, trailing_dot,
	// trailing_space.
	// Default: none.
	AllowTarget []string `json:"allow_target,omitempty"`

	app    *App
	site   gate.Site
	logger *zap.Logger
	// gate is made with the first request, when the engine is there.
	gate atomic.Pointer[gate.Gate]
	// access is set when the server writes an access log.
	access bool
}

// CaddyModule implements caddy.Module.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.stepgate", New: func() caddy.Module { return new(Handler) }}
}

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	app, err := ctx.AppIfConfigured("stepgate")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return errors.New("the stepgate directive needs the stepgate global option: add “stepgate” to the options at the top of the Caddyfile")
	}
	if err != nil {
		return err
	}
	h.app = app.(*App)
	if err := h.provisionPolicy(); err != nil {
		return err
	}
	h.site.Hosts = folded(h.Hosts)
	if err := checkItems(h.AllowTarget); err != nil {
		return err
	}
	for _, name := range h.AllowTarget {
		h.site.Loosened = append(h.site.Loosened, gate.Item(name))
	}
	return h.learnHosts(ctx)
}

// provisionPolicy finds the policy of the gate: its own rule, its own file, or the app's file.
func (h *Handler) provisionPolicy() error {
	if h.Rule != nil {
		if h.Policy != "" {
			return errors.New("a gate has a policy file or an inline rule, not both")
		}
		current, err := h.app.policies.inline(h.Rule, h.app.Policy, true)
		if err != nil {
			return err
		}
		h.site.Policy, h.site.PolicyName = current, h.Rule.name()
		return nil
	}
	path := h.Policy
	if path == "" {
		path = h.app.Policy
	}
	if path == "" {
		return errors.New("no policy: name a file beside the directive, or in the stepgate global option")
	}
	file, err := h.app.policies.get(path)
	if err != nil {
		return err
	}
	h.site.Policy, h.site.PolicyName = file.current.Load, file.path
	return nil
}

// checkItems refuses what no gate can loosen.
func checkItems(names []string) error {
	for _, name := range names {
		if !slices.Contains(gate.Loosenable, gate.Item(name)) {
			return fmt.Errorf("allow_target: %q cannot be allowed; expected one of %v", name, gate.Loosenable)
		}
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	p := pass(r, r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
	if h.access {
		p.logged(r)
	}
	e, err := h.app.use()
	if err != nil {
		h.logger.Error("the store cannot be used", zap.Error(err))
		return unavailable(w, err)
	}
	a := gate.Arrival{ClientIP: clientIP(r), Absent: absent}
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		a.OriginalURI = original.RequestURI
	}
	asked := targetOf(r, a.OriginalURI)
	a.Judged = func(v gate.Verdict) {
		p.verdict = v
		if h.Rule != nil && h.Rule.Allow && v.Rule == h.Rule.name() {
			p.allowed, p.allowedFor = v.Decision, asked
		}
		h.judged(r, v)
	}
	if h.Rule == nil {
		a.Allowed = p.allowedBefore(asked)
	}
	g := h.gate.Load()
	if g == nil {
		g = &gate.Gate{Engine: e.gate, Site: h.site}
		h.gate.Store(g)
	}
	if len(p.loosened) > 0 {
		g = &gate.Gate{Engine: e.gate, Site: h.site}
		g.Loosened = slices.Concat(p.loosened, h.site.Loosened)
	}
	p.loosened = g.Loosened
	return g.ServeHTTP(w, r, a, forward(next))
}

// absent tells whether a handler behind the gate found nothing at an address.
func absent(err error) bool {
	var e caddyhttp.HandlerError
	return errors.As(err, &e) && e.StatusCode == http.StatusNotFound
}

// forward is what follows in the chain, for the gate. In Caddy's chains that is a function
// already, which then needs no new one around it.
func forward(next caddyhttp.Handler) gate.Next {
	if f, ok := next.(caddyhttp.HandlerFunc); ok {
		return gate.Next(f)
	}
	return next.ServeHTTP
}

// unavailable refuses a request that cannot be judged. It answers rather than return an error:
// a route for errors would run with the headers that the client sent.
func unavailable(w http.ResponseWriter, cause error) error {
	w.Header().Set("Stepgate-Response", "error")
	err := problem.Write(w, problem.Problem{
		Status: http.StatusServiceUnavailable, ErrorType: "store_unavailable",
		Detail: "The gateway cannot tell who is asking right now. Try again in a moment.",
	}, nil)
	if err != nil {
		return fmt.Errorf("%w (while refusing: %w)", err, cause)
	}
	return nil
}

// judged counts a decision, and logs refusals with the id that their answer carries.
func (h *Handler) judged(r *http.Request, v gate.Verdict) {
	judged.count(v.Outcome)
	if v.Held != "" {
		heldForms.WithLabelValues(v.Held).Inc()
	}
	for _, seen := range v.Reports {
		reported.count(seen.Outcome.String())
		h.logger.Info("reported", append(about(r, v),
			zap.String("rule", seen.Rule), zap.Bool("floor", seen.Floor), zap.String("would", seen.Outcome.String()), zap.Any("missing", seen.Missing))...)
	}
	if v.Outcome == "deny" {
		h.app.emit("stepgate_denied", map[string]any{"rule": v.Rule, "reason": v.Reason, "request_id": v.RequestID})
	}
	if v.Outcome == "allow" || v.Outcome == "portal" {
		return
	}
	h.logger.Info("not forwarded", append(about(r, v), zap.String("rule", v.Rule), zap.String("floor", v.Floor), zap.String("reason", v.Reason))...)
}

// about are the fields by which a line of the log can be traced to its request.
func about(r *http.Request, v gate.Verdict) []zap.Field {
	fields := []zap.Field{
		zap.String("request_id", v.RequestID), zap.String("outcome", v.Outcome),
		zap.String("method", r.Method), zap.String("host", r.Host), zap.String("path", r.URL.Path),
	}
	if v.Session != nil {
		fields = append(fields, zap.String("user_id", v.Session.UserID))
	}
	if v.Held != "" {
		fields = append(fields, zap.String("held", v.Held))
	}
	return fields
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
