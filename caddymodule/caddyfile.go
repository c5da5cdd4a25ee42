package caddymodule

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/internal/gate"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("stepgate", parseGlobal)
	httpcaddyfile.RegisterDirective("stepgate", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("stepgate", httpcaddyfile.After, "forward_auth")
}

// parseGlobal reads the global option. Syntax:
//
//	stepgate {
//		store bolt [<path>]
//		secret <secret> [<previous>...]
//		policy <file>
//		name <name>
//		session {
//			lifetime <duration>
//			idle <duration>
//		}
//		lockout <failures> [<duration>]
//		hold <size>|off
//		registration closed|invite|open [<domain>...]
//		mail smtp|outbox ...
//		sms twilio|webhook|outbox ...
//		whatsapp meta|twilio|webhook|outbox ...
//		factors {
//			<factor> ...
//		}
//		primary <factor>...
//		decision_log <file> {
//			allowed all|none|1/<number>
//			repeats <duration>
//			roll_size <size>
//			roll_keep <number>
//			roll_keep_for <days>
//		}
//		audit_keep <duration>
//	}
func parseGlobal(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next()
	if existing != nil {
		return nil, d.Err("the stepgate option is given twice")
	}
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	app := new(App)
	seen := make(map[string]bool)
	var primary *caddyfile.Dispenser // where that option stands, which can only be judged at the end
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return nil, d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if option == "primary" {
			at := *d
			primary = &at
		}
		if err := app.option(d, option); err != nil {
			return nil, err
		}
	}
	if primary != nil {
		if _, err := app.primary(app.offered()); err != nil {
			return nil, primary.Err(err.Error())
		}
	}
	return httpcaddyfile.App{Name: "stepgate", Value: caddyconfig.JSON(app, nil)}, nil
}

func (a *App) option(d *caddyfile.Dispenser, option string) (err error) {
	switch option {
	case "store":
		a.StoreRaw, err = guest(d, "stepgate.stores.", "engine")
	case "mail":
		a.MailRaw, err = guest(d, "stepgate.senders.", "sender")
	case "sms":
		a.SMSRaw, err = guest(d, "stepgate.senders.", "sender")
	case "whatsapp":
		a.WhatsAppRaw, err = guest(d, "stepgate.senders.", "sender")
	case "secret":
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		a.Secret, a.PreviousSecrets = args[0], args[1:]
	case "policy":
		return oneArg(d, &a.Policy)
	case "name":
		return oneArg(d, &a.Name)
	case "session":
		return a.Session.unmarshal(d)
	case "lockout":
		return a.Lockout.unmarshal(d)
	case "hold":
		return a.unmarshalHold(d)
	case "registration":
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		a.Registration = RegistrationConfig{Mode: args[0], Domains: args[1:]}
		switch {
		case args[0] != "closed" && args[0] != "invite" && args[0] != "open":
			return d.Errf("unknown registration %q; expected closed, invite or open", args[0])
		case args[0] != "open" && len(args) > 1:
			return d.Errf("domains belong to open registration")
		}
	case "factors":
		return a.unmarshalFactors(d)
	case "primary":
		if a.Primary = d.RemainingArgs(); len(a.Primary) == 0 {
			return d.ArgErr()
		}
	case "decision_log":
		a.DecisionLog = new(DecisionLogConfig)
		return a.DecisionLog.unmarshal(d)
	case "audit_keep":
		var text string
		if err := oneArg(d, &text); err != nil {
			return err
		}
		span, err := caddy.ParseDuration(text)
		if err != nil || span <= 0 {
			return d.Errf("%q is no duration; write one like 90d", text)
		}
		a.AuditKeep = caddy.Duration(span)
		if err := a.checkAuditKeep(); err != nil {
			return d.Err(err.Error())
		}
	default:
		return d.Errf("unrecognized option %q; expected store, secret, policy, name, session, lockout, hold, registration, mail, sms, whatsapp, factors, primary, decision_log or audit_keep", option)
	}
	return err
}

// guest reads a module whose name is the next argument.
func guest(d *caddyfile.Dispenser, namespace, key string) (json.RawMessage, error) {
	if !d.NextArg() {
		return nil, d.ArgErr()
	}
	name := d.Val()
	if _, err := caddy.GetModule(namespace + name); err != nil {
		return nil, d.Errf("unknown %s %q; expected one of %s", key, name, strings.Join(guests(namespace), ", "))
	}
	mod, err := caddyfile.UnmarshalModule(d, namespace+name)
	if err != nil {
		return nil, err
	}
	return caddyconfig.JSONModuleObject(mod, key, name, nil), nil
}

// guests lists the names of the modules of a namespace.
func guests(namespace string) []string {
	var out []string
	for _, m := range caddy.GetModules(strings.TrimSuffix(namespace, ".")) {
		out = append(out, m.ID.Name())
	}
	return out
}

