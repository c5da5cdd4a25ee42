package gate

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
	"github.com/stepgate/stepgate/policy"
)

// browserID is that of the browser of these tests.
var browserID = strings.Repeat("B", 42) + "A"

// sent is a request with a body from a page of the site. Headers come in pairs.
func sent(cookie, target, kind, body string, headers ...string) *http.Request {
	r := req("POST", target, append([]string{
		"Cookie", cookieName + "=" + cookie + "; " + cookieName + "-browser=" + browserID,
		"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin", "Content-Type", kind, "Origin", "https://a.test",
	}, headers...)...)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return r
}

// without takes headers from a request.
func without(r *http.Request, names ...string) *http.Request {
	for _, name := range names {
		delete(r.Header, name)
	}
	return r
}

// hold sends a form that meets a step-up and returns the id of the flow in which it waits.
func (y *yard) hold(r *http.Request) (flow string) {
	y.t.Helper()
	w := y.blocked(http.StatusSeeOther, r)
	_, id, _ := strings.Cut(w.Header().Get("Location"), "flow=")
	if !strings.HasPrefix(id, "FLOW-") {
		y.t.Fatalf("not held: %s", w.Header().Get("Location"))
	}
	return id
}

// marker is the form by which the page at the end of a challenge has a request sent on.
func marker(cookie, target, flow string, headers ...string) *http.Request {
	return sent(cookie, target, "text/plain", held.Field+"="+flow+"\r\n", headers...)
}

// proven makes a second proof in the session of a cookie and returns the new cookie.
func (y *yard) proven(cookie string) string {
	y.t.Helper()
	s, err := y.manager.Lookup(y.t.Context(), cookie)
	if err != nil {
		y.t.Fatal(err)
	}
	return y.upgrade(s, factors.Proof{Product: factors.TOTP})
}

func bodyOf(t testing.TB, r *http.Request) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What was held reaches the application as it was sent, whatever it was, and once.
func TestHeldIsSentAsItWas(t *testing.T) {
	binary := make([]byte, 200<<10)
	for i := range binary {
		binary[i] = byte(i * 7)
	}
	for kind, body := range map[string]string{
		"application/x-www-form-urlencoded":       "to=B%C3%BCro+%26+S%F6hne&amount=1%2C50&&=&",
		"multipart/form-data; boundary=----x":     "------x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\n" + string(binary) + "\r\n------x--\r\n",
		"text/plain":                              "to=Paper & Pens\r\nstepgate-held=not at the beginning\r\n",
		"application/json":                        `{"a": "\u0000<>&"}`,
		"application/octet-stream; charset=utf-8": string(binary),
		"application/empty":                       "",
	} {
		for _, chunked := range []bool{false, true} {
			y := newYard(t)
			cookie := y.signIn(factors.Password)
			r := sent(cookie, "/admin/pay?x='1'&y=%41", kind, body, "Content-Language", "de", "Accept-Language", "de, en;q=0.5",
				"Referer", "https://a.test/admin/form", "X-Requested-With", "Shockwave", "X-Own", "1", "Authorization", "Basic old", "X-Forwarded-For", "203.0.113.9", "Remote-User", "root")
			if chunked {
				r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
			}
			id := y.hold(r)
			if p := y.flows.begun[0]; p.Return != "/admin/form" || p.Held == "" || p.Family == "" {
				t.Fatalf("%+v", p)
			}
			cookie = y.proven(cookie)
			out := y.forwarded(marker(cookie, "/admin/pay?x='1'&y=%41", id, "Accept-Language", "en", "Referer", "https://a.test/", "X-Own", "2", "Authorization", "Basic new"))
			if got := bodyOf(t, out); got != body || out.ContentLength != int64(len(body)) || out.Header.Get("Content-Length") != fmt.Sprint(len(body)) || len(out.TransferEncoding) > 0 {
				t.Errorf("%s: %d bytes instead of %d, length %d", kind, len(got), len(body), out.ContentLength)
			}
			for name, want := range map[string]string{
				"Content-Type": kind, "Content-Language": "de", "Accept-Language": "de, en;q=0.5", "Referer": "https://a.test/admin/form",
				"Origin": "https://a.test", "X-Requested-With": "Shockwave", "X-Own": "2", "Authorization": "Basic new", "X-Forwarded-For": "", "Remote-User": "bob@example.com", "Cookie": "",
			} {
				if got := out.Header.Get(name); got != want {
					t.Errorf("%s: %s is %q instead of %q", kind, name, got, want)
				}
			}
			y.blocked(http.StatusGone, marker(cookie, "/admin/pay?x='1'&y=%41", id))
		}
	}
}

