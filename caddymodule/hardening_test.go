package caddymodule

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/session"
)

// prepared is a request as Caddy hands it to handlers.
func prepared(t *testing.T, target string) (*http.Request, *caddy.Replacer) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, target, nil)
	repl := caddy.NewReplacer()
	return caddyhttp.PrepareRequest(r, repl, httptest.NewRecorder(), nil), repl
}

// An unset placeholder stays in headers as its own name: every documented one has a value.
func TestAPlaceholderIsNeverItsOwnName(t *testing.T) {
	names := []string{
		"http.auth.user.id", "http.stepgate.user.id", "http.stepgate.user.email", "http.stepgate.user.name", "http.stepgate.user.groups",
		"http.stepgate.session.id", "http.stepgate.outcome", "http.stepgate.rule", "http.stepgate.reason", "http.stepgate.request_id",
	}
	r, repl := prepared(t, "http://localhost/")
	p := pass(r, repl)
	for _, name := range names {
		if got := repl.ReplaceKnown("[{"+name+"}]", ""); got != "[]" {
			t.Errorf("before a decision, %s is %q", name, got)
		}
	}
	s := &session.Session{ID: "session-1", UserID: "user-1", Roles: []string{"a", "b"}}
	s.User.Email, s.User.Name = "alice@example.com", "Alice"
	p.verdict = gate.Verdict{Outcome: "allow", Rule: "r", Reason: "why", Session: s, RequestID: "request-1"}
	want := "user-1 user-1 alice@example.com Alice a,b session-1 allow r why request-1"
	if got := repl.ReplaceKnown("{"+strings.Join(names, "} {")+"}", ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Values that people choose are values: nothing in them is expanded.
func TestAPlaceholderInAValueStaysText(t *testing.T) {
	t.Setenv("STEPGATE_CANARY", "leaked")
	r, repl := prepared(t, "http://localhost/")
	s := &session.Session{}
	s.User.Name = "{env.STEPGATE_CANARY}"
	pass(r, repl).verdict = gate.Verdict{Session: s}
	if got := repl.ReplaceKnown("{http.stepgate.user.name}", ""); got != "{env.STEPGATE_CANARY}" {
		t.Errorf("got %q", got)
	}
}

// An authenticator that ran before the gate keeps the user id that it set.
func TestTheNameOfAnotherAuthenticatorStays(t *testing.T) {
	r, repl := prepared(t, "http://localhost/")
	repl.Set("http.auth.user.id", "basic-user")
	pass(r, repl).verdict = gate.Verdict{Session: &session.Session{UserID: "user-1"}}
	if got, _ := repl.GetString("http.auth.user.id"); got != "basic-user" {
		t.Errorf("got %q", got)
	}
	if got, _ := repl.GetString("http.stepgate.user.id"); got != "user-1" {
		t.Errorf("got %q", got)
	}
}

// The client's address is what Caddy determined, and nothing when Caddy could not.
func TestTheClientAddressIsNotTheClientsWord(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  string
	}{
		{"plain", "192.0.2.7", "192.0.2.7"},
		{"mapped", "::ffff:192.0.2.7", "192.0.2.7"},
		{"zone", "fe80::1%eth0", "fe80::1"},
		{"unix socket", "", "invalid IP"},
		{"absent", nil, "invalid IP"},
		{"with port", "192.0.2.7:80", "invalid IP"},
		{"text", "@", "invalid IP"},
		{"not text", 7, "invalid IP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, _ := prepared(t, "http://localhost/")
			r.RemoteAddr = "10.0.0.1:1234"
			r.Header.Set("X-Forwarded-For", "10.0.0.2")
			r.Header.Set("X-Real-Ip", "10.0.0.3")
			caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, c.value)
			if got := clientIP(r).String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A gate without an engine answers by itself: an error would run routes for errors with the
// headers that the client sent.
func TestAGateWithoutStoreRefusesByItself(t *testing.T) {
	h := &Handler{app: &App{gone: true}, logger: zap.NewNop()}
	r, _ := prepared(t, "http://localhost/")
	r.Header.Set("Remote-User", "admin")
	w := httptest.NewRecorder()
	err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("the request was forwarded")
		return nil
	}))
	if err != nil || w.Code != http.StatusServiceUnavailable || w.Header().Get("Stepgate-Response") != "error" ||
		w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(w.Body.String(), `"error_type":"store_unavailable"`) {
		t.Errorf("%v %d %v %s", err, w.Code, w.Header(), w.Body)
	}
}

