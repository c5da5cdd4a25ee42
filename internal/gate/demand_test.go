package gate

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
)

// answers makes the application answer with headers, which come in pairs, and a status.
func (y *yard) answers(status int, headers ...string) {
	y.respond = func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", "text/secret")
		w.Header().Add("Set-Cookie", "app=1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "for whom it is meant")
	}
}

// withheld demands that nothing of an answer got out, and returns what came in its place.
func (y *yard) withheld(status int, r *http.Request) http.Header {
	y.t.Helper()
	w := y.pass(r)
	if w.Code != status || strings.Contains(w.Body.String(), "for whom") || w.Header().Get("Content-Type") == "text/secret" || w.Header().Get(requireHeader) != "" {
		y.t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	return w.Header()
}

const insufficient = `Bearer realm="app", error="insufficient_user_authentication"`

// An application plants no cookie of the gateway by an answer that is withheld: the visitor would
// go on in somebody else's session.
func TestWithheldAnswersSetNoCookieOfOurs(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	forged := []string{"Set-Cookie", cookieName + "=evil; Path=/; Secure", "Set-Cookie", cookieName + "-browser=evil; Path=/; Secure", "Set-Cookie", "Stepgate=evil"}
	for name, answer := range map[string][]string{"asks": {"Stepgate-Require", "mfa"}, "asks badly": {"Stepgate-Require", "nothing like that"}} {
		y.answers(200, append(answer, forged...)...)
		for _, r := range []*http.Request{
			req("GET", "/page", append(with(cookie), "Sec-Fetch-Mode", "navigate")...),
			sent(cookie, "/page", "text/x", "x"), req("GET", "/page", with(cookie)...),
		} {
			w := y.pass(r)
			if set := w.Header()["Set-Cookie"]; strings.Contains(w.Body.String(), "for whom") || len(set) != 1 || set[0] != "app=1" {
				t.Errorf("%s: %d %q", name, w.Code, set)
			}
		}
	}
}

// An application asks for a step-up in either way; its answer is withheld until the visitor has
// proven that, and then is theirs.
func TestApplicationAsks(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		headers []string
		want    string
	}{
		"header":          {200, []string{"Stepgate-Require", "mfa"}, `"mfa"`},
		"header with age": {403, []string{"Stepgate-Require", " totp ; max_age = 300 "}, `{"all_of":["totp"],"max_age":"5m0s"}`},
		"no time at all":  {200, []string{"Stepgate-Require", "totp;max_age=0"}, `{"all_of":["totp"],"max_age":"1m0s"}`},
		"rfc 9470":        {401, []string{"Www-Authenticate", "Basic realm=x", "Www-Authenticate", insufficient + `, acr_values="unknown urn:stepgate:mfa", max_age="600"`}, `{"all_of":["mfa"],"max_age":"10m0s"}`},
	} {
		y := newYard(t)
		y.answers(c.status, c.headers...)
		cookie := y.signIn(factors.Password)
		page := func(cookie string) *http.Request {
			return req("GET", "/page?x=1", append(with(cookie), "Sec-Fetch-Mode", "navigate")...)
		}
		h := y.withheld(http.StatusSeeOther, page(cookie))
		if h.Get("Location") != "/.stepgate/challenge?flow=FLOW" || h.Get("Stepgate-Response") != "step_up" || h.Get("Set-Cookie") != "app=1" {
			t.Errorf("%s: %v", name, h)
		}
		if p := y.flows.begun[0]; p.Required != c.want || p.Return != "/page?x=1" || p.Family == "" || p.Rule != "default" {
			t.Errorf("%s: %+v", name, p)
		}
		cookie = y.proven(cookie)
		if w := y.pass(page(cookie)); w.Code != c.status || !strings.Contains(w.Body.String(), "for whom") || w.Header().Get(requireHeader) != "" {
			t.Errorf("%s: who has proven it gets %d %v", name, w.Code, w.Header())
		}
		y.clock.Advance(11 * time.Minute)
		if strings.Contains(c.want, "max_age") {
			y.withheld(http.StatusSeeOther, page(cookie))
		}
	}
}