// Whoever is not the browser, session, site and address that it was sent by and to gets nothing,
// and takes nothing away.
func TestHeldIsBound(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	id := y.hold(sent(cookie, "/admin/pay?a=1", "text/x", "secret"))
	other := y.signIn(factors.Password, factors.TOTP)
	cookie = y.proven(cookie)
	elsewhere := marker(cookie, "/admin/pay?a=1", id)
	elsewhere.Host = "b.test"
	put := marker(cookie, "/admin/pay?a=1", id)
	put.Method = "PUT"
	for name, r := range map[string]*http.Request{
		"another session":   marker(other, "/admin/pay?a=1", id),
		"another browser":   marker(cookie+"; "+cookieName+"-browser="+strings.Repeat("C", 42)+"A", "/admin/pay?a=1", id),
		"no session":        without(marker(cookie, "/admin/pay?a=1", id), "Cookie"),
		"another host":      elsewhere,
		"another query":     marker(cookie, "/admin/pay?a=2", id),
		"no query":          marker(cookie, "/admin/pay", id),
		"another spelling":  marker(cookie, "/admin/p%61y?a=1", id),
		"another path":      marker(cookie, "/admin/delete?a=1", id),
		"an open path":      marker(cookie, "/public/pay?a=1", id),
		"another flow":      marker(cookie, "/admin/pay?a=1", id+"x"),
		"a tampered flow":   marker(cookie, "/admin/pay?a=1", strings.ToLower(id)),
		"no flow":           marker(cookie, "/admin/pay?a=1", ""),
		"a flow and more":   marker(cookie, "/admin/pay?a=1", id+"\r\nto=me"),
		"a line too many":   marker(cookie, "/admin/pay?a=1", "\r\n"+id),
		"a denied path":     marker(cookie, "/forbidden/pay?a=1", id),
		"text with charset": sent(cookie, "/public/x", "Text/Plain; charset=utf-8", held.Field+"="+id),
	} {
		if name == "a denied path" {
			y.blocked(http.StatusGone, r)
			continue
		}
		if w := y.blocked(http.StatusGone, r); strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
	// By another method the form is an ordinary one: its text opens nothing.
	if got := bodyOf(t, y.forwarded(put)); !strings.HasPrefix(got, held.Field) {
		t.Errorf("PUT: %q", got)
	}
	if got := bodyOf(t, y.forwarded(marker(cookie, "/admin/pay?a=1", id))); got != "secret" {
		t.Errorf("the rightful owner got %q", got)
	}
}

// Another site can neither have a form held nor have one sent on.
func TestHeldIsSameOrigin(t *testing.T) {
	cross := [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "Same-Origin"}, {"Sec-Fetch-Site", ""},
		{"Origin", "https://evil.test"}, {"Origin", "null"}, {"Origin", "http://a.test"}, {"Origin", "https://a.test:8443"}, {"Origin", "https://a.test", "Origin", "https://evil.test"},
	}
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	held := y.hold(sent(cookie, "/admin/pay", "text/x", "kept"))
	strong := y.proven(cookie)
	for _, headers := range cross {
		bare := func(r *http.Request) *http.Request {
			r = without(r, "Sec-Fetch-Site", "Sec-Fetch-Mode", "Origin")
			r.Header.Set("Accept", "text/html")
			for i := 0; i < len(headers); i += 2 {
				r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
			}
			if headers[0] == "Sec-Fetch-Site" {
				r.Header.Set("Sec-Fetch-Mode", "navigate")
			}
			return r
		}
		weak := newYard(t)
		w := weak.blocked(http.StatusForbidden, bare(sent(weak.signIn(factors.Password), "/admin/pay", "text/x", "kept")))
		if len(weak.flows.begun) != 0 || w.Header().Get("Stepgate-Response") != "denied" {
			t.Errorf("%v: held, or not refused: %v", headers, w.Header())
		}
		y.blocked(http.StatusForbidden, bare(marker(strong, "/admin/pay", held)))
	}
	// A script cannot have it sent on either, and a browser that tells nothing neither.
	y.blocked(http.StatusForbidden, func() *http.Request {
		r := marker(strong, "/admin/pay", held)
		r.Header.Set("Sec-Fetch-Mode", "cors")
		return r
	}())
	silent := without(marker(strong, "/admin/pay", held), "Sec-Fetch-Site", "Sec-Fetch-Mode", "Origin")
	silent.Header.Set("Accept", "text/html")
	y.blocked(http.StatusForbidden, silent)

	// By Origin alone, both are done.
	plain := newYard(t)
	byOrigin := func(r *http.Request) *http.Request {
		r = without(r, "Sec-Fetch-Site", "Sec-Fetch-Mode")
		r.Header.Set("Accept", "text/html")
		return r
	}
	cookie = plain.signIn(factors.Password)
	id := plain.hold(byOrigin(sent(cookie, "/admin/pay", "text/x", "kept")))
	if got := bodyOf(t, plain.forwarded(byOrigin(marker(plain.proven(cookie), "/admin/pay", id)))); got != "kept" {
		t.Error(got)
	}
}

