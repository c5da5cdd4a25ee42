package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
)

// benchGate is a gate with a policy of many rules, and the cookie of somebody who is signed in.
func benchGate(b testing.TB, rules int) (h *Handler, cookie string) {
	b.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	b.Cleanup(cancel)
	a := &App{logger: zap.NewNop(), ctx: ctx, keys: &secrets{}, policies: newPolicyFiles(zap.NewNop())}
	a.opener = &BoltStore{path: filepath.Join(b.TempDir(), "state", "stepgate.db")}
	a.events = new(caddyevents.App)
	if err := a.events.Provision(ctx); err != nil {
		b.Fatal(err)
	}
	a.options.Issuer, a.options.CodeLife = "Bench", defaultCodeLife
	a.options.Offered, a.options.Primary = []factors.Product{factors.Password}, []factors.Product{factors.Password}
	a.hashing = PasswordFactor{MemoryKiB: 7 << 10, Iterations: 1, Concurrent: 1}
	e, err := a.use()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = a.Cleanup() })

	var text strings.Builder
	text.WriteString("version: 1\nrules:\n")
	for i := range rules {
		fmt.Fprintf(&text, "  - name: rule %d\n    match: {path: /part%d/*}\n    require: {factor: totp, max_age: 5m}\n", i, i)
	}
	text.WriteString("default:\n  require: signed_in\n")
	p, err := policy.Load("bench", []byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	h = &Handler{app: a, logger: zap.NewNop()}
	h.site.Policy = func() *policy.Policy { return p }
	h.site.Known = []string{"localhost"}

	const secret = "seven quiet lamps over water"
	if _, err := e.flow.Operator(false).Create(b.Context(), account.NewUser{Email: "alice@example.com", Verified: true}, secret); err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = "localhost"
		if err := h.ServeHTTP(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil), nothing); err != nil {
			b.Error(err)
		}
	}))
	defer server.Close()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	response, err := client.Post(server.URL+"/.stepgate/api/v1/passwords/authenticate", "application/json",
		strings.NewReader(`{"email":"alice@example.com","password":"`+secret+`"}`))
	if err != nil || response.StatusCode != http.StatusOK {
		b.Fatal(response, err)
	}
	if err := response.Body.Close(); err != nil {
		b.Fatal(err)
	}
	at, err := url.Parse(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	var cookies []string
	for _, c := range jar.Cookies(at) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	return h, strings.Join(cookies, "; ")
}

var nothing = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })

// deadWriter takes an answer without keeping it.
type deadWriter struct{ header http.Header }

func (w deadWriter) Header() http.Header       { return w.header }
func (deadWriter) Write(p []byte) (int, error) { return len(p), nil }
func (deadWriter) WriteHeader(int)             {}

// drive sends one request through a handler as Caddy's server does, without the network.
func drive(h caddyhttp.MiddlewareHandler, cookie string, next caddyhttp.Handler) error {
	r := &http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: "/page"}, RequestURI: "/page", Host: "localhost", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Accept": {"*/*"}, "User-Agent": {"bench"}}, RemoteAddr: "127.0.0.1:5",
	}
	if cookie != "" {
		r.Header["Cookie"] = []string{cookie}
	}
	w := deadWriter{header: make(http.Header)}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	if h == nil {
		return next.ServeHTTP(w, r)
	}
	return h.ServeHTTP(w, r, next)
}

// BenchmarkHandler compares a request through the gate with one past it.
func BenchmarkHandler(b *testing.B) {
	for _, rules := range []int{20, 10_000} {
		h, cookie := benchGate(b, rules)
		b.Run(fmt.Sprintf("gate/%d_rules", rules), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := drive(h, cookie, nothing); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := drive(nil, "stepgate=x", nothing); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestTheGateAllocatesLittle holds the budget of an allowed request: four allocations more
// than a request that no gate judges.
func TestTheGateAllocatesLittle(t *testing.T) {
	h, cookie := benchGate(t, 20)
	measure := func(h caddyhttp.MiddlewareHandler, cookie string) float64 {
		return testing.AllocsPerRun(1000, func() {
			if err := drive(h, cookie, nothing); err != nil {
				t.Fatal(err)
			}
		})
	}
	gated, bare := measure(h, cookie), measure(nil, cookie)
	if gated-bare > 4 {
		t.Errorf("%.0f allocations behind the gate, %.0f without it", gated, bare)
	}
}
