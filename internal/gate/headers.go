package gate

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// dropped are the names, folded, that a client could use to pass for somebody else, for
// another address, or for another request. A name that ends in "*" stands for all that begin
// with it.
var droppedPrefixes = []string{"remote_", "stepgate_", "x_forwarded_", "x_remote_", "x_webauth_", "x_auth_request_"}

var dropped = map[string]bool{
	"forwarded": true, "x_forwarded": true, "x_real_ip": true, "x_client_ip": true, "true_client_ip": true,
	"cf_connecting_ip": true, "cf_connecting_ipv6": true, "x_cluster_client_ip": true, "fastly_client_ip": true,
	"x_originating_ip": true, "x_envoy_external_address": true, "x_azure_clientip": true, "x_appengine_user_ip": true,
	"client_ip": true, "proxy": true, "x_original_url": true, "x_original_uri": true, "x_rewrite_url": true,
	"x_original_host": true, "x_original_method": true, "x_override_url": true, "x_http_method_override": true,
	"x_http_method": true, "x_method_override": true, "keep_alive": true, "proxy_connection": true,
	"http2_settings": true, "trailer": true,
}

// common are headers of nearly every request that are none of those, so that they need not be
// folded to know.
var common = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Cache-Control": true, "Content-Length": true,
	"Content-Type": true, "Cookie": true, "Host": true, "If-Modified-Since": true, "If-None-Match": true, "Origin": true,
	"Pragma": true, "Priority": true, "Range": true, "Referer": true, "Sec-Ch-Ua": true, "Sec-Ch-Ua-Mobile": true,
	"Sec-Ch-Ua-Platform": true, "Sec-Fetch-Dest": true, "Sec-Fetch-Mode": true, "Sec-Fetch-Site": true,
	"Sec-Fetch-User": true, "Upgrade-Insecure-Requests": true, "User-Agent": true, "Authorization": true,
	"Sec-Websocket-Key": true, "Sec-Websocket-Version": true, "Sec-Websocket-Extensions": true, "Sec-Websocket-Protocol": true,
}

// rebuild takes from a request everything by which a client could speak for the gateway:
// identity and forwarding headers in every spelling, connection options, trailers. It runs
// before any decision, on every request.
func rebuild(r *http.Request) {
	for name := range r.Header {
		if !common[name] && forged(name) {
			delete(r.Header, name)
		}
	}
	upgrade := websocket(r)
	delete(r.Header, "Connection")
	delete(r.Header, "Upgrade")
	if upgrade {
		r.Header["Connection"] = []string{"Upgrade"}
		r.Header["Upgrade"] = []string{"websocket"}
	}
	if te, ok := r.Header["Te"]; ok && (len(te) != 1 || te[0] != "trailers") {
		delete(r.Header, "Te")
	}
	r.Trailer = nil
}

// websocket tells whether the request asks for a WebSocket over HTTP/1.1.
func websocket(r *http.Request) bool {
	up, ok := r.Header["Upgrade"]
	return ok && r.ProtoMajor == 1 && len(up) == 1 && strings.EqualFold(up[0], "websocket") &&
		httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade")
}

// forged tells whether a header name, folded, is one that only the gateway may set. Servers
// that hand headers on as variables (CGI, WSGI, PHP) fold them in the same way.
func forged(name string) bool {
	var buffer [64]byte
	folded := buffer[:0]
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			c = '_'
		}
		folded = append(folded, c)
	}
	if dropped[string(folded)] {
		return true
	}
	return slices.ContainsFunc(droppedPrefixes, func(p string) bool {
		return len(folded) >= len(p) && string(folded[:len(p)]) == p
	})
}

// cookies takes the session cookie out of a request. It returns the value of the one cookie
// of the given name, or "" when there is none, more than one, or any variant of its spelling
// beside it. All other cookies stay as they were sent, byte for byte and in order.
func cookies(h http.Header, name string) (value string) {
	lines, ok := h["Cookie"]
	if !ok {
		return ""
	}
	if value, ok := only(lines, name); ok {
		delete(h, "Cookie")
		return value
	}
	count := 0
	touched := false
	for _, line := range lines {
		if !mentions(line) {
			continue
		}
		for part := range strings.SplitSeq(line, ";") {
			if key, text, ok := ours(part); ok {
				touched = true
				count++
				if key == name {
					value = text
				} else {
					count++ // a variant makes every spelling doubtful
				}
			}
		}
	}
	if !touched {
		return ""
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if line = strip(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
	} else {
		h["Cookie"] = kept
	}
	if count != 1 {
		return ""
	}
	return value
}

// only is the value of our cookie when it is all that was sent, which is the usual case.
func only(lines []string, name string) (value string, ok bool) {
	if len(lines) != 1 || len(lines[0]) <= len(name) || lines[0][:len(name)] != name || lines[0][len(name)] != '=' || strings.IndexByte(lines[0], ';') >= 0 {
		return "", false
	}
	return lines[0][len(name)+1:], true
}

// mentions is a quick look before the closer one.
func mentions(line string) bool {
	for i := 0; i+8 <= len(line); i++ {
		if c := line[i]; (c == 's' || c == 'S') && strings.EqualFold(line[i:i+8], "stepgate") {
			return true
		}
	}
	return false
}

// ours tells whether one part of a Cookie header has a name that some program could take for
// ours: in any letter case, with white space, or with either prefix.
func ours(part string) (name, value string, ok bool) {
	name, value, _ = strings.Cut(part, "=")
	name = strings.TrimLeft(name, " ")
	if !mentions(name) && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return name, value, false
	}
	bare := strings.ToLower(strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, name))
	for _, prefix := range []string{"__host-", "__secure-", "__http-", "http-"} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	return name, value, bare == "stepgate"
}

func strip(line string) string {
	if !mentions(line) {
		return line
	}
	var kept []string
	for part := range strings.SplitSeq(line, ";") {
		if _, _, mine := ours(part); !mine {
			kept = append(kept, part)
		}
	}
	return strings.TrimPrefix(strings.Join(kept, ";"), " ")
}
