package gate

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/policy"
)

// Whatever the client sends, in whatever spelling, upstream sees one header of
// each identity, ours; also on public routes.
func TestIdentityCannotBeSent(t *testing.T) {
	const tokens = "!#$%&'*+-.^_`|~"
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	for _, target := range []string{"/public/x", "/app"} {
		for _, name := range []string{"Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "Remote-Anything", "Stepgate-Assertion", "X-Remote-User"} {
			for _, c := range tokens {
				for _, spelling := range []string{strings.ReplaceAll(name, "-", string(c)), strings.ToLower(strings.ReplaceAll(name, "-", string(c))), strings.ToUpper(strings.ReplaceAll(name, "-", string(c)))} {
					r := req("GET", target, append(with(cookie), spelling, "admin", spelling, "root", spelling, "")...)
					got := y.forwarded(r)
					for k, v := range got.Header {
						if folded(k) == folded(name) && (k != http.CanonicalHeaderKey(name) || slices.Contains(v, "admin") || slices.Contains(v, "root") || len(v) != 1) {
							t.Fatalf("%q on %s: upstream saw %q: %q", spelling, target, k, v)
						}
					}
				}
			}
		}
	}
}

// An absent value is an absent header, for somebody without groups and for nobody.
func TestAbsentIdentityIsAbsent(t *testing.T) {
	y := newYard(t)
	y.users.identity.Groups, y.users.identity.Name = nil, ""
	got := y.forwarded(req("GET", "/app", append(with(y.signIn(factors.Password)), "Remote-Groups", "root", "Remote_Name", "x")...))
	if got.Header["Remote-Groups"] != nil || got.Header["Remote-Name"] != nil || got.Header.Get("Remote-User") != "bob@example.com" {
		t.Fatalf("%v", got.Header)
	}
	got = y.forwarded(req("GET", "/public/x", "Remote-User", "admin"))
	if got.Header["Remote-User"] != nil || got.Header["Stepgate-Assertion"] != nil {
		t.Fatalf("%v", got.Header)
	}
}

// Connection can name none of our headers; trailers are gone; only websocket upgrades.
func TestConnectionAndTrailers(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	r := req("GET", "/app", append(with(cookie), "Connection", "close, Remote-User, Stepgate-Assertion", "Keep-Alive", "x", "Te", "gzip", "Upgrade", "h2c", "Http2-Settings", "AAA", "Trailer", "Remote-User", "Proxy", "http://evil")...)
	r.Trailer = http.Header{"Remote-User": {"admin"}}
	got := y.forwarded(r)
	for _, name := range []string{"Connection", "Keep-Alive", "Te", "Upgrade", "Http2-Settings", "Trailer", "Proxy"} {
		if got.Header[name] != nil {
			t.Errorf("%s reached upstream: %q", name, got.Header[name])
		}
	}
	if got.Trailer != nil || got.Header.Get("Remote-User") != "bob@example.com" {
		t.Errorf("trailer %v, user %q", got.Trailer, got.Header.Get("Remote-User"))
	}
	got = y.forwarded(req("GET", "/app", append(with(cookie), "Connection", "keep-alive, Upgrade, Remote-User", "Upgrade", "WebSocket", "Te", "trailers")...))
	if got.Header.Get("Connection") != "Upgrade" || got.Header.Get("Upgrade") != "websocket" || got.Header.Get("Te") != "trailers" {
		t.Errorf("websocket: %v", got.Header)
	}
}

// Headers that override method, URL or address do not pass and change nothing.
func TestOverridesDoNotPass(t *testing.T) {
	y := newYard(t)
	for _, name := range []string{
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Uri", "X_Forwarded_For",
		"Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url", "X_Rewrite_Url",
		"X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	} {
		if got := y.forwarded(req("GET", "/public/x", name, "/public")); len(got.Header) != 0 {
			t.Errorf("%s: %v", name, got.Header)
		}
		y.blocked(http.StatusUnauthorized, req("GET", "/admin/x", name, "/public/x"))
	}
}

