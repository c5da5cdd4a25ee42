package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/internal/gate"
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
// `{http.stepgate.user.email}` | the user's e-mail address
// `{http.stepgate.user.name}` | the user's name
// `{http.stepgate.user.groups}` | the user's groups, separated by commas
// `{http.stepgate.session.id}` | the session's id
// `{http.stepgate.outcome}` | allow, sign_in, step_up, deny, refused or portal
// `{http.stepgate.rule}` | the rule that decided
// `{http.stepgate.reason}` | why, as a stable word
type Handler struct {
	// Policy is the policy file of this gate.
	// Default: that of the stepgate app.
	Policy string `json:"policy,omitempty"`

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
	h.site = gate.Site{Policy: file.current.Load}
	for _, name := range h.Hosts {
		h.site.Hosts = append(h.site.Hosts, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	for _, name := range h.AllowTarget {
		if !slices.Contains(gate.Loosenable, gate.Item(name)) {
			return fmt.Errorf("allow_target: %q cannot be allowed; expected one of %v", name, gate.Loosenable)
		}
		h.site.Loosened = append(h.site.Loosened, gate.Item(name))
	}
	for _, m := range ctx.Modules() {
		if http, ok := m.(*caddyhttp.App); ok {
			h.learnHosts(http)
		}
	}
	return nil
}

// learnHosts collects the host names that the configuration names anywhere. Only those stand
// in links that the gateway sends.
func (h *Handler) learnHosts(app *caddyhttp.App) {
	for _, server := range app.Servers {
		for _, route := range server.Routes {
			for _, set := range route.MatcherSets {
				for _, m := range set {
					if hosts, ok := m.(*caddyhttp.MatchHost); ok {
						h.learn(server, *hosts)
					} else if hosts, ok := m.(caddyhttp.MatchHost); ok {
						h.learn(server, hosts)
					}
				}
			}
		}
	}
	for _, server := range app.Servers {
		h.app.noteOrigin(loopbackOrigin(server.Listen))
	}
}

func (h *Handler) learn(server *caddyhttp.Server, hosts []string) {
	for _, name := range hosts {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		h.site.Known = append(h.site.Known, name)
		if strings.ContainsAny(name, "*{") {
			continue
		}
		if ip, err := netip.ParseAddr(strings.Trim(name, "[]")); name == "localhost" || err == nil && ip.IsLoopback() {
			h.app.noteOrigin(loopbackOrigin(server.Listen))
			continue
		}
		origin := "https://" + name
		if _, port, err := net.SplitHostPort(first(server.Listen)); err == nil && port != "443" && port != "80" {
			origin += ":" + port
		}
		h.app.noteOrigin(origin)
	}
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// loopbackOrigin is how somebody on the same machine reaches a listener; empty when it cannot
// be told.
func loopbackOrigin(listen []string) string {
	addr, err := caddy.ParseNetworkAddress(first(listen))
	if err != nil || addr.IsUnixNetwork() {
		return ""
	}
	return fmt.Sprintf("http://localhost:%d", addr.StartPort)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	h.announce(repl, gate.Verdict{})
	e, err := h.app.use()
	if err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	g := gate.Gate{Engine: e.gate, Site: h.site}
	return g.ServeHTTP(w, r, h.arrival(r, repl), next.ServeHTTP)
}

// arrival collects what Caddy knows about a request.
func (h *Handler) arrival(r *http.Request, repl *caddy.Replacer) gate.Arrival {
	a := gate.Arrival{Judged: func(v gate.Verdict) {
		h.announce(repl, v)
		h.explain(r, v)
	}}
	if text, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && text != "" {
		if ip, err := netip.ParseAddr(text); err == nil {
			a.ClientIP = ip.Unmap().WithZone("")
		}
	}
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		a.OriginalURI = original.RequestURI
	}
	return a
}

// announce sets the placeholders. Each is always set: an unset one would stay in headers as
// the text that it is.
func (h *Handler) announce(repl *caddy.Replacer, v gate.Verdict) {
	var id, email, name, groups, session string
	if s := v.Session; s != nil {
		id, email, name, groups, session = s.UserID, s.User.Email, s.User.Name, strings.Join(s.Roles, ","), s.ID
	}
	repl.Set("http.auth.user.id", id)
	repl.Set("http.stepgate.user.email", email)
	repl.Set("http.stepgate.user.name", name)
	repl.Set("http.stepgate.user.groups", groups)
	repl.Set("http.stepgate.session.id", session)
	repl.Set("http.stepgate.outcome", v.Outcome)
	repl.Set("http.stepgate.rule", v.Rule)
	repl.Set("http.stepgate.reason", v.Reason)
}

// explain adds the decision to the access log, and logs refusals with the id that their
// answer carries.
func (h *Handler) explain(r *http.Request, v gate.Verdict) {
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("stepgate_outcome", v.Outcome))
		extra.Set(zap.String("stepgate_rule", v.Rule))
		extra.Set(zap.String("stepgate_reason", v.Reason))
	}
	if v.RequestID == "" || v.Outcome == "portal" {
		return
	}
	fields := []zap.Field{
		zap.String("request_id", v.RequestID), zap.String("outcome", v.Outcome), zap.String("rule", v.Rule),
		zap.String("reason", v.Reason), zap.String("method", r.Method), zap.String("host", r.Host), zap.String("path", r.URL.Path),
	}
	if v.Session != nil {
		fields = append(fields, zap.String("user_id", v.Session.UserID))
	}
	h.logger.Info("not forwarded", fields...)
}

// Interface guards.
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