// A program is told in the gateway's words what the application asks for, an anonymous visitor
// signs in first.
func TestApplicationAsksPrograms(t *testing.T) {
	y := newYard(t)
	y.answers(401, "Www-Authenticate", insufficient+`, acr_values="urn:stepgate:mfa"`)
	w := y.pass(req("GET", "/data", with(y.signIn(factors.Password))...))
	var p struct {
		ErrorType string `json:"error_type"`
		Required  string `json:"required"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 401 || p.ErrorType != "step_up_required" || p.Required != "mfa" {
		t.Errorf("%d %s %v", w.Code, w.Body, err)
	}
	if got := w.Header()["Www-Authenticate"]; len(got) != 1 || strings.Contains(got[0], `realm="app"`) {
		t.Error(got)
	}
	h := y.withheld(http.StatusSeeOther, req("GET", "/public/x", "Sec-Fetch-Mode", "navigate"))
	if h.Get("Location") != "/.stepgate/sign-in?flow=FLOW" || h.Get("Stepgate-Response") != "sign_in" {
		t.Error(h)
	}
}

// What cannot be read is not passed on as if it asked for nothing.
func TestUnreadableDemand(t *testing.T) {
	for _, headers := range [][]string{
		{"Stepgate-Require", ""}, {"Stepgate-Require", "nonsense"}, {"Stepgate-Require", "mfa; max_age=x"}, {"Stepgate-Require", "mfa; max_age=-1"},
		{"Stepgate-Require", "mfa; age=5"}, {"Stepgate-Require", "mfa", "Stepgate-Require", "totp"}, {"Stepgate-Require", "mfa;max_age=1;max_age=2"},
		{"Stepgate-Require", strings.Repeat("x", maxAsked+1)},
	} {
		y := newYard(t)
		y.answers(401, headers...)
		if h := y.withheld(http.StatusBadGateway, req("GET", "/page", with(y.signIn(factors.Password, factors.TOTP))...)); h.Get("Stepgate-Response") != "error" {
			t.Errorf("%v: %v", headers, h)
		}
	}
	// These ask for nothing that is known here: they are between the application and its clients.
	for _, headers := range [][]string{
		{"Www-Authenticate", `Bearer error="invalid_token"`}, {"Www-Authenticate", "Basic realm=x"}, {"Www-Authenticate", `Bearer error="insufficient_user_authentication`},
		{"Www-Authenticate", insufficient}, {"Www-Authenticate", insufficient + `, acr_values="silver"`}, {"Www-Authenticate", insufficient + `, max_age="soon"`},
		{"Www-Authenticate", insufficient + `, acr_values="mfa"` + strings.Repeat(" ", maxAsked)},
	} {
		y := newYard(t)
		y.answers(401, headers...)
		if w := y.pass(req("GET", "/page", with(y.signIn(factors.Password))...)); w.Code != 401 || w.Body.String() != "for whom it is meant" {
			t.Errorf("%v: %d %s", headers, w.Code, w.Body)
		}
	}
}

// A form to which an application answers so is held like one that a rule stopped, whatever part of
// it the application read.
func TestApplicationAsksForAForm(t *testing.T) {
	body := strings.Repeat("0123456789", 1000)
	for name, read := range map[string]int64{"nothing": 0, "a part": 77, "all": 1 << 20} {
		y := newYard(t)
		y.answers(403, "Stepgate-Require", "mfa")
		answer := y.respond
		got := ""
		y.respond = func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(io.LimitReader(r.Body, read))
			if err != nil {
				t.Error(err)
			}
			got = string(b)
			answer(w, r)
		}
		cookie := y.signIn(factors.Password)
		h := y.withheld(http.StatusSeeOther, sent(cookie, "/pay", "text/x", body))
		_, id, _ := strings.Cut(h.Get("Location"), "flow=")
		if !strings.HasPrefix(id, "FLOW-") {
			t.Fatalf("%s: not held: %v", name, h)
		}
		cookie = y.proven(cookie)
		read = 1 << 20
		if w := y.pass(marker(cookie, "/pay", id)); w.Code != 403 || got != body {
			t.Errorf("%s: the application got %d bytes and the visitor %d", name, len(got), w.Code)
		}
		y.respond = nil
		y.blocked(http.StatusGone, marker(cookie, "/pay", id))
	}
}

