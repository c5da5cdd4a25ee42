package gate

import (
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// host is the host of a request in its one spelling.
type host struct {
	// name is in lower case, without port and trailing dot.
	name string
	// port is empty when none was given.
	port string
}

// parseHost reads a Host header. ok is false for anything but a host name or address with an
// optional port.
func parseHost(s string) (h host, ok bool) {
	if s == "" || len(s) > 260 {
		return host{}, false
	}
	name, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") && strings.Count(s, ":") == 1 || strings.Contains(s, "]:") {
		var err error
		if name, port, err = net.SplitHostPort(s); err != nil || !digitsOnly(port) {
			return host{}, false
		}
		if strings.HasPrefix(s, "[") {
			name = "[" + name + "]"
		}
	}
	if strings.HasPrefix(name, "[") {
		ip, err := netip.ParseAddr(strings.TrimSuffix(name[1:], "]"))
		if err != nil || !strings.HasSuffix(name, "]") || !ip.Is6() || ip.Zone() != "" {
			return host{}, false
		}
		return host{name: "[" + ip.String() + "]", port: port}, true
	}
	name = strings.TrimSuffix(lower(name), ".")
	return host{name: name, port: port}, validName(name)
}

func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return strings.ToLower(s)
		}
	}
	return s
}

func digitsOnly(s string) bool {
	if s == "" || len(s) > 5 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func validName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			c := s[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
			continue
		}
		if label := s[start:i]; !validLabel(label) {
			return false
		}
		start = i + 1
	}
	return true
}

// validLabel also refuses xn-- labels that do not stand for exactly themselves.
func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	if !strings.HasPrefix(label, "xn--") {
		return true
	}
	name, err := idna.Lookup.ToUnicode(label)
	if err != nil || name == label {
		return false
	}
	again, err := idna.Lookup.ToASCII(name)
	return err == nil && again == label
}

// loopback tells whether the host can only be this machine.
func (h host) loopback() bool {
	if h.name == "localhost" || strings.HasSuffix(h.name, ".localhost") {
		return true
	}
	if c := h.name[0]; c != '[' && (c < '0' || c > '9') {
		return false // a name, which need not be parsed to know that it is no address
	}
	ip, err := netip.ParseAddr(strings.Trim(h.name, "[]"))
	return err == nil && ip.IsLoopback()
}

// display is the host with its port when that is not the usual one of the scheme.
func (h host) display(tls bool) string {
	if h.port == "" || tls && h.port == "443" || !tls && h.port == "80" {
		return h.name
	}
	return h.name + ":" + h.port
}

// served tells whether a site serves the host. A site without names serves every host.
func served(names []string, h host) bool {
	if len(names) == 0 {
		return true
	}
	for _, n := range names {
		if n == h.name {
			return true
		}
		if suffix, ok := strings.CutPrefix(n, "*."); ok {
			if label, rest, found := strings.Cut(h.name, "."); found && label != "" && rest == suffix {
				return true
			}
		}
	}
	return false
}