// Who tells nothing, who is nobody, who is no browser, and where nothing is to be held, is
// answered as ever.
func TestWhatIsNotHeld(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	form := func() *http.Request { return sent(cookie, "/admin/pay", "text/x", "x") }
	silent := without(form(), "Sec-Fetch-Site", "Sec-Fetch-Mode", "Origin")
	silent.Header.Set("Accept", "text/html")
	none := form()
	none.Header.Set("Sec-Fetch-Site", "none")
	put, script := form(), form()
	put.Method = "PUT"
	script.Header.Set("Sec-Fetch-Mode", "cors")
	doubtful := sent(cookie, "//evil.test/admin/pay", "text/x", "x")
	for name, c := range map[string]struct {
		r      *http.Request
		status int
	}{
		"silent": {silent, 303}, "none": {none, 303}, "put": {put, 303}, "script": {script, 401}, "nobody": {without(form(), "Cookie"), 303},
		"get": {func() *http.Request { r := form(); r.Method = "GET"; return r }(), 303},
	} {
		if y.blocked(c.status, c.r); y.flows.begun[len(y.flows.begun)-1].Held != "" {
			t.Errorf("%s: held", name)
		}
	}
	y.Loosened = []Item{EmptySegment}
	p, err := policy.Load("p", []byte("version: 1\ndefault: {require: mfa}\n"))
	if err != nil {
		t.Fatal(err)
	}
	y.policy.Store(p)
	if y.blocked(303, doubtful); y.flows.begun[len(y.flows.begun)-1].Held != "" {
		t.Error("held, at an address that a form would take for another host")
	}
	y.HoldLimit = 0
	if y.blocked(303, form()); y.flows.begun[len(y.flows.begun)-1].Held != "" {
		t.Error("held, although that is off")
	}
}

// Of many who ask at once, one has the request sent.
func TestHeldIsSentOnce(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	id := y.hold(sent(cookie, "/admin/pay", "text/x", "pay 100"))
	cookie = y.proven(cookie)
	var reached, gone atomic.Int64
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			w := httptest.NewRecorder()
			err := y.ServeHTTP(w, marker(cookie, "/admin/pay", id), Arrival{}, func(_ http.ResponseWriter, r *http.Request) error {
				if b, err := io.ReadAll(r.Body); err != nil || string(b) != "pay 100" {
					t.Errorf("upstream got %q: %v", b, err)
				}
				reached.Add(1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if w.Code == http.StatusGone {
				gone.Add(1)
			}
		})
	}
	all.Wait()
	if reached.Load() != 1 || gone.Load() != 199 {
		t.Errorf("%d reached the upstream, %d were told that it was sent", reached.Load(), gone.Load())
	}
}