// Our cookie never reaches upstream; others arrive byte for byte and in order; two
// of ours, or a variant beside it, is none.
func TestCookies(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	mine := cookieName + "=" + cookie
	for header, want := range map[string]string{
		mine:                              "",
		"a=1; " + mine + "; b=\"x y\" ;c": "a=1; b=\"x y\" ;c",
		mine + ";a=1":                     "a=1",
		"a=1;" + mine:                     "a=1",
		"stepgatex=1; " + mine:            "stepgatex=1",
	} {
		got := y.forwarded(req("GET", "/app", "Cookie", header))
		if got.Header.Get("Cookie") != want {
			t.Errorf("%q: upstream saw %q, expected %q", header, got.Header.Get("Cookie"), want)
		}
	}
	for _, header := range []string{
		mine + "; " + mine, mine + "; __host-http-stepgate=x", mine + "; stepgate=x", "__Host-stepgate=" + cookie, "stepgate=" + cookie,
		" \t" + cookieName + "\t=" + cookie, cookieName + "=" + cookie[:len(cookie)-1], cookieName + "=" + cookie + "A", cookieName + "=" + strings.ToUpper(cookie),
		cookieName + "= " + cookie, cookieName + "=\"" + cookie + "\"", cookieName + "=" + cookie + "=",
	} {
		y.blocked(http.StatusUnauthorized, req("GET", "/app", "Cookie", header))
		got := y.forwarded(req("GET", "/public/x", "Cookie", header))
		if strings.Contains(strings.ToLower(got.Header.Get("Cookie")), "stepgate") {
			t.Errorf("%q: upstream saw %q", header, got.Header.Get("Cookie"))
		}
	}
}

// Upstream cannot set our cookie, or speak as the gateway.
func TestUpstreamCannotSetOurCookie(t *testing.T) {
	y := newYard(t)
	y.respond = func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for _, c := range []string{"a=1; Path=/", "__Host-Http-stepgate=evil", " __host-http-STEPGATE=evil; Domain=a.test", "stepgate=evil", "stepgate\t=evil", "b=2"} {
			h.Add("Set-Cookie", c)
		}
		h.Set("Stepgate-Response", "portal")
		w.WriteHeader(http.StatusOK)
	}
	w := y.pass(req("GET", "/public/x"))
	if got := w.Header()["Set-Cookie"]; len(got) != 2 || got[0] != "a=1; Path=/" || got[1] != "b=2" || w.Header().Get("Stepgate-Response") != "" {
		t.Fatalf("%v", w.Header())
	}
}

// What belongs to one visitor is not kept by shared caches.
func TestProtectedAnswersArePrivate(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	for given, want := range map[string]string{
		"public, max-age=60": "private, max-age=60", "s-maxage=9, max-age=1": "private, max-age=1", "max-age=60": "max-age=60", "no-store": "no-store",
	} {
		y.respond = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", given)
			_, _ = w.Write([]byte("x"))
		}
		if got := y.pass(req("GET", "/app", with(cookie)...)).Header(); got.Get("Cache-Control") != want || !strings.Contains(got.Get("Vary"), "Cookie") {
			t.Errorf("%q: %q, Vary %q", given, got.Get("Cache-Control"), got.Get("Vary"))
		}
		if got := y.pass(req("GET", "/public/x")).Header(); got.Get("Cache-Control") != given {
			t.Errorf("public %q: %q", given, got.Get("Cache-Control"))
		}
	}
}

