package gate

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/decisions"
	"github.com/stepgate/stepgate/policy"
)

// Every refusal can be found by the reference that its answer carries, whether a rule refused or
// the gate before any rule was asked.
func TestRefusalsAreKeptByReference(t *testing.T) {
	y := newYard(t)
	recent := decisions.NewRecent(10)
	y.Decisions = &decisions.Recorder{Recent: recent}
	cookie := y.signIn(factors.Password)
	for _, c := range []struct {
		status                int
		target, cookie        string
		outcome, rule, reason string
	}{
		{401, "/page", "", "sign_in", "default", "not_signed_in"},
		{401, "/admin/x", cookie, "step_up", "admin", "factors_missing"},
		{403, "/forbidden/x", cookie, "deny", "forbidden", "denied_by_rule"},
		{400, "/export?format=csv&format=x", cookie, "refused", "export", "repeated_query_key"},
		{400, "/a//b?token=secret", cookie, "refused", "", "empty_segment"},
	} {
		var headers []string
		if c.cookie != "" {
			headers = with(c.cookie)
		}
		id := y.blocked(c.status, req("GET", c.target, headers...)).Header().Get("Stepgate-Request-Id")
		e, ok := recent.Find(id)
		if !ok || e.Outcome != c.outcome || e.Rule != c.rule || e.Reason != c.reason || e.ClientIP != "192.0.2.1" || e.Host != "a.test" {
			t.Errorf("%s: found %v %+v", c.target, ok, e)
		}
		if path, _, _ := strings.Cut(c.target, "?"); e.Path != path {
			t.Errorf("%s: path %q", c.target, e.Path)
		}
		if c.rule != "" && (e.Visitor != nil) != (c.cookie != "") {
			t.Errorf("%s: visitor %+v", c.target, e.Visitor)
		}
	}
	y.forwarded(req("GET", "/page", with(cookie)...))
	if n := len(recent.Recent(10)); n != 5 {
		t.Errorf("%d refusals are kept", n)
	}
}

// No link to our own pages is kept with the token in it, however it was mangled on its way.
func TestARefusedLinkIsKeptWithoutItsToken(t *testing.T) {
	y := newYard(t)
	recent := decisions.NewRecent(10)
	y.Decisions = &decisions.Recorder{Recent: recent}
	for target, want := range map[string]string{
		"/.stepgate/password/reset/TOKEN.":              "/.stepgate/password",
		"/.stepgate/link/TOKEN%":                        "/.stepgate/link",
		"/.stepgate/invite%2FTOKEN":                     "/.stepgate/invite",
		`/.stepgate/invite\TOKEN`:                       "/.stepgate/invite",
		"//.stepgate/link/TOKEN":                        "//.stepgate/link",
		"http://a.test/.stepgate/link/TOKEN.?token=t":   "http://a.test/.stepgate/link",
		"/.stepgate/.":                                  "/.stepgate/.",
		"/.stepgateway/page.":                           "/.stepgateway/page.",
		"/files/a." + strings.Repeat("/a", maxTarget/2): ("/files/a." + strings.Repeat("/a", maxTarget/2))[:1<<10],
	} {
		id := y.blocked(http.StatusBadRequest, req("GET", target)).Header().Get("Stepgate-Request-Id")
		if e, ok := recent.Find(id); !ok || e.Path != want {
			t.Errorf("%.50s: kept %v as %.50s, expected %.50s", target, ok, e.Path, want)
		}
	}
}

// What is kept of requests that are refused unread is small, and keeps no request in memory.
func TestRefusedRequestsDoNotStayInMemory(t *testing.T) {
	const count, size, most = 100, 900 << 10, 16 << 20
	long := strings.Repeat("A", size)
	for name, line := range map[string]string{
		"target": "GET /" + long, "absolute target": "GET http://a.test/" + long, "other host": "GET http://b.test/?" + long,
		"method": long + " /public/x", "host": "GET http://" + long + "/",
	} {
		y := newYard(t)
		recent := decisions.NewRecent(count)
		y.Decisions = &decisions.Recorder{Recent: recent}
		y.Hosts = []string{"a.test"}
		before := inUse()
		for range count {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(line + " HTTP/1.1\r\nHost: a.test\r\n\r\n")))
			if err != nil {
				t.Fatal(err)
			}
			if w := y.pass(r); w.Code != http.StatusBadRequest && w.Code != http.StatusMisdirectedRequest {
				t.Fatalf("%s: status %d", name, w.Code)
			}
		}
		if kept := int64(inUse()) - int64(before); kept > most || len(recent.Recent(count)) != count {
			t.Errorf("%s: %d refusals keep %d KiB", name, len(recent.Recent(count)), kept>>10)
		}
	}
}

// inUse is how much memory is reachable.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

type lines struct{ strings.Builder }

func (*lines) Close() error { return nil }

// A line holds the request as the policy read it: all readings of a target, and the headers of
// the client rather than those that the gate set.
func TestTheLogHoldsWhatThePolicyRead(t *testing.T) {
	y := newYard(t)
	p, err := policy.Load("p", []byte(`
version: 1
rules:
  - {name: header, match: {path: /page, header: {X-Beta: "on", Remote-User: x}}, deny: true}
default: {require: signed_in}
`))
	if err != nil {
		t.Fatal(err)
	}
	y.policy.Store(p)
	var file lines
	log := decisions.NewLog(&file, decisions.Options{Allowed: 1})
	y.Decisions, y.PolicyName = &decisions.Recorder{Log: log}, "/etc/p.yaml"
	y.Loosened = []Item{EncodedSlash}
	var told Verdict
	r := req("GET", "/a%2Fb", append(with(y.signIn(factors.Password)), "X-Beta", "on")...)
	arrival := Arrival{ClientIP: netip.MustParseAddr("2001:db8::1"), OriginalURI: "/page?x=1", Judged: func(v Verdict) { told = v }}
	if err := y.ServeHTTP(httptest.NewRecorder(), r, arrival, func(http.ResponseWriter, *http.Request) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`"path":"/page"`, `"also":[{"path":"/a/b"},{"path":"/a%2Fb"}]`, `"headers":{"X-Beta":["on"]}`, `"client_ip":"2001:db8::1"`,
		`"outcome":"allow"`, `"policy":"/etc/p.yaml"`, `"request_id":"` + told.RequestID + `"`, `"email":"bob@example.com","groups":["staff","ops"]`,
	} {
		if !strings.Contains(file.String(), part) {
			t.Errorf("%s is not in %s", part, file.String())
		}
	}
	if told.RequestID == "" {
		t.Error("the verdict has no reference")
	}
}