// A gate behind another one finds the cookie that the first one took out.
func TestASecondGateSeesTheSameCookie(t *testing.T) {
	r, repl := prepared(t, "http://localhost/")
	r.Header["Cookie"] = []string{"stepgate=x; theme=dark"}
	first := pass(r, repl)
	r.Header["Cookie"] = []string{"theme=dark"}
	if second := pass(r, repl); second != first {
		t.Error("it began a passage of its own")
	}
	if got := r.Header.Get("Cookie"); got != "stepgate=x; theme=dark" {
		t.Errorf("got %q", got)
	}
}

// Cleanup runs after a failed Provision too, and must give back only what was taken: one
// reference too many closes the store of the running configuration.
func TestCleanupGivesBackOnlyWhatWasTaken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "stepgate.db")
	running := provisioned(t, path)
	if _, err := running.use(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Cleanup() })

	if err := new(App).Cleanup(); err != nil { // Provision had not even begun
		t.Error(err)
	}
	failed := provisioned(t, path) // provisioned, never started
	if err := failed.Cleanup(); err != nil {
		t.Error(err)
	}
	if _, err := failed.use(); err == nil {
		t.Error("a configuration that is gone opened the store again")
	}
	if n, ok := runtimes.References(path); !ok || n != 1 {
		t.Errorf("the store has %d references", n)
	}
	e, err := running.use()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.rt.store.Ping(t.Context()); err != nil {
		t.Errorf("the running configuration lost its store: %v", err)
	}
}

// After a reload that failed late, the running configuration's own limits hold again.
func TestAFailedReloadLeavesNoLimitsBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "stepgate.db")
	running := provisioned(t, path)
	e, err := running.use()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Cleanup() })
	next := provisioned(t, path)
	next.Session.Lifetime = caddy.Duration(7 * 60 * 1e9)
	if _, err := next.use(); err != nil {
		t.Fatal(err)
	}
	if n := len(e.rt.engines); n != 2 {
		t.Fatalf("%d engines", n)
	}
	if err := next.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if n := len(e.rt.engines); n != 1 || e.rt.engines[0] != e {
		t.Errorf("the failed configuration is still followed: %d", n)
	}
}

// provisioned is an app over a store, as Caddy provisions it.
func provisioned(t *testing.T, path string) *App {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	a := &App{logger: zap.NewNop(), ctx: ctx, opener: &BoltStore{path: path}, keys: &secrets{}, policies: newPolicyFiles(zap.NewNop())}
	a.options.Issuer = "Test"
	return a
}