func (a *App) unmarshalFactors(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	a.FactorsRaw = make(caddy.ModuleMap)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if name == "oauth" {
			if err := a.unmarshalOAuth(d); err != nil {
				return err
			}
			continue
		}
		if a.FactorsRaw[name] != nil {
			return d.Errf("factor %s is given twice", name)
		}
		if _, err := caddy.GetModule("stepgate.factors." + name); err != nil {
			return d.Errf("unknown factor %q; expected one of %s", name, strings.Join(guests("stepgate.factors"), ", "))
		}
		mod, err := caddyfile.UnmarshalModule(d, "stepgate.factors."+name)
		if err != nil {
			return err
		}
		a.FactorsRaw[name] = caddyconfig.JSON(mod, nil)
	}
	if len(a.FactorsRaw) == 0 {
		return d.Err("factors names none; leave it out for the default")
	}
	return nil
}

// unmarshal reads the option. Syntax:
//
//	lockout <failures> [<duration>]
func (l *LockoutConfig) unmarshal(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return d.ArgErr()
	}
	n, err := strconv.Atoi(args[0])
	if err != nil || n <= 0 {
		return d.Errf("%q is no number of failures", args[0])
	}
	l.After = n
	if len(args) == 2 {
		span, err := caddy.ParseDuration(args[1])
		if err != nil || span <= 0 {
			return d.Errf("%q is no duration; write one like 1h or 30m", args[1])
		}
		l.For = caddy.Duration(span)
	}
	return nil
}

func (s *SessionConfig) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var into *caddy.Duration
		switch d.Val() {
		case "lifetime":
			into = &s.Lifetime
		case "idle":
			into = &s.Idle
		default:
			return d.Errf("unrecognized option %q; expected lifetime or idle", d.Val())
		}
		if *into != 0 {
			return d.Errf("%s is given twice", d.Val())
		}
		var text string
		if err := oneArg(d, &text); err != nil {
			return err
		}
		span, err := caddy.ParseDuration(text)
		if err != nil || span <= 0 {
			return d.Errf("%q is no duration; write one like 24h or 90m", text)
		}
		*into = caddy.Duration(span)
	}
	if err := s.check(); err != nil {
		return d.Err(err.Error())
	}
	return nil
}

// parseDirective reads the directive. Syntax:
//
//	stepgate [<matcher>] [<policy file>] {
//		hosts <name>...
//		allow_target <item>...
//		require <name>... [within <duration>]
//		allow
//		deny
//	}
//
// An argument that begins with "/" is a path matcher, as for every directive. A policy file
// with an absolute path therefore needs the matcher "*" before it; without one, the gate
// would silently guard nothing but that path, so it is an error.
//
// The path before an inline rule is read as a path of the policy file, which knows more
// spellings of a path than Caddy's matcher. With any other matcher, the pages of the gateway
// stay reachable beside what the matcher lets in. A rule that allows gets a matcher too, by
// which Caddy puts it in front of the gate of the whole site.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next()
	path := ""
	if h.NextArg() {
		path = h.Val()
		if strings.HasPrefix(path, "/") && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			return nil, h.Errf("%s would be read as a path to guard, and nothing else would be guarded; write “stepgate * %s” for a policy file", path, path)
		}
	}
	h.Reset()
	h.Next()
	at := *h.Dispenser
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	if handler.Rule != nil && strings.HasPrefix(path, "/") {
		handler.Rule.Path = path
		if err := handler.Rule.check(); err != nil {
			return nil, at.Err(err.Error())
		}
		matcher = nil
		if handler.Rule.Allow {
			matcher = caddy.ModuleMap{"path": h.JSON(handler.Rule.matcher())}
		}
	}
	routes := h.NewRoute(matcher, handler)
	if len(matcher) > 0 {
		own := caddy.ModuleMap{"path": h.JSON(caddyhttp.MatchPath{gate.Prefix + "*"})}
		routes = append(routes, h.NewRoute(own, handler)...)
	}
	return routes, nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Its syntax is that of the directive.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.ArgErr()
	}
	if len(args) == 1 {
		h.Policy = args[0]
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var into *[]string
		switch d.Val() {
		case "hosts":
			into = &h.Hosts
		case "allow_target":
			into = &h.AllowTarget
		case "require", "allow", "deny":
			if h.Rule != nil {
				return d.Err("a gate has one inline rule; write a policy file for more")
			}
			if h.Policy != "" {
				return d.Err("a gate has a policy file or an inline rule, not both; write the directive twice")
			}
			h.Rule = new(InlineRule)
			if err := h.Rule.unmarshal(d); err != nil {
				return err
			}
			continue
		default:
			return d.Errf("unrecognized option %q; expected hosts, allow_target, require, allow or deny", d.Val())
		}
		if *into != nil {
			return d.Errf("%s is given twice", d.Val())
		}
		if *into = d.RemainingArgs(); len(*into) == 0 {
			return d.ArgErr()
		}
		if err := checkItems(h.AllowTarget); err != nil {
			return d.Err(err.Error())
		}
	}
	return nil
}

// Interface guards.
var (
	_ caddyfile.Unmarshaler = (*Handler)(nil)
)
