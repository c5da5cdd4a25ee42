package caddymodule

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	// partly is set behind a gate that only some of the requests pass.
	partly bool
	depth  int
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
	for _, route := range list {
		inside := at
		inside.depth++
		inside.match = append(slices.Clone(at.match), describe(route.Match)...)
		inside, err := w.handlers(route.Hands, inside)
		if err != nil {
			return at, err
		}
		passed := inside.gated && !at.gated
		if passed && len(route.Match) == 0 && route.Group == "" {
			at.gated = true
		} else if passed && !route.Term && !onlyHosts(route.Match) {
			at.partly = true
		}
	}
	return at, nil
}

// handlers walks the handlers of one route.
func (w *walker) handlers(list []json.RawMessage, at place) (place, error) {
	for _, raw := range list {
		var h jsonHandler
		if err := json.Unmarshal(raw, &h); err != nil {
			return at, fmt.Errorf("server %s: read a handler: %w", w.server, err)
		}
		switch h.Handler {
		case "stepgate":
			at.gated = at.gated || !inlineOnly(h.Rule)
			at.partly = at.partly || inlineOnly(h.Rule)
		case "subroute":
			behind, err := w.routes(h.Routes, at)
			if err != nil {
				return at, err
			}
			at.gated, at.partly = behind.gated, behind.partly
		case "invoke":
			behind, err := w.routes([]jsonRoute{w.named[h.Name]}, at)
			if err != nil {
				return at, err
			}
			at.gated, at.partly = behind.gated, behind.partly
		case "cache":
			if !at.gated {
				w.coverage.warn("server %s: %s: “cache” runs in front of the gate and serves kept copies of protected pages to everybody", w.server, strings.Join(at.match, " "))
			}
		case "reverse_proxy", "file_server", "static_response", "metrics":
			w.endpoint(&h, at)
			for _, response := range h.Responses {
				if _, err := w.routes(response.Routes, at); err != nil {
					return at, err
				}
			}
		}
	}
	return at, nil
}

// inlineOnly tells whether a gate's rule is for one path, so that others pass it unasked.
func inlineOnly(rule json.RawMessage) bool {
	var r InlineRule
	return rule != nil && json.Unmarshal(rule, &r) == nil && r.Path != ""
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
		e.Why = "a gate stands under a matcher or is for one path; other requests go past it"
	case len(at.match) > 0 && at.match[0] == "errors":
		e.Why = "routes for errors run without the gate"
	default:
		e.Why = "no gate in front of it"
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