// B: every spelling of Appendix B is refused before anything is decided.
func TestAmbiguousTargetsAreRefused(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password, factors.TOTP)
	for target, item := range map[string]Item{
		"/public/../admin/x": DotSegment, "/public/./x": DotSegment, "/public/..": DotSegment, "/..": DotSegment, "/.": DotSegment,
		"/public/..%2fadmin/x": EncodedSlash, "/public%2f..%2fadmin": EncodedSlash, "/public/%2e%2e/admin/x": EncodedDot, "/public/.%2e/admin": EncodedDot,
		"/admin%2fx": EncodedSlash, "/admin%2Fx": EncodedSlash, "/public\\..\\admin": Backslash, "/public%5c..%5cadmin": EncodedBackslash,
		"//admin/x": EmptySegment, "/public//x": EmptySegment, "///admin": EmptySegment, "/admin//": EmptySegment,
		"/admin%": BadEscape, "/admin%z": BadEscape, "/admin%zz": BadEscape, "/admin%2": BadEscape,
		"/admin\x80": NonASCII, "/admin%80": InvalidUTF8, "/admin%c0%af": InvalidUTF8, "/admin%ed%a0%80": InvalidUTF8,
		"/admin\t": ControlByte, "/admin%09": ControlByte, "/admin%0a": ControlByte, "/admin%7f": ControlByte, "/admin\x7f": ControlByte, "/a b": ControlByte,
		"/admin%00": EncodedNUL, "/admin%2561": EncodedPercent, "/admin%25": EncodedPercent, "/admin;x=1": Semicolon, "/admin%3bx": Semicolon, "/admin/;/x": Semicolon,
		"/admin#x": Fragment, "/admin./x": TrailingDot, "/admin%20/x": TrailingSpace, "/admin.": TrailingDot, "/admin...": TrailingDot, "/admin%20": TrailingSpace,
		"/admin::$DATA": DataStream, "/admin::$INDEX_ALLOCATION/x": DataStream,
		"*": NotAPath, "admin": NotAPath, "": NotAPath, "?x": NotAPath, "ftp://a.test/x": NotAPath,
		"/x?a\x00": ControlByte, "/x?a b": ControlByte, "/x?a#b": Fragment, "/" + strings.Repeat("a", 8<<10): TooLong,
	} {
		_, got := parseTarget(target, nil)
		if got != item {
			t.Errorf("%q: item %q, expected %q", target, got, item)
		}
		w := y.blocked(http.StatusBadRequest, req("GET", target, with(cookie)...))
		if !strings.Contains(w.Body.String(), string(item)) {
			t.Errorf("%q: the answer does not name %s: %s", target, item, w.Body)
		}
	}
}

// Targets that mean one thing pass, decoded for the policy.
func TestPlainTargets(t *testing.T) {
	for target, path := range map[string]string{
		"/": "/", "/a": "/a", "/a/": "/a/", "/a/b.c": "/a/b.c", "/%41dmin": "/Admin", "/a%20b": "/a b", "/caf%C3%A9": "/café", "/a%23b": "/a#b", "/a%3fb": "/a?b",
		"/a:b": "/a:b", "/.well-known/x": "/.well-known/x", "/a..b": "/a..b", "/...x": "/...x", "/a?b=/../c;d%2f": "/a", "http://a.test/x?y": "/x", "HTTPS://a.test": "/", "/a+b": "/a+b",
		"/@user/~x/-_!$&'()*,=": "/@user/~x/-_!$&'()*,=",
	} {
		got, item := parseTarget(target, nil)
		if item != "" || got.path != path {
			t.Errorf("%q: %q %q, expected %q", target, got.path, item, path)
		}
	}
}

// A loosened item passes only where the policy lets both of its readings pass.
func TestLoosenedItems(t *testing.T) {
	y := newYard(t)
	y.Loosened = []Item{EncodedSlash, Semicolon, EmptySegment}
	y.forwarded(req("GET", "/public/a%2fb"))
	y.forwarded(req("GET", "/public/a;b"))
	y.blocked(http.StatusUnauthorized, req("GET", "/admin%2fx"))
	y.blocked(http.StatusBadRequest, req("GET", "/public/..%2fadmin"))
	y.blocked(http.StatusBadRequest, req("GET", "/public/%5c"))
}