// It waits for 10 minutes by our clock, and no longer than its session.
func TestHeldExpires(t *testing.T) {
	for name, end := range map[string]func(*yard, string){
		"in time":    func(y *yard, _ string) { y.clock.Advance(held.Life - time.Millisecond) },
		"too late":   func(y *yard, _ string) { y.clock.Advance(held.Life) },
		"signed out": func(y *yard, cookie string) { y.signOut(cookie) },
	} {
		y := newYard(t)
		cookie := y.signIn(factors.Password)
		id := y.hold(sent(cookie, "/admin/pay", "text/x", "x"))
		cookie = y.proven(cookie)
		end(y, cookie)
		if name == "in time" {
			y.forwarded(marker(cookie, "/admin/pay", id))
			continue
		}
		y.blocked(http.StatusGone, marker(cookie, "/admin/pay", id))
	}
}

func (y *yard) signOut(cookie string) {
	s, err := y.manager.Lookup(y.t.Context(), cookie)
	if err == nil {
		err = y.manager.Revoke(y.t.Context(), s.UserID, s.ID)
	}
	if err != nil {
		y.t.Fatal(err)
	}
}

// What cannot be kept is said before anybody proves anything, announced or not.
func TestTooLargeToHold(t *testing.T) {
	for _, length := range []int64{-1, 2001} {
		y := newYard(t)
		y.HoldLimit = 2000
		cookie := y.signIn(factors.Password)
		r := sent(cookie, "/admin/pay", "text/x", strings.Repeat("x", 2001))
		r.ContentLength = length
		w := y.blocked(http.StatusRequestEntityTooLarge, r)
		if !strings.Contains(w.Body.String(), "/.stepgate/challenge?flow=FLOW") || y.flows.begun[0].Held != "" || w.Header().Get("Stepgate-Response") != "step_up" {
			t.Errorf("%s", w.Body)
		}
		y.hold(sent(cookie, "/admin/pay", "text/x", strings.Repeat("x", 2000)))
	}
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	y.blocked(http.StatusRequestEntityTooLarge, sent(cookie, "/admin/pay", "text/x", "x", "Referer", "https://a.test/"+strings.Repeat("x", held.MaxHead)))
}

// A body that breaks off is not held as if it were whole.
func TestBrokenBodyIsNotHeld(t *testing.T) {
	y := newYard(t)
	r := sent(y.signIn(factors.Password), "/admin/pay", "text/x", "")
	r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{})), 8
	y.blocked(http.StatusBadRequest, r)
}

// timed is a server that can be told by when a body must be read.
type timed struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (t *timed) SetReadDeadline(at time.Time) error { t.deadline = at; return nil }

