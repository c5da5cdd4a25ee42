package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/internal/gate"
)

// Endpoint is a place in a configuration where a request is answered with something that may
// need protection.
type Endpoint struct {
	Server string `json:"server"`
	// Match is what leads there: hosts, paths, methods and the names of other matchers.
	Match string `json:"match"`
	// Handler is the name of Caddy's handler, Target what it leads to.
	Handler string `json:"handler"`
	Target  string `json:"target"`
	Gated   bool   `json:"gated"`
	// Why says what is wrong with an endpoint that is not gated.
	Why string `json:"why,omitempty"`
}

// Coverage is what a configuration protects.
type Coverage struct {
	Endpoints []Endpoint `json:"endpoints"`
	// Warnings are about the configuration around the gates.
	Warnings []string `json:"warnings"`
}

// ungated counts the endpoints without a gate.
func (c *Coverage) ungated() int {
	n := 0
	for _, e := range c.Endpoints {
		if !e.Gated {
			n++
		}
	}
	return n
}

type (
	jsonRoute struct {
		Group string                       `json:"group"`
		Match []map[string]json.RawMessage `json:"match"`
		Hands []json.RawMessage            `json:"handle"`
		Term  bool                         `json:"terminal"`
	}
	jsonHandler struct {
		Handler   string          `json:"handler"`
		Routes    []jsonRoute     `json:"routes"`
		Name      string          `json:"name"`
		Root      string          `json:"root"`
		Body      string          `json:"body"`
		Upstreams []jsonUpstream  `json:"upstreams"`
		Responses []jsonResponse  `json:"handle_response"`
		Rule      json.RawMessage `json:"rule"`
		Dynamic   map[string]any  `json:"dynamic_upstreams"`
		Rewrite   struct {
			Method string `json:"method"`
			URI    string `json:"uri"`
		} `json:"rewrite"`
		Request jsonChanges `json:"request"`
		Headers struct {
			Request jsonChanges `json:"request"`
		} `json:"headers"`
	}
	jsonChanges struct {
		Set map[string]any `json:"set"`
		Add map[string]any `json:"add"`
	}
	jsonUpstream struct {
		Dial string `json:"dial"`
	}
	jsonResponse struct {
		Routes []jsonRoute `json:"routes"`
	}
	jsonServer struct {
		Routes []jsonRoute          `json:"routes"`
		Named  map[string]jsonRoute `json:"named_routes"`
		Errors struct {
			Routes []jsonRoute `json:"routes"`
		} `json:"errors"`
		Proxies json.RawMessage `json:"trusted_proxies"`
		Strict  int             `json:"trusted_proxies_strict"`
	}
)