// After a rewrite, both what was asked for and what it became must pass.
func TestRewrittenRequests(t *testing.T) {
	y := newYard(t)
	for _, c := range []struct{ original, now string }{{"/admin/x", "/public/x"}, {"/public/x", "/admin/x"}, {"/admin/x", "/admin/y"}} {
		w := httptest.NewRecorder()
		reached := false
		err := y.ServeHTTP(w, req("GET", c.now), Arrival{OriginalURI: c.original}, func(http.ResponseWriter, *http.Request) error { reached = true; return nil })
		if err != nil || reached || w.Code != http.StatusUnauthorized {
			t.Errorf("%v: status %d, reached %v", c, w.Code, reached)
		}
	}
}

// Spellings and queries never get less than the rule of the path.
func TestSpellingsGetNoLess(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	for _, target := range []string{"/ADMIN/x", "/Admin", "/%41dmin/x", "/admin/x?/public/", "/admin/x?a=/public/y", "/admin", "/admin/"} {
		w := y.blocked(http.StatusUnauthorized, req("GET", target, with(cookie)...))
		if w.Header().Get("Stepgate-Response") != "step_up" {
			t.Errorf("%s: %s", target, w.Header().Get("Stepgate-Response"))
		}
	}
	for _, target := range []string{"/publicX/y", "/public-admin", "/public.bak", "/PUBLIC/x"} {
		y.blocked(http.StatusUnauthorized, req("GET", target))
	}
}

// Methods that are no business of an application, and lower-case look-alikes.
func TestMethods(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	for method, status := range map[string]int{"TRACE": 405, "TRACK": 405, "CONNECT": 405, "get": 400, "Get": 400, strings.Repeat("A", maxMethod+1): 400} {
		r := req("GET", "/public/x", with(cookie)...)
		r.Method = method
		y.blocked(status, r)
	}
	for _, method := range []string{"PROPFIND", strings.Repeat("A", maxMethod)} {
		r := req("GET", "/public/x")
		r.Method = method
		y.forwarded(r)
	}
	// OPTIONS is judged like any other method.
	y.blocked(http.StatusUnauthorized, req("OPTIONS", "/admin/x"))
}

// A host has one spelling, and only a host name is one.
func TestHosts(t *testing.T) {
	y := newYard(t)
	y.Hosts = []string{"a.test", "*.b.test"}
	for h, status := range map[string]int{
		"a.test": 0, "A.TEST": 0, "a.test.": 0, "a.test:80": 0, "A.tEsT.:8080": 0, "x.b.test": 0,
		"": 400, "a.test..": 400, "a test": 400, "a.test;proto=https": 400, "a.test\", for=x": 400, "[a.test]": 400, "xn--admin-.test": 400, "-a.test": 400,
		"a.test:x": 400, "a.test:123456": 400, "a_b!.test": 400, "ünï.test": 400, "a..test": 400, strings.Repeat("a", 300): 400,
		"evil.test": 421, "b.test": 421, "x.y.b.test": 421, "a.test.evil.test": 421, "evila.test": 421, "[::1]": 421, "127.0.0.1": 421,
	} {
		r := req("GET", "/public/x")
		r.Host = h
		if status == 0 {
			y.forwarded(r)
		} else {
			y.blocked(status, r)
		}
	}
}

// Early data is refused before anything is decided.
func TestEarlyData(t *testing.T) {
	y := newYard(t)
	r := req("GET", "/public/x")
	r.TLS = &tls.ConnectionState{HandshakeComplete: false}
	y.blocked(http.StatusTooEarly, r)
}

// A store that fails is 503 on guarded routes, and public ones keep working; no policy
// and no flow are 503 too.
func TestFailuresFailClosed(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password, factors.TOTP)
	y.sessions.err = errBroken
	y.blocked(http.StatusServiceUnavailable, req("GET", "/app", with(cookie)...))
	y.blocked(http.StatusServiceUnavailable, req("GET", "/admin/x", with(cookie)...))
	y.blocked(http.StatusServiceUnavailable, req("GET", "/.stepgate/account", with(cookie)...))
	if got := y.forwarded(req("GET", "/public/x", with(cookie)...)); got.Header["Remote-User"] != nil {
		t.Error("identity without a session")
	}
	y.sessions.err = nil
	y.flows.err = errBroken
	y.blocked(http.StatusServiceUnavailable, req("GET", "/app"))
	y.flows.err = nil
	y.Policy = func() *policy.Policy { return nil }
	y.blocked(http.StatusServiceUnavailable, req("GET", "/public/x"))
	y.blocked(http.StatusServiceUnavailable, req("GET", "/admin/x", with(cookie)...))
}

