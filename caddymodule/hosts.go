package caddymodule

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/policy"
)

// learnHosts collects the host names that the configuration gives to the server of this gate.
// Only those stand in links that the gateway sends; a request for any other is misdirected.
func (h *Handler) learnHosts(ctx caddy.Context) error {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil
	}
	h.access = server.Logs != nil
	all, every := hostsOf(server.Routes)
	h.site.Known = append(h.site.Known, all...)
	own, anyHost := hostsOf(gatedRoute(server.Routes))
	if anyHost {
		own = []string{"localhost"}
	}
	slices.SortStableFunc(own, namesFirst)
	for _, name := range own {
		h.app.noteOrigin(server.Name(), originOf(server, name))
	}
	if every {
		return nil
	}
	return h.refuseOtherHosts(ctx, server, all)
}

// gatedRoute is the route that is being provisioned: Caddy provisions them in order and
// forgets the raw handlers of each when it is done with it.
func gatedRoute(routes caddyhttp.RouteList) caddyhttp.RouteList {
	for i := range routes {
		if routes[i].HandlersRaw != nil {
			return routes[i : i+1]
		}
	}
	return nil
}

// hostsOf lists the hosts that routes match. every is true when some route takes any host.
func hostsOf(routes caddyhttp.RouteList) (names []string, every bool) {
	for _, route := range routes {
		if len(route.MatcherSets) == 0 {
			every = true
		}
		for _, set := range route.MatcherSets {
			limited := false
			for _, m := range set {
				switch hosts := m.(type) {
				case caddyhttp.MatchHost:
					names, limited = append(names, folded(hosts)...), true
				case *caddyhttp.MatchHost:
					names, limited = append(names, folded(*hosts)...), true
				}
			}
			every = every || !limited
		}
	}
	slices.Sort(names)
	return slices.Compact(names), every
}

// namesFirst sorts names before addresses: a link is better off with a name.
func namesFirst(a, b string) int {
	_, aErr := netip.ParseAddr(strings.Trim(a, "[]"))
	_, bErr := netip.ParseAddr(strings.Trim(b, "[]"))
	switch {
	case aErr != nil && bErr == nil:
		return -1
	case aErr == nil && bErr != nil:
		return 1
	}
	return 0
}

func folded(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ToLower(strings.TrimSuffix(name, "."))
	}
	return out
}

// originOf is how people reach a host of a server; empty when it cannot be told.
func originOf(server *caddyhttp.Server, name string) string {
	if strings.ContainsAny(name, "*{") || len(server.Listen) == 0 {
		return ""
	}
	addr, err := caddy.ParseNetworkAddress(server.Listen[0])
	if err != nil || addr.IsUnixNetwork() {
		return ""
	}
	port := fmt.Sprint(addr.StartPort)
	if strings.Contains(name, ":") {
		name = "[" + strings.Trim(name, "[]") + "]"
	}
	if isLoopback(name) && len(server.TLSConnPolicies) == 0 {
		return "http://" + withPort(name, port, "80")
	}
	if port == "80" { // TLS ends at a proxy in front
		port = "443"
	}
	return "https://" + withPort(name, port, "443")
}

func withPort(name, port, usual string) string {
	if port == usual {
		return name
	}
	return net.JoinHostPort(strings.Trim(name, "[]"), port)
}

func isLoopback(name string) bool {
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil && ip.IsLoopback()
}

// refuseOtherHosts makes the route that is being provisioned also take the requests for hosts
// that no route of the server names, and refuse them before anything else in it runs. Without
// that, Caddy answers them with an empty page that looks like success.
func (h *Handler) refuseOtherHosts(ctx caddy.Context, server *caddyhttp.Server, known []string) error {
	for i := range server.Routes {
		for _, m := range server.Routes[i].Handlers {
			if _, done := m.(*otherHosts); done {
				return nil
			}
		}
	}
	current := gatedRoute(server.Routes)
	if len(current) == 0 {
		return nil // a named route, which only routes that have been provisioned invoke
	}
	o := &otherHosts{app: h.app, hosts: known}
	if err := o.hosts.Provision(ctx); err != nil {
		return err
	}
	current[0].MatcherSets = append(current[0].MatcherSets, caddyhttp.MatcherSet{o})
	current[0].Handlers = append(current[0].Handlers, o)
	return nil
}

// otherHosts matches and refuses requests for hosts that no route of a server names.
type otherHosts struct {
	app   *App
	hosts caddyhttp.MatchHost
}

// CaddyModule implements caddy.Module. It names the handler in metrics.
func (*otherHosts) CaddyModule() caddy.ModuleInfo { return (*Handler)(nil).CaddyModule() }

// MatchWithError implements caddyhttp.RequestMatcherWithError.
func (o *otherHosts) MatchWithError(r *http.Request) (bool, error) {
	named, err := o.hosts.MatchWithError(r)
	return !named, err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (o *otherHosts) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	other, err := o.MatchWithError(r)
	if err != nil {
		return unavailable(w, err)
	}
	if !other {
		return next.ServeHTTP(w, r)
	}
	e, err := o.app.use()
	if err != nil {
		return unavailable(w, err)
	}
	// The name that no host has makes the list of served hosts one that fits none.
	g := gate.Gate{Engine: e.gate, Site: gate.Site{Hosts: []string{"."}, Policy: func() *policy.Policy { return nil }}}
	return g.ServeHTTP(w, r, gate.Arrival{ClientIP: clientIP(r), Judged: func(v gate.Verdict) { judged.count(v.Outcome) }}, next.ServeHTTP)
}

// Interface guards.
var (
	_ caddyhttp.MiddlewareHandler       = (*otherHosts)(nil)
	_ caddyhttp.RequestMatcherWithError = (*otherHosts)(nil)
)