// Check walks an adapted configuration and tells which endpoints have a gate in front of them
// on every way that leads there.
func Check(config []byte) (*Coverage, error) {
	var root struct {
		Admin struct {
			Listen   string `json:"listen"`
			Disabled bool   `json:"disabled"`
			Remote   any    `json:"remote"`
		} `json:"admin"`
		Apps struct {
			HTTP struct {
				Servers map[string]jsonServer `json:"servers"`
			} `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &root); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	c := &Coverage{Endpoints: []Endpoint{}, Warnings: []string{}}
	for _, name := range slices.Sorted(maps.Keys(root.Apps.HTTP.Servers)) {
		server := root.Apps.HTTP.Servers[name]
		w := walker{coverage: c, server: name, named: server.Named}
		if _, err := w.routes(server.Routes, place{}); err != nil {
			return nil, err
		}
		if _, err := w.routes(server.Errors.Routes, place{match: []string{"errors"}}); err != nil {
			return nil, err
		}
		if server.Proxies != nil && server.Strict == 0 {
			c.warn("server %s: trusted_proxies without trusted_proxies_strict takes the left-most address, which clients choose; rules about client_ip and attempt budgets then mean little", name)
		}
	}
	switch listen := root.Admin.Listen; {
	case root.Admin.Remote != nil:
		c.warn("admin: remote administration can take every gate away")
	case root.Admin.Disabled || strings.HasPrefix(listen, "unix"):
	case listen == "":
		c.warn("admin: the endpoint is on localhost:2019, for every program of this machine; write “admin unix//run/stepgate/admin.sock|0600”")
	default:
		c.warn("admin: the endpoint is on %s; whoever reaches it can take every gate away; write “admin unix//run/stepgate/admin.sock|0600”", listen)
	}
	return c, nil
}

func (c *Coverage) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

// place is where the walk stands.
type place struct {
	match []string
	gated bool
	// partly is set behind a gate that only some of the requests pass, allowed behind one that
	// lets all of them pass.
	partly, allowed bool
	depth           int
}

type walker struct {
	coverage *Coverage
	server   string
	named    map[string]jsonRoute
}

// maxNesting ends walks through routes that invoke each other.
const maxNesting = 50

// routes walks a list in order. It returns the place behind it.
func (w *walker) routes(list []jsonRoute, at place) (place, error) {
	if at.depth > maxNesting {
		return at, fmt.Errorf("server %s: routes are nested too deeply", w.server)
	}
	first := len(w.coverage.Endpoints)
	for _, route := range list {
		here := len(w.coverage.Endpoints)
		inside := at
		inside.depth++
		inside.match = append(slices.Clone(at.match), describe(route.Match)...)
		inside, err := w.handlers(route.Hands, inside)
		if err != nil {
			return at, err
		}
		passed := inside.gated && !at.gated
		if passed && route.Group == "" {
			w.behind(w.coverage.Endpoints[first:here])
		}
		if passed && len(route.Match) == 0 && route.Group == "" {
			at.gated = true
		} else if passed && !route.Term && !onlyHosts(route.Match) {
			at.partly = true
		}
	}
	return at, nil
}

// behind says of endpoints without a gate that the one which was meant for them comes too late.
func (w *walker) behind(early []Endpoint) {
	for i := range early {
		if early[i].Why == whyNone {
			early[i].Why = whyBehind
		}
	}
}

// The reasons for which an endpoint has no gate.
const (
	whyNone   = "no gate in front of it"
	whyBehind = "the gate stands behind it; leave “stepgate” out of the “order” option, or write it first in the route block"
	whyPartly = "a gate stands under a matcher or is for one path; other requests go past it"
	whyErrors = "routes for errors run without the gate"
	whyAllows = "the gate in front of it allows everything"
)

// handlers walks the handlers of one route.
func (w *walker) handlers(list []json.RawMessage, at place) (place, error) {
	first := len(w.coverage.Endpoints)
	for _, raw := range list {
		var h jsonHandler
		if err := json.Unmarshal(raw, &h); err != nil {
			return at, fmt.Errorf("server %s: read a handler: %w", w.server, err)
		}
		switch h.Handler {
		case "stepgate":
			rule := inlineOf(h.Rule)
			switch {
			case rule.Path != "":
				at.partly = true
			case rule.Allow:
				at.allowed = true
			case !at.gated:
				at.gated = true
				w.behind(w.coverage.Endpoints[first:])
			}
		case "subroute":
			behind, err := w.routes(h.Routes, at)
			if err != nil {
				return at, err
			}
			at.gated, at.partly, at.allowed = behind.gated, behind.partly, behind.allowed
		case "invoke":
			behind, err := w.routes([]jsonRoute{w.named[h.Name]}, at)
			if err != nil {
				return at, err
			}
			at.gated, at.partly, at.allowed = behind.gated, behind.partly, behind.allowed
		case "cache":
			if !at.gated {
				w.coverage.warn("server %s: %s: “cache” runs in front of the gate and serves kept copies of protected pages to everybody", w.server, strings.Join(at.match, " "))
			}
		case "headers":
			if names := h.identifies(); len(names) > 0 && !at.gated {
				w.coverage.warn("server %s: %s: %s is set on requests in front of the gate, which takes it out again; set it behind the gate, with “request_header”", w.server, strings.Join(at.match, " "), strings.Join(names, ", "))
			}
		case "reverse_proxy", "file_server", "static_response", "metrics":
			if !h.asksFirst() {
				w.endpoint(&h, at)
			}
			for _, response := range h.Responses {
				if _, err := w.routes(response.Routes, at); err != nil {
					return at, err
				}
			}
		}
	}
	return at, nil
}

// inlineOf is a gate's rule; the zero rule when it has none.
func inlineOf(raw json.RawMessage) InlineRule {
	var r InlineRule
	if raw == nil || json.Unmarshal(raw, &r) != nil {
		return InlineRule{}
	}
	return r
}

// asksFirst tells whether a reverse_proxy only asks another server whether a request may go on,
// as “forward_auth” does: it tells that server by GET what is asked for, and goes on when the
// answer says so.
func (h *jsonHandler) asksFirst() bool {
	return h.Rewrite.Method == http.MethodGet && h.Rewrite.URI != "" && h.Headers.Request.Set["X-Forwarded-Uri"] != nil && len(h.Responses) > 0
}

// identifies lists the identity headers that a handler sets on requests.
func (h *jsonHandler) identifies() []string {
	var out []string
	for _, set := range []map[string]any{h.Request.Set, h.Request.Add} {
		for name := range set {
			if gate.Rebuilt(name) {
				out = append(out, http.CanonicalHeaderKey(name))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (w *walker) endpoint(h *jsonHandler, at place) {
	e := Endpoint{Server: w.server, Match: strings.Join(at.match, " "), Handler: h.Handler, Gated: at.gated}
	if e.Match == "" {
		e.Match = "*"
	}
	switch h.Handler {
	case "reverse_proxy":
		var dials []string
		for _, u := range h.Upstreams {
			dials = append(dials, u.Dial)
		}
		if len(dials) == 0 && h.Dynamic != nil {
			dials = []string{"dynamic"}
		}
		e.Target = strings.Join(dials, ", ")
	case "file_server":
		e.Target = h.Root
	case "static_response":
		if h.Body == "" {
			return // a status or a redirect gives nothing away
		}
		e.Target = "a fixed text"
	}
	switch {
	case e.Gated:
	case at.partly:
		e.Why = whyPartly
	case at.allowed:
		e.Why = whyAllows
	case len(at.match) > 0 && at.match[0] == "errors":
		e.Why = whyErrors
	default:
		e.Why = whyNone
	}
	w.coverage.Endpoints = append(w.coverage.Endpoints, e)
}

// describe says what a route matches.
func describe(sets []map[string]json.RawMessage) []string {
	var out []string
	for _, set := range sets {
		for _, name := range slices.Sorted(maps.Keys(set)) {
			var values []string
			if err := json.Unmarshal(set[name], &values); err == nil && (name == "host" || name == "path" || name == "method") {
				out = append(out, strings.Join(values, ","))
				continue
			}
			out = append(out, "@"+name)
		}
	}
	return out
}

// onlyHosts tells whether a route is chosen by nothing but its host, as sites are.
func onlyHosts(sets []map[string]json.RawMessage) bool {
	for _, set := range sets {
		if len(set) != 1 || set["host"] == nil {
			return false
		}
	}
	return len(sets) > 0
}