// A panic in any stage is 500, reaches nothing, and spoils nothing for the next request.
func TestPanicFailsClosed(t *testing.T) {
	y := newYard(t)
	good := y.Policy
	y.Policy = func() *policy.Policy { panic("boom") }
	y.blocked(http.StatusInternalServerError, req("GET", "/public/x"))
	y.Policy = good
	y.forwarded(req("GET", "/public/x"))
}

// No header or query of the client exempts from anything.
func TestNothingButTheCookieExempts(t *testing.T) {
	y := newYard(t)
	for _, h := range [][]string{{"User-Agent", "GoogleHC/1.0"}, {"User-Agent", "kube-probe/1.29"}, {"Authorization", "Basic YWxpY2U6cHc="}, {"Referer", "/public/x"}, {"Cookie", "session=admin"}} {
		y.blocked(http.StatusUnauthorized, req("GET", "/admin/x", h...))
	}
	y.blocked(http.StatusUnauthorized, req("GET", "/admin/x?acr_values=none&factors=0&prompt=none"))
}

// SPEC section 5: what a visitor gets, for people and for programs.
func TestAnswers(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	for _, c := range []struct {
		name    string
		headers []string
		person  bool
	}{
		{"browser", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, true},
		{"old browser", []string{"Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, true},
		{"fetch", []string{"Sec-Fetch-Mode", "cors", "Accept", "text/html"}, false},
		{"image", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, false},
		{"curl", []string{"Accept", "*/*"}, false},
		{"json", []string{"Accept", "application/json, text/html;q=0.5"}, false},
		{"no accept", nil, false},
		{"events", []string{"Accept", "text/event-stream"}, false},
		{"websocket", []string{"Connection", "Upgrade", "Upgrade", "websocket", "Accept", "text/html"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			y.t = t
			anonymous, missing := http.StatusUnauthorized, http.StatusUnauthorized
			if c.person {
				anonymous, missing = http.StatusSeeOther, http.StatusSeeOther
			}
			w := y.blocked(anonymous, req("GET", "/app?x=1", c.headers...))
			check(t, w, c.person, "sign_in", "/.stepgate/sign-in?flow=FLOW", `Bearer realm="stepgate"`)
			w = y.blocked(missing, req("GET", "/admin/x", append(with(cookie), c.headers...)...))
			check(t, w, c.person, "step_up", "/.stepgate/challenge?flow=FLOW", `max_age="600"`)
			w = y.blocked(http.StatusForbidden, req("GET", "/forbidden/x", c.headers...))
			if w.Header().Get("Stepgate-Response") != "denied" || c.person != strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
				t.Errorf("denied: %v", w.Header())
			}
		})
	}
}

func check(t *testing.T, w *httptest.ResponseRecorder, person bool, mark, location, challenge string) {
	t.Helper()
	if w.Header().Get("Stepgate-Response") != mark {
		t.Errorf("mark %q, expected %q", w.Header().Get("Stepgate-Response"), mark)
	}
	if person {
		if w.Header().Get("Location") != location || w.Body.Len() != 0 {
			t.Errorf("location %q, body %q", w.Header().Get("Location"), w.Body)
		}
		return
	}
	var p map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if !strings.Contains(w.Header().Get("WWW-Authenticate"), challenge) || p["challenge_url"] != "https://a.test"+location || p["request_id"] != w.Header().Get("Stepgate-Request-Id") || p["status"] != 401.0 {
		t.Errorf("%v %v", w.Header(), p)
	}
	if mark == "step_up" && (p["error_type"] != "step_up_required" || p["rule"] != "admin" || len(p["missing"].([]any)) == 0 || p["required"] == nil) {
		t.Errorf("%v", p)
	}
}

// O: the way back is the document, on this host, never the address of a background request.
func TestReturnAddress(t *testing.T) {
	nav := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin"}
	for _, c := range []struct {
		method, target string
		headers        []string
		want           string
	}{
		{"GET", "/app?q=%41&b", nav, "/app?q=%41&b"},
		{"POST", "/app/save", append(slices.Clone(nav), "Referer", "https://a.test/app/form?id=7"), "/app/form?id=7"},
		{"POST", "/app/save", nav, "/app/save"},
		{"POST", "/app/save", append(slices.Clone(nav), "Referer", "https://evil.test/app/form"), "/app/save"},
		{"POST", "/app/save", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "cross-site", "Referer", "https://a.test/x"}, "/app/save"},
		{"GET", "/app/poll", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin", "Referer", "https://a.test/app"}, "/app"},
		{"GET", "/app/poll", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Site", "same-origin"}, "/"},
		{"GET", "/app/poll", []string{"Referer", "https://a.test@evil.test/"}, "/"},
		{"GET", "/app/poll", []string{"Referer", "https://a.test//evil.test/"}, "/"},
		{"GET", "/app/poll", []string{"Referer", "https://a.test/.stepgate/sign-out"}, "/"},
		{"GET", "/app/poll", []string{"Referer", "javascript:alert(1)"}, "/"},
		{"GET", "/app/poll", []string{"Referer", "https://a.test:444/x"}, "/"},
		{"GET", "http://a.test/abs?x", nav, "/abs?x"},
	} {
		y := newYard(t)
		y.pass(req(c.method, c.target, c.headers...))
		if len(y.flows.begun) != 1 || y.flows.begun[0].Return != c.want || y.flows.begun[0].Host != "a.test" {
			t.Errorf("%v: %+v", c, y.flows.begun)
		}
	}
}

// An origin that the configuration does not name is in no link.
func TestUnknownHostHasNoOrigin(t *testing.T) {
	y := newYard(t)
	r := req("GET", "/app")
	r.Host = "evil.test"
	w := y.blocked(http.StatusUnauthorized, r)
	if strings.Contains(w.Body.String(), "evil.test") {
		t.Fatal(w.Body)
	}
}

// An assertion verifies with the published keys, for its host, for a minute.
func TestAssertion(t *testing.T) {
	y := newYard(t)
	y.users.change(func(i *session.Identity) { i.CustomClaims = map[string]any{"clearance": 3.0} })
	cookie := y.signIn(factors.Password, factors.TOTP)
	first := y.forwarded(req("GET", "/app", with(cookie)...)).Header.Get("Stepgate-Assertion")
	y.clock.Advance(29 * time.Second)
	if again := y.forwarded(req("GET", "/app", with(cookie)...)).Header.Get("Stepgate-Assertion"); again != first {
		t.Error("signed again within half its life")
	}
	y.clock.Advance(time.Second)
	if again := y.forwarded(req("GET", "/app", with(cookie)...)).Header.Get("Stepgate-Assertion"); again == first {
		t.Error("not signed again")
	}
	w := httptest.NewRecorder()
	y.Signer.ServeHTTP(w, req("GET", "/.stepgate/jwks.json"))
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(w.Body.Bytes(), &keys); err != nil {
		t.Fatal(err)
	}
	token, err := jwt.ParseSigned(first, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	var c claims
	if err := token.Claims(keys, &c); err != nil {
		t.Fatal(err)
	}
	at := storetestStart.Add(time.Second)
	if err := c.Validate(jwt.Expected{Issuer: "https://a.test", AnyAudience: jwt.Audience{"a.test"}, Subject: "user-1", Time: at}); err != nil {
		t.Error(err)
	}
	if c.ACR != "urn:stepgate:aal2" || strings.Join(c.AMR, " ") != "pwd otp mfa" || c.Email != "bob@example.com" || len(c.Factors) != 2 || c.SID == "" ||
		c.Expiry.Time().Sub(c.IssuedAt.Time()) != time.Minute || len(c.Custom) != 1 || c.Custom["clearance"] != 3.0 {
		t.Errorf("%+v", c)
	}
	if err := c.ValidateWithLeeway(jwt.Expected{AnyAudience: jwt.Audience{"b.test"}, Time: at}, 0); err == nil {
		t.Error("valid for another host")
	}
	if err := c.ValidateWithLeeway(jwt.Expected{Time: at.Add(time.Minute)}, 0); err == nil {
		t.Error("valid after a minute")
	}
}

var storetestStart = time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)

// Live connections end when their session is revoked, their requirement lapses, or the policy
// changes, at the next look.
func TestOpenConnectionsEnd(t *testing.T) {
	for name, lose := range map[string]func(*yard){
		"revoked": func(y *yard) {
			if err := y.manager.RevokeAll(t.Context(), "user-1", nil); err != nil {
				t.Fatal(err)
			}
		},
		"locked": func(y *yard) {
			y.users.change(func(i *session.Identity) { i.Locked = true })
			y.manager.UserChanged("user-1")
		},
		"expired": func(y *yard) { y.clock.Advance(25 * time.Hour) },
		"lapsed":  func(y *yard) { y.clock.Advance(10*time.Minute + time.Millisecond) },
		"new policy": func(y *yard) {
			p, err := policy.Load("p", []byte("version: 1\ndefault: {deny: true}\n"))
			if err != nil {
				t.Fatal(err)
			}
			y.policy.Store(p)
		},
		"store fails": func(y *yard) { _ = y.db.Store().Close() },
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t)
			cookie := y.signIn(factors.Password, factors.TOTP)
			ended := make(chan struct{})
			r := req("GET", "/admin/socket", append(with(cookie), "Connection", "Upgrade", "Upgrade", "websocket")...)
			go func() {
				defer close(ended)
				_ = y.ServeHTTP(httptest.NewRecorder(), r, Arrival{ClientIP: netip.MustParseAddr("192.0.2.1")}, func(_ http.ResponseWriter, r *http.Request) error {
					<-r.Context().Done()
					return nil
				})
			}()
			y.tick <- time.Time{} // a first look: all is well
			y.tick <- time.Time{}
			select {
			case <-ended:
				t.Fatal("ended without a reason")
			default:
			}
			lose(y)
			for done := false; !done; {
				select {
				case y.tick <- time.Time{}:
				case <-ended:
					done = true
				}
			}
		})
	}
}