// A body is read by a deadline, which the server keeps for what is left of a body that breaks off.
func TestBodyHasADeadline(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	for name, body := range map[string]io.Reader{"whole": strings.NewReader("x"), "broken": broken{}} {
		var during time.Time
		w := &timed{ResponseRecorder: httptest.NewRecorder()}
		r := sent(cookie, "/admin/pay", "text/x", "")
		r.Body = io.NopCloser(io.MultiReader(readerFunc(func([]byte) (int, error) { during = w.deadline; return 0, io.EOF }), body))
		r.ContentLength = -1
		if err := y.ServeHTTP(w, r, Arrival{}, nil); err != nil {
			t.Fatal(err)
		}
		want := y.clock.Now().Add(readTime)
		if !during.Equal(want) || w.deadline.IsZero() != (name == "whole") {
			t.Errorf("%s: %v, then %v", name, during, w.deadline)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Asked for again, by a policy that changed or a proof that lapsed, the same request waits on.
func TestHeldWaitsOn(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	id := y.hold(sent(cookie, "/admin/pay", "text/x", "x", "Referer", "https://a.test/form"))
	again := y.hold(marker(cookie, "/admin/pay", id))
	if first, second := y.flows.begun[0], y.flows.begun[1]; again != id || second.Held != first.Held || second.Return != "/form" {
		t.Errorf("%+v", second)
	}
	if got := bodyOf(t, y.forwarded(marker(y.proven(cookie), "/admin/pay", again))); got != "x" {
		t.Error(got)
	}
}

// The headers that were held are those that the policy reads.
func TestHeldIsJudgedAsItWas(t *testing.T) {
	y := newYard(t)
	p, err := policy.Load("p", []byte(`
version: 1
rules:
  - {name: json, match: {header: {Content-Type: application/json}}, deny: true}
default: {require: mfa}
`))
	if err != nil {
		t.Fatal(err)
	}
	cookie := y.signIn(factors.Password)
	id := y.hold(sent(cookie, "/admin/pay", "application/json", "{}"))
	y.policy.Store(p)
	y.blocked(http.StatusForbidden, marker(y.proven(cookie), "/admin/pay", id))
}

// A proof that serves one request serves the one that waits for it.
func TestHeldWithOnce(t *testing.T) {
	y := newOnceYard(t)
	cookie := y.prove(factors.Proof{Product: factors.Password})
	id := y.hold(sent(cookie, "/pay/1", "text/x", "x"))
	s, err := y.manager.Lookup(t.Context(), cookie)
	if err != nil {
		t.Fatal(err)
	}
	cookie = y.upgrade(s, proofFor("pay"))
	y.forwarded(marker(cookie, "/pay/1", id))
	y.blocked(http.StatusGone, marker(cookie, "/pay/1", id))
	y.hold(sent(cookie, "/pay/1", "text/x", "x"))
}

// When the store cannot tell, nothing is sent, and nothing is said to be kept.
func TestHeldFailsClosed(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	id := y.hold(sent(cookie, "/admin/pay", "text/x", "x"))
	strong := y.proven(cookie)
	y.sessions.err = errBroken
	y.blocked(http.StatusServiceUnavailable, marker(strong, "/admin/pay", id))
	y.blocked(http.StatusServiceUnavailable, marker(strong, "/public/pay", id))
	y.sessions.err = nil
	if _, err := y.manager.Lookup(t.Context(), strong); err != nil { // in the cache
		t.Fatal(err)
	}
	weak := y.signIn(factors.Password)
	if err := y.db.Store().Close(); err != nil {
		t.Fatal(err)
	}
	y.blocked(http.StatusServiceUnavailable, marker(strong, "/admin/pay", id))
	y.blocked(http.StatusServiceUnavailable, sent(weak, "/admin/pay", "text/x", "x"))
}

// flaky is a store that cannot write.
type flaky struct{ store.Store }

func (flaky) Apply(context.Context, []store.Cond, []store.Op) (store.Rev, error) { return 0, errBroken }

// When it cannot be told whether a form was taken, it is not sent; afterwards it is, once.
func TestHeldIsNotSentWhenItCannotBeTaken(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	id := y.hold(sent(cookie, "/admin/pay", "text/x", "x"))
	cookie = y.proven(cookie)
	whole := y.Held
	y.Held = held.New(storetest.DB(t, flaky{y.db.Store()}, y.clock.Now), rand.Reader)
	y.blocked(http.StatusServiceUnavailable, marker(cookie, "/admin/pay", id))
	y.Held = whole
	y.forwarded(marker(cookie, "/admin/pay", id))
}

// The form that asks never reaches the application, and ordinary text does, byte for byte.
func TestTextPlainIsNotTouched(t *testing.T) {
	long := strings.Repeat("é\x00", 20<<10)
	for _, body := range []string{"", "s", "stepgate-held", "stepgate-hel=x", "Stepgate-Held=x", " stepgate-held=x", "a=1\r\nstepgate-held=x\r\n", long} {
		y := newYard(t)
		cookie := y.signIn(factors.Password)
		r := sent(cookie, "/app/form", "text/plain", body)
		if got := bodyOf(t, y.forwarded(r)); got != body {
			t.Errorf("%.20q became %.20q", body, got)
		}
	}
	y := newYard(t)
	cookie := y.signIn(factors.Password, factors.TOTP)
	for _, r := range []*http.Request{
		marker(cookie, "/public/x", "FLOW-x"), marker(cookie, "/app/x", "FLOW-x"), marker(cookie, "/admin/x", "FLOW-x"), marker(cookie, "/admin/x", ""),
	} {
		y.blocked(http.StatusGone, r)
		if got := bodyOf(t, r); got != "" || r.ContentLength != 0 {
			t.Errorf("the form was left in the request: %q", got)
		}
	}
	if y.pass(marker(cookie, "/.stepgate/x", "FLOW-x")); len(y.seen) != 0 {
		t.Error("it reached the application")
	}
}

// A browser without an id gets one, by which it is then known.
func TestHeldNamesTheBrowser(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	r := sent(cookie, "/admin/pay", "text/x", "x")
	r.Header.Set("Cookie", cookieName+"="+cookie)
	w := y.blocked(http.StatusSeeOther, r)
	given := w.Result().Cookies()
	if len(given) != 1 || given[0].Name != cookieName+"-browser" || !given[0].HttpOnly || !given[0].Secure {
		t.Fatalf("%v", given)
	}
	_, id, _ := strings.Cut(w.Header().Get("Location"), "flow=")
	cookie = y.proven(cookie)
	r = marker(cookie, "/admin/pay", id)
	y.blocked(http.StatusGone, r)
	r = marker(cookie, "/admin/pay", id)
	r.Header.Set("Cookie", cookieName+"="+cookie+"; "+given[0].Name+"="+given[0].Value)
	y.forwarded(r)
}

// What became of it is told to logs and metrics.
func TestHeldIsTold(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	told := func(r *http.Request) (verdicts []string) {
		a := Arrival{Judged: func(v Verdict) { verdicts = append(verdicts, v.Outcome+" "+v.Held) }}
		if err := y.ServeHTTP(httptest.NewRecorder(), r, a, func(http.ResponseWriter, *http.Request) error { return nil }); err != nil {
			t.Error(err)
		}
		return verdicts
	}
	var all []string
	all = append(all, told(sent(cookie, "/admin/pay", "text/x", "x"))...)
	id := "FLOW-" + y.flows.begun[0].Held
	cookie = y.proven(cookie)
	all = append(all, told(marker(cookie, "/admin/pay", id))...)
	all = append(all, told(marker(cookie, "/admin/pay", id))...)
	all = append(all, told(marker(cookie, "/admin/pay", id, "Sec-Fetch-Site", "cross-site"))...)
	if want := []string{"step_up held", "allow sent", "refused gone", "refused cross_site"}; !slices.Equal(all, want) {
		t.Errorf("%q", all)
	}
}

// FuzzHeldBody holds bodies and takes them back; what is read of a request that is no marker stays
// in it.
func FuzzHeldBody(f *testing.F) {
	y := newYard(f)
	f.Add([]byte("a=1"), "text/plain")
	f.Add([]byte("stepgate-held=x\r\n"), "text/plain")
	f.Add([]byte("stepgate-held=x"), "text/html")
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		r := sent("", "/app", kind, string(body))
		id, ours := repeatForm(r)
		rest, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !ours && !bytes.Equal(rest, body) || ours && !bytes.HasPrefix(body, []byte(held.Field+"="+id)) {
			t.Errorf("%q became %q, id %q", body, rest, id)
		}
		owner := held.Owner{UserID: "user-1", Family: "f"}
		name, err := y.Held.Hold(t.Context(), held.Head{Owner: owner}, body)
		if err != nil {
			t.Fatal(err)
		}
		_, got, err := y.Held.Take(t.Context(), name, owner)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%q became %q: %v", body, got, err)
		}
	})
}

// brokenSigner cannot sign.
type brokenSigner struct{}

func (brokenSigner) Sign([]byte) (*jose.JSONWebSignature, error) {
	return nil, errors.New("no key")
}

func (brokenSigner) Options() jose.SignerOptions { return jose.SignerOptions{} }

// A form that cannot be sent on, because nobody can be named to the application, waits on.
func TestHeldWaitsWhileNothingCanBeSigned(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	id := y.hold(sent(cookie, "/admin/pay", "text/x", "kept"))
	cookie = y.proven(cookie)
	signer := y.Signer
	y.Signer = &Signer{signer: brokenSigner{}}
	y.blocked(http.StatusServiceUnavailable, marker(cookie, "/admin/pay", id))
	y.Signer = signer
	if got := bodyOf(t, y.forwarded(marker(cookie, "/admin/pay", id))); got != "kept" {
		t.Error(got)
	}
}
