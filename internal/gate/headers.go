package gate

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/stepgate/stepgate/internal/visit"
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

// Rebuilt tells whether a gate takes a header of that name out of requests, because only the
// gateway may set it.
func Rebuilt(name string) bool { return forged(name) }

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

// cookies takes our cookies out of a request and returns what readCookies finds in them. All
// other cookies stay as they were sent, byte for byte and in order.
func cookies(h http.Header, plain bool) visit.Cookies {
	lines, ok := h["Cookie"]
	if !ok {
		return visit.Cookies{}
	}
	values, mine, others := readCookies(lines, plain)
	if mine > 0 {
		keepOthers(h, lines, others)
	}
	return values
}

// readCookies returns the value of each of our cookies, or "" where there is none, more than
// one, or any variant of the spelling of one; and how many are ours and others'.
func readCookies(lines []string, plain bool) (values visit.Cookies, mine, others int) {
	names := visit.CookieNames(plain)
	var sessions, browsers, devices, variants int
	for _, line := range lines {
		if !mentions(line) {
			others++
			continue
		}
		for part := range strings.SplitSeq(line, ";") {
			key, text, our := ours(part)
			switch {
			case !our:
				others++
			case key == names.Session:
				values.Session = text
				sessions++
			case key == names.Browser:
				values.Browser = text
				browsers++
			case key == names.Device:
				values.Device = text
				devices++
			default:
				variants++ // makes every spelling doubtful
			}
		}
	}
	if sessions != 1 || variants > 0 {
		values.Session = ""
	}
	if browsers != 1 || variants > 0 {
		values.Browser = ""
	}
	if devices != 1 || variants > 0 {
		values.Device = ""
	}
	return values, sessions + browsers + devices + variants, others
}

// keepOthers leaves the cookies that are not ours in a request.
func keepOthers(h http.Header, lines []string, others int) {
	if others == 0 { // the usual case, without an allocation
		delete(h, "Cookie")
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if line = strip(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
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
// one of ours: in any letter case, with white space, or with any of the prefixes.
func ours(part string) (name, value string, ok bool) {
	name, value, _ = strings.Cut(part, "=")
	name = strings.TrimLeft(name, " ")
	switch name { // exact, without an allocation
	case visit.CookieName, visit.LoopbackCookieName, visit.BrowserCookieName, visit.LoopbackBrowserCookieName,
		visit.DeviceCookieName, visit.LoopbackDeviceCookieName:
		return name, value, true
	}
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
	return name, value, bare == visit.LoopbackCookieName || bare == visit.LoopbackBrowserCookieName || bare == visit.LoopbackDeviceCookieName
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
