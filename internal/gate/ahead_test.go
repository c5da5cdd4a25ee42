package gate

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/policy"
)

const asksAhead = `
version: 1
rules:
  - {name: one, match: {path: /one}, require: {all_of: [{factor: password, max_age: 10m}, {factor: totp, max_age: 5m}]}}
  - {name: two, match: {path: /two}, require: {factor: totp, max_age: 2m}}
  - {name: three, match: {path: /three}, require: passkey}
  - {name: open, match: {path: /open}, allow: true}
default: {require: signed_in}
`

// missing sends a request and returns what the answer says is missing, and the flow that it began.
func (y *yard) missing(r *http.Request, originalURI string) (missing, required string) {
	y.t.Helper()
	w := httptest.NewRecorder()
	err := y.ServeHTTP(w, r, Arrival{OriginalURI: originalURI}, func(http.ResponseWriter, *http.Request) error {
		y.t.Fatalf("%s reached the application", r.RequestURI)
		return nil
	})
	if err != nil {
		y.t.Fatal(err)
	}
	var told struct {
		Missing  json.RawMessage `json:"missing"`
		Required json.RawMessage `json:"required"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil {
		y.t.Fatal(err)
	}
	begun := y.flows.begun[len(y.flows.begun)-1]
	if begun.Required != string(told.Required) {
		y.t.Errorf("the flow asks for %s, the answer for %s", begun.Required, told.Required)
	}
	return string(told.Missing), begun.Required
}

// A challenge asks for what lapses within a minute too; the decision does not.
func TestAChallengeAsksForWhatLapses(t *testing.T) {
	y := newYard(t)
	p, err := policy.Load("p", []byte(asksAhead))
	if err != nil {
		t.Fatal(err)
	}
	y.policy.Store(p)
	cookie := y.signIn(factors.Password, factors.TOTP)
	y.clock.Advance(4*time.Minute + 59*time.Second)
	y.forwarded(req("GET", "/one", with(cookie)...))
	for _, c := range []struct {
		later time.Duration
		want  string
	}{
		{2 * time.Second, `[[{"factor":"totp","max_age":300}]]`},
		{3*time.Minute + 58*time.Second, `[[{"factor":"totp","max_age":300}]]`},
		{2 * time.Second, `[[{"factor":"password","max_age":600},{"factor":"totp","max_age":300}]]`},
	} {
		y.clock.Advance(c.later)
		if got, _ := y.missing(req("GET", "/one", with(cookie)...), ""); got != c.want {
			t.Errorf("missing %s, expected %s", got, c.want)
		}
	}
}

// All readings of a request are asked for at once, those that pass for now too.
func TestAllReadingsAreAskedForAtOnce(t *testing.T) {
	y := newYard(t)
	p, err := policy.Load("p", []byte(asksAhead))
	if err != nil {
		t.Fatal(err)
	}
	y.policy.Store(p)
	cookie := y.signIn(factors.Password, factors.TOTP)
	y.clock.Advance(time.Minute + 30*time.Second)
	for _, c := range []struct{ original, rewritten, cookie, missing, required string }{
		// two passes for 30 seconds more
		{"/two", "/three", cookie, `[[{"factor":"totp","max_age":120},{"factor":"passkey"}]]`, `{"all_of":[{"factor":"totp","max_age":"2m0s"},"passkey"]}`},
		{"/three", "/three", cookie, `[[{"factor":"passkey"}]]`, `"passkey"`},
		{"/three", "/open", cookie, `[[{"factor":"passkey"}]]`, `"passkey"`},
		{"/else", "/three", cookie, `[[{"factor":"passkey"}]]`, `"passkey"`},
		{"/three", "/else", cookie, `[[{"factor":"passkey"}]]`, `"passkey"`},
		{"/else", "/two", "", ``, `{"factor":"totp","max_age":"2m0s"}`},
		{"/else", "/open", "", ``, `"signed_in"`},
	} {
		var headers []string
		if c.cookie != "" {
			headers = with(c.cookie)
		}
		missing, required := y.missing(req("GET", c.rewritten, headers...), c.original)
		if missing != c.missing || required != c.required {
			t.Errorf("%s as %s: missing %s of %s, expected %s of %s", c.original, c.rewritten, missing, required, c.missing, c.required)
		}
	}
}