// Web pages, other machines and open listeners change nothing.
func TestAdminCallsComeFromThisMachineAndNoWebPage(t *testing.T) {
	unix, tcp := net.Addr(&net.UnixAddr{Name: "/run/x.sock", Net: "unix"}), net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2019})
	for _, c := range []struct {
		name, method, listen, remote string
		local                        net.Addr
		header                       map[string]string
		want                         error
	}{
		{"command over loopback", "POST", "localhost:2019", "127.0.0.1:5", tcp, nil, nil},
		{"command over IPv6", "POST", "[::1]:2019", "[::1]:5", tcp, nil, nil},
		{"Caddy's own origin", "POST", "localhost:2019", "127.0.0.1:5", tcp, map[string]string{"Origin": "http://localhost:2019"}, nil},
		{"unix socket", "POST", "unix//run/x.sock", "@", unix, nil, nil},
		{"another origin", "POST", "localhost:2019", "127.0.0.1:5", tcp, map[string]string{"Origin": "https://evil.test"}, errBrowser},
		{"another port", "POST", "localhost:2019", "127.0.0.1:5", tcp, map[string]string{"Origin": "http://localhost:8080"}, errBrowser},
		{"null origin", "POST", "localhost:2019", "127.0.0.1:5", tcp, map[string]string{"Origin": "null"}, errBrowser},
		{"fetch", "GET", "localhost:2019", "127.0.0.1:5", tcp, map[string]string{"Sec-Fetch-Site": "none"}, errBrowser},
		{"navigation", "GET", "localhost:2019", "127.0.0.1:5", tcp, map[string]string{"Sec-Fetch-Mode": "navigate"}, errBrowser},
		{"image", "GET", "localhost:2019", "127.0.0.1:5", tcp, map[string]string{"Sec-Fetch-Dest": "image"}, errBrowser},
		{"browser on a socket", "GET", "unix//run/x.sock", "@", unix, map[string]string{"Sec-Fetch-Mode": "cors"}, errBrowser},
		{"another machine", "GET", "0.0.0.0:2019", "192.0.2.1:5", tcp, nil, errRemote},
		{"no address", "GET", "localhost:2019", "", tcp, nil, errRemote},
		{"change on every address", "POST", "0.0.0.0:2019", "127.0.0.1:5", tcp, nil, errWildcard},
		{"change on every address, short", "DELETE", ":2019", "127.0.0.1:5", tcp, nil, errWildcard},
		{"change on every address, IPv6", "PUT", "[::]:2019", "127.0.0.1:5", tcp, nil, errWildcard},
		{"change on a public address", "PATCH", "192.0.2.9:2019", "127.0.0.1:5", tcp, nil, errWildcard},
		{"look on every address", "GET", "0.0.0.0:2019", "127.0.0.1:5", tcp, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, c.local)
			ctx = context.WithValue(ctx, http.ServerContextKey, &http.Server{Addr: c.listen, ReadHeaderTimeout: 1})
			r := httptest.NewRequestWithContext(ctx, c.method, "http://localhost:2019/stepgate/users", nil)
			r.RemoteAddr = c.remote
			for name, value := range c.header {
				r.Header.Set(name, value)
			}
			if err := guardAdmin(r); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	listener := context.WithValue(t.Context(), http.ServerContextKey, &http.Server{Addr: "localhost:2021", ReadHeaderTimeout: 1})
	r := httptest.NewRequestWithContext(listener, http.MethodPost, "https://localhost:2021/stepgate/users", nil)
	r.RemoteAddr = "127.0.0.1:5"
	if err := guardAdmin(r); !errors.Is(err, errRemote) {
		t.Errorf("remote administration: %v", err)
	}
	r = httptest.NewRequest(http.MethodPost, "http://localhost:2019/stepgate/users", nil)
	r.RemoteAddr = "127.0.0.1:5"
	if err := guardAdmin(r); !errors.Is(err, errWildcard) {
		t.Errorf("a listener that cannot be told: %v", err)
	}
}

// The secret of the store's own is drawn once, readable by its owner only, and never replaced.
func TestTheOwnSecretIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stepgate.db.secret")
	first, err := ownSecret(path)
	if err != nil || len(first) < 48 {
		t.Fatal(len(first), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if again, err := ownSecret(path); err != nil || string(again) != string(first) {
		t.Error("another secret was drawn", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".secret-*")); err != nil || len(left) > 0 {
		t.Error("left behind:", left, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ownSecret(path); err == nil || !strings.Contains(err.Error(), "must be 0600") {
		t.Errorf("a secret that others can read was used: %v", err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Truncate(path, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := new(secrets).keyring(path); err == nil {
		t.Error("an empty secret was used")
	}
}

// Secrets are placeholders in the configuration and nothing else: no dump shows them.
func TestSecretsStandInNoConfiguration(t *testing.T) {
	t.Setenv("STEPGATE_CANARY", "canary-0123456789abcdef0123456789abcdef")
	keys, err := readSecrets("{env.STEPGATE_CANARY}", nil)
	if err != nil || string(keys.list[0]) != os.Getenv("STEPGATE_CANARY") {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"unknown":           func() error { _, err := readSecrets("{env.STEPGATE_NO_SUCH}", nil); return err },
		"short":             func() error { _, err := readSecrets("short", nil); return err },
		"short previous":    func() error { _, err := readSecrets("{env.STEPGATE_CANARY}", []string{"short"}); return err },
		"previous only":     func() error { _, err := readSecrets("", []string{"{env.STEPGATE_CANARY}"}); return err },
		"missing file":      func() error { _, err := readSecrets("{file./no/such/file}", nil); return err },
		"request's":         func() error { _, err := readSecrets("{http.request.host}-and-more-than-32-bytes", nil); return err },
		"empty placeholder": func() error { _, err := readSecrets("{}", nil); return err },
	} {
		if err := f(); err == nil || strings.Contains(err.Error(), "canary-0") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
