package gate

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/policy"
)

var errNothing = errors.New("nothing there")

// newWellKnownYard is a yard whose portal serves two addresses after the application, one
// always, and none on the host other.test.
func newWellKnownYard(t *testing.T, text string) *yard {
	t.Helper()
	y := newYard(t)
	p, err := policy.Load("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	y.policy.Store(p)
	y.WellKnown = func(host, path string) (ours, always bool) {
		always = path == "/.well-known/webauthn"
		return host == "a.test" && (always || path == "/.well-known/change-password"), host == "a.test" && always
	}
	y.Portal = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "portal "+r.URL.Path) })
	return y
}

// ask sends a request whose application is behind, and returns what came back. reached tells
// whether the application saw it.
func (y *yard) askApp(r *http.Request, cookie string, behind Next) (w *httptest.ResponseRecorder, reached bool, err error) {
	if cookie != "" {
		r.Header.Set("Cookie", "__Host-Http-stepgate="+cookie)
	}
	w = httptest.NewRecorder()
	err = y.ServeHTTP(w, r, Arrival{Absent: func(err error) bool { return errors.Is(err, errNothing) }}, func(w http.ResponseWriter, r *http.Request) error {
		reached = true
		return behind(w, r)
	})
	return w, reached, err
}

func respond(status int, body string) Next {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("X-App", "yes")
		w.Header().Add("Set-Cookie", "__Host-Http-stepgate=evil")
		w.WriteHeader(status)
		_, err := io.WriteString(w, body)
		return err
	}
}

// An application that answers one of the addresses itself is not disturbed; one that does not,
// or may not be asked yet, is stood in for. What is denied stays denied, and no other address
// changes.
func TestWellKnownAddresses(t *testing.T) {
	const open = "version: 1\nrules: [{name: all, match: {path: /*}, allow: true}]\ndefault: {deny: true}\n"
	const closed = "version: 1\ndefault: {require: signed_in}\n"
	const denied = "version: 1\ndefault: {deny: true}\n"
	const strict = "version: 1\ndefault: {require: mfa}\n"
	nothing := func(http.ResponseWriter, *http.Request) error { return nil }
	for name, c := range map[string]struct {
		policy, method, target, host string
		signedIn                     bool
		behind                       Next
		status                       int
		body                         string
		reached                      bool
	}{
		"the application answers":             {policy: open, behind: respond(302, "app"), status: 302, body: "app", reached: true},
		"it answers with an error":            {policy: open, behind: respond(500, "app"), status: 500, body: "app", reached: true},
		"it has nothing there":                {policy: open, behind: respond(404, "app"), status: 200, body: "portal /.well-known/change-password", reached: true},
		"it says that it has nothing":         {policy: open, behind: func(http.ResponseWriter, *http.Request) error { return errNothing }, status: 200, body: "portal /.well-known/change-password", reached: true},
		"it says nothing":                     {policy: open, behind: nothing, status: 200, body: "portal /.well-known/change-password", reached: true},
		"it may not be asked by a stranger":   {policy: closed, behind: respond(200, "app"), status: 200, body: "portal /.well-known/change-password"},
		"it may be asked by a visitor":        {policy: closed, signedIn: true, behind: respond(200, "app"), status: 200, body: "app", reached: true},
		"it has nothing for a visitor":        {policy: closed, signedIn: true, behind: respond(404, "app"), status: 200, body: "portal /.well-known/change-password", reached: true},
		"the visitor would have to step up":   {policy: strict, signedIn: true, behind: respond(200, "app"), status: 200, body: "portal /.well-known/change-password"},
		"the address is denied":               {policy: denied, behind: respond(200, "app"), status: 403},
		"only the portal":                     {policy: open, target: "/.well-known/webauthn", behind: respond(200, "app"), status: 200, body: "portal /.well-known/webauthn"},
		"only the portal, whatever is denied": {policy: denied, target: "/.well-known/webauthn", behind: respond(200, "app"), status: 200, body: "portal /.well-known/webauthn"},
		"nothing is written there":            {policy: open, method: "POST", behind: respond(404, "app"), status: 404, body: "app", reached: true},
		"nothing is written at ours":          {policy: open, method: "POST", target: "/.well-known/webauthn", behind: respond(404, "app"), status: 404, body: "app", reached: true},
		"another address":                     {policy: open, target: "/.well-known/change-password/x", behind: respond(404, "app"), status: 404, body: "app", reached: true},
		"in other letters":                    {policy: open, target: "/.well-known/Change-Password", behind: respond(404, "app"), status: 404, body: "app", reached: true},
		"another host":                        {policy: open, host: "other.test", behind: respond(404, "app"), status: 404, body: "app", reached: true},
	} {
		t.Run(name, func(t *testing.T) {
			y := newWellKnownYard(t, c.policy)
			method, target, host, cookie := c.method, c.target, c.host, ""
			if method == "" {
				method = http.MethodGet
			}
			if target == "" {
				target = "/.well-known/change-password"
			}
			if host == "" {
				host = "a.test"
			}
			if c.signedIn {
				cookie = y.signIn(factors.Password)
			}
			r := httptest.NewRequest(method, target, nil)
			r.Host = host
			w, reached, err := y.askApp(r, cookie, c.behind)
			if err != nil || w.Code != c.status || reached != c.reached || c.body != "" && w.Body.String() != c.body {
				t.Errorf("%v: status %d, %q, application asked: %v", err, w.Code, w.Body, reached)
			}
			if strings.HasPrefix(c.body, "portal") && w.Header().Get("X-App") != "" {
				t.Error("a header of an answer that was not sent")
			}
			for _, line := range w.Header()["Set-Cookie"] {
				if strings.Contains(line, "evil") {
					t.Error("the application set our cookie")
				}
			}
		})
	}
}

// An error that means something else is handed on as it is.
func TestWellKnownErrorsAreHandedOn(t *testing.T) {
	y := newWellKnownYard(t, "version: 1\nrules: [{name: all, match: {path: /*}, allow: true}]\ndefault: {deny: true}\n")
	broken := errors.New("broken")
	r := httptest.NewRequest(http.MethodGet, "/.well-known/change-password", nil)
	r.Host = "a.test"
	w, _, err := y.askApp(r, "", func(http.ResponseWriter, *http.Request) error { return broken })
	if !errors.Is(err, broken) || w.Body.Len() != 0 {
		t.Errorf("%v %q", err, w.Body)
	}
}

// One request is one verdict, whoever answers it in the end.
func TestWellKnownIsJudgedOnce(t *testing.T) {
	y := newWellKnownYard(t, "version: 1\nrules: [{name: all, match: {path: /*}, allow: true}]\ndefault: {deny: true}\n")
	for target, want := range map[string]string{"/.well-known/change-password": "allow", "/.well-known/webauthn": "portal"} {
		var outcomes []string
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Host = "a.test"
		a := Arrival{Judged: func(v Verdict) { outcomes = append(outcomes, v.Outcome) }}
		if err := y.ServeHTTP(httptest.NewRecorder(), r, a, respond(404, "")); err != nil || len(outcomes) != 1 || outcomes[0] != want {
			t.Errorf("%s: %v %v", target, outcomes, err)
		}
	}
}