// A step-up in another tab rotates the session; the open connection follows it.
func TestOpenConnectionsFollowRotation(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	s, err := y.manager.Lookup(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	y.signIn(factors.Password, factors.TOTP)
	if _, err := y.manager.Follow(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// The hot path stays within its budget of allocations.
func TestForwardingAllocates(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	w := httptest.NewRecorder()
	next := func(http.ResponseWriter, *http.Request) error { return nil }
	line := []string{cookieName + "=" + cookie}
	r := req("GET", "/app/page", "Accept", "text/html", "User-Agent", "x")
	if n := testing.AllocsPerRun(200, func() {
		r.Header["Cookie"] = line
		if err := y.ServeHTTP(w, r, Arrival{}, next); err != nil {
			t.Error(err)
		}
	}); n > 4 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzTarget: what is judged is what is sent. A target that passes decodes to the same path
// that net/url makes of it, and is forwarded unchanged.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/", "/a/b?c", "/%41", "/a%2fb", "/..", "//", "/a;b", "/\\", "/%c3%a9", "*", "/a%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, item := parseTarget(s, nil)
		if item != "" {
			return
		}
		r := req("GET", s)
		if strings.HasPrefix(s, "/") && (r.URL.Path != got.path || got.uri != s) {
			t.Fatalf("%q: judged as %q, net/url reads %q, forwarded %q", s, got.path, r.URL.Path, got.uri)
		}
		if strings.Contains(got.path, "//") || strings.ContainsAny(got.path, "\\;\x00") || !strings.HasPrefix(got.path, "/") {
			t.Fatalf("%q passed as %q", s, got.path)
		}
	})
}
