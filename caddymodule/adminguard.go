package caddymodule

import (
	"errors"
	"net"
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
)

var (
	errBrowser  = errors.New("requests that a web page causes are refused")
	errRemote   = errors.New("users and sessions are managed from this machine only; use a unix socket or a loopback address for the admin endpoint")
	errWildcard = errors.New("the admin endpoint listens on every address of this machine, so nothing can be changed through it; use a unix socket or a loopback address")
)

// guardAdmin refuses calls that Caddy's own checks let pass: those of web pages, which reach
// loopback from any browser on this machine, those of other machines, and changes through an
// endpoint that other machines can reach too.
func guardAdmin(r *http.Request) error {
	h := r.Header
	for _, name := range []string{"Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"} {
		if h[name] != nil {
			return errBrowser
		}
	}
	// Caddy's commands, and ours, send the address of the endpoint itself as their origin.
	if origin := h.Get("Origin"); origin != "" && origin != "http://"+r.Host {
		return errBrowser
	}
	if r.TLS != nil {
		return errRemote
	}
	if local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr); local != nil && local.Network() == "unix" {
		return nil
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return errRemote
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && onEveryAddress(r) {
		return errWildcard
	}
	return nil
}

// onEveryAddress tells whether the endpoint listens on more than loopback. One whose address
// cannot be told is taken to.
func onEveryAddress(r *http.Request) bool {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return true
	}
	addr, err := caddy.ParseNetworkAddress(server.Addr)
	if err != nil {
		return true
	}
	return !isLoopback(addr.Host)
}