// What is too large for that is said before anybody proves anything; another site's form is not
// held.
func TestApplicationAsksForWhatIsNotHeld(t *testing.T) {
	y := newYard(t)
	y.HoldLimit = 10
	y.answers(403, "Stepgate-Require", "mfa")
	cookie := y.signIn(factors.Password)
	y.withheld(http.StatusRequestEntityTooLarge, sent(cookie, "/pay", "text/x", "0123456789a"))
	chunked := sent(cookie, "/pay", "text/x", "0123456789a")
	chunked.ContentLength = -1
	y.withheld(http.StatusRequestEntityTooLarge, chunked)
	other := sent(cookie, "/pay", "text/x", "0123")
	other.Header.Set("Sec-Fetch-Site", "cross-site")
	if h := y.withheld(http.StatusSeeOther, other); h.Get("Location") != "/.stepgate/challenge?flow=FLOW" {
		t.Error(h)
	}
}

// Behind another gate, a gate's own answers keep their marks, and are not taken for an
// application's.
func TestGateBehindAGate(t *testing.T) {
	front, behind := newYard(t), newYard(t)
	behind.Engine = front.Engine
	cookie := front.signIn(factors.Password)
	front.respond = func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Cookie", cookieName+"="+cookie)
		if err := behind.ServeHTTP(struct{ unwrapping }{unwrapping{w}}, r, Arrival{}, func(http.ResponseWriter, *http.Request) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	w := front.pass(req("GET", "/admin/x", with(front.proven(cookie))...))
	if w.Code != 401 || w.Header().Get("Stepgate-Response") != "step_up" || w.Header().Get("Stepgate-Request-Id") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if len(front.flows.begun) != 1 {
		t.Errorf("%d flows", len(front.flows.begun))
	}
}

// unwrapping is a writer that something between two gates puts around another one.
type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// An answer that says nothing but the header asks too, and one that says nothing but a cookie sets
// none of ours.
func TestAnswersWithoutABody(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	y.respond = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(requireHeader, "mfa") }
	y.withheld(http.StatusSeeOther, req("GET", "/page", append(with(cookie), "Sec-Fetch-Mode", "navigate")...))
	y.respond = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Set-Cookie", cookieName+"=evil") }
	if w := y.pass(req("GET", "/page", with(cookie)...)); w.Code != 200 || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// Copies for applications are counted by user: more sessions make no more of them.
func TestCopiesAreCountedByUser(t *testing.T) {
	y := newYard(t)
	cookies := []string{y.signIn(factors.Password), y.signIn(factors.Password)}
	form := func(n int) *http.Request { return sent(cookies[n%2], "/pay", "text/x", "to=tulip") }
	under, held := 1, 0
	y.respond = func(w http.ResponseWriter, _ *http.Request) {
		if under < 5 { // one within the other, so that all are under way at once
			under++
			if strings.Contains(y.pass(form(under)).Header().Get("Location"), "flow=FLOW-") {
				held++
			}
		}
		w.Header().Set(requireHeader, "mfa")
	}
	if strings.Contains(y.pass(form(1)).Header().Get("Location"), "flow=FLOW-") {
		held++
	}
	if under != 5 || held != 4 {
		t.Errorf("%d forms of one user under way, %d of them kept", under, held)
	}
}
