package caddymodule

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/policy"
)

// passage is one request on its way through the gates of its route. It answers placeholders
// and tells the access log what was decided.
type passage struct {
	verdict gate.Verdict
	// cookie is the Cookie header as it was received. Each gate takes the session out of the
	// request; a gate behind another one needs it again.
	cookie []string
	// loosened is what the gates in front let pass in a target: it need not be said twice.
	loosened []gate.Item
	// allowed is the latest decision of a gate with a rule that allows, allowedFor the target
	// that it was about.
	allowed    policy.Decision
	allowedFor asked
}

// asked is what a rule judged: a rewrite between two gates makes it another. The zero value
// stands for a request with more than one reading, of which one rule cannot allow all.
type asked struct{ method, host, path, query string }

func targetOf(r *http.Request, originalURI string) asked {
	if r.URL.RawPath != "" || originalURI != "" && originalURI != r.RequestURI {
		return asked{}
	}
	return asked{r.Method, r.Host, r.URL.Path, r.URL.RawQuery}
}

// allowedBefore is the decision by which a gate in front allowed what is asked for now.
func (p *passage) allowedBefore(now asked) policy.Decision {
	if now == (asked{}) || now != p.allowedFor {
		return policy.Decision{}
	}
	return p.allowed
}

// passageVar is the variable of a request that holds its passage.
const passageVar = "stepgate"

// pass begins the passage of a request, or finds the one that a gate in front began.
func pass(r *http.Request, repl *caddy.Replacer) *passage {
	if p, ok := caddyhttp.GetVar(r.Context(), passageVar).(*passage); ok {
		if p.cookie != nil {
			r.Header["Cookie"] = p.cookie
		}
		return p
	}
	p := &passage{cookie: r.Header["Cookie"]}
	caddyhttp.SetVar(r.Context(), passageVar, p)
	// Asked only for names that nothing in front has set: an authenticator that ran before
	// keeps its own http.auth.user.id.
	repl.Map(p.placeholder)
	return p
}

// placeholder implements caddy.ReplacerFunc. Every documented name has a value, empty where
// it does not apply: one without would stay in headers as the text that it is.
func (p *passage) placeholder(key string) (any, bool) {
	if key == "http.auth.user.id" {
		return p.userID(), true
	}
	name, ours := strings.CutPrefix(key, "http.stepgate.")
	if !ours {
		return nil, false
	}
	switch name {
	case "outcome":
		return p.verdict.Outcome, true
	case "rule":
		return p.verdict.Rule, true
	case "floor":
		return p.verdict.Floor, true
	case "reason":
		return p.verdict.Reason, true
	case "held":
		return p.verdict.Held, true
	case "request_id":
		return p.verdict.RequestID, true
	}
	s := p.verdict.Session
	known := func(value func() string) (any, bool) {
		if s == nil {
			return "", true
		}
		return value(), true
	}
	switch name {
	case "user.id":
		return p.userID(), true
	case "user.email":
		return known(func() string { return s.User.Email })
	case "user.name":
		return known(func() string { return s.User.Name })
	case "user.groups":
		return known(func() string { return strings.Join(s.Roles, ",") })
	case "session.id":
		return known(func() string { return s.ID })
	}
	return nil, false
}

func (p *passage) userID() string {
	if p.verdict.Session == nil {
		return ""
	}
	return p.verdict.Session.UserID
}

// MarshalLogObject implements zapcore.ObjectMarshaler: it is the field “stepgate” of the
// access log.
func (p *passage) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("outcome", p.verdict.Outcome)
	enc.AddString("rule", p.verdict.Rule)
	enc.AddString("reason", p.verdict.Reason)
	if p.verdict.Floor != "" {
		enc.AddString("floor", p.verdict.Floor)
	}
	if p.verdict.Held != "" {
		enc.AddString("held", p.verdict.Held)
	}
	if p.verdict.RequestID != "" {
		enc.AddString("request_id", p.verdict.RequestID)
	}
	return nil
}

// logged adds the passage to the access log of the request.
func (p *passage) logged(r *http.Request) {
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.Object("stepgate", p))
	}
}

// clientIP is the address that Caddy determined from the connection and its trusted proxies;
// the zero Addr when it could not tell. Nothing else is ever asked.
func clientIP(r *http.Request) netip.Addr {
	text, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	if !ok || text == "" {
		return netip.Addr{}
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}
