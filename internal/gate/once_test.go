package gate

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/policy"
)

const oncePolicy = `
version: 1
requirements:
  fresh: {factor: totp, once: true}
rules:
  - {name: pay, match: {path: /pay/*}, require: {all_of: [password, fresh]}}
  - {name: wire, match: {path: /wire/*}, require: fresh}
minimum:
  - {name: sealed, match: {path: /pay/sealed/*}, require: {factor: totp, once: true}}
default: {require: signed_in}
`

func newOnceYard(t *testing.T) *yard {
	t.Helper()
	y := newYard(t)
	p, err := policy.Load("p", []byte(oncePolicy))
	if err != nil {
		t.Fatal(err)
	}
	y.Policy = func() *policy.Policy { return p }
	return y
}

func proofFor(rules ...string) factors.Proof {
	return factors.Proof{Product: factors.TOTP, ForRules: rules}
}

// A proof for one rule lets one request of that rule pass, and is then spent.
func TestOnceServesOneRequest(t *testing.T) {
	y := newOnceYard(t)
	password := factors.Proof{Product: factors.Password}
	cookie := y.prove(password, proofFor("pay"))
	y.blocked(http.StatusUnauthorized, req("POST", "/wire/1", with(cookie)...)) // made for another rule
	y.forwarded(req("GET", "/app", with(cookie)...))                            // asks for nothing, spends nothing
	y.forwarded(req("POST", "/pay/1", with(cookie)...))
	y.blocked(http.StatusUnauthorized, req("POST", "/pay/1", with(cookie)...))

	ordinary := y.prove(password, proofFor())
	y.blocked(http.StatusUnauthorized, req("POST", "/pay/1", with(ordinary)...))

	both := y.prove(password, proofFor("pay", "sealed"))
	y.forwarded(req("POST", "/pay/sealed/1", with(both)...))
	y.blocked(http.StatusUnauthorized, req("POST", "/pay/sealed/1", with(both)...))
	y.blocked(http.StatusUnauthorized, req("POST", "/pay/1", with(both)...))
}

// Requests in parallel with one proof: one of them passes.
func TestOnceInParallel(t *testing.T) {
	y := newOnceYard(t)
	cookie := y.prove(factors.Proof{Product: factors.Password}, proofFor("pay"))
	var passed, asked atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			w := httptest.NewRecorder()
			err := y.ServeHTTP(w, req("POST", "/pay/1", with(cookie)...), Arrival{}, func(http.ResponseWriter, *http.Request) error {
				passed.Add(1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if w.Header().Get("Stepgate-Response") == "step_up" {
				asked.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 1 || asked.Load() != 49 {
		t.Errorf("%d passed, %d were asked", passed.Load(), asked.Load())
	}
}

// When it cannot be told whether a proof was used up, nothing passes.
func TestOnceFailsClosed(t *testing.T) {
	y := newOnceYard(t)
	cookie := y.prove(factors.Proof{Product: factors.Password}, proofFor("pay"))
	y.sessions.spendErr = errBroken
	y.blocked(http.StatusServiceUnavailable, req("POST", "/pay/1", with(cookie)...))
	y.sessions.spendErr = nil
	y.forwarded(req("POST", "/pay/1", with(cookie)...))
}

// A session that was rotated away cannot use up what its successor holds too.
func TestOnceOfARotatedSession(t *testing.T) {
	y := newOnceYard(t)
	before := y.prove(factors.Proof{Product: factors.Password}, proofFor("pay"))
	s, err := y.manager.Lookup(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	after := y.upgrade(s, factors.Proof{Product: factors.EmailOTP})
	y.blocked(http.StatusServiceUnavailable, req("POST", "/pay/1", with(before)...))
	y.forwarded(req("POST", "/pay/1", with(after)...))
	y.blocked(http.StatusUnauthorized, req("POST", "/pay/1", with(after)...))
}

// A connection that stays open holds the proof by which it was opened.
func TestOnceKeepsItsConnection(t *testing.T) {
	y := newOnceYard(t)
	cookie := y.prove(factors.Proof{Product: factors.Password}, proofFor("pay"))
	r := req("GET", "/pay/live", append(with(cookie), "Accept", "text/event-stream")...)
	y.respond = func(_ http.ResponseWriter, r *http.Request) {
		for range 3 {
			select {
			case y.tick <- time.Time{}:
			case <-r.Context().Done():
				t.Error("the connection was ended")
				return
			}
		}
	}
	y.forwarded(r)
}

// After a rewrite, a proof is used up whichever of the readings asks for it.
func TestOnceOfARewrittenRequest(t *testing.T) {
	y := newOnceYard(t)
	for _, c := range []struct{ original, target string }{{"/pay/1", "/app"}, {"/app", "/pay/1"}} {
		cookie := y.prove(factors.Proof{Product: factors.Password}, proofFor("pay"))
		reached := 0
		for range 2 {
			err := y.ServeHTTP(httptest.NewRecorder(), req("POST", c.target, with(cookie)...), Arrival{OriginalURI: c.original},
				func(http.ResponseWriter, *http.Request) error { reached++; return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		if reached != 1 {
			t.Errorf("%s rewritten to %s: %d of 2 passed", c.original, c.target, reached)
		}
	}
}
