package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
)

// startGateway runs the binary with a Caddyfile: the options of the block stepgate, a policy, and
// an application behind it that tells whom it serves.
func startGateway(t *testing.T, options func(base string) string, policy string) *demo {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "application %s for %s", r.URL.Path, r.Header.Get("Remote-User"))
	}))
	t.Cleanup(app.Close)
	data, err := os.MkdirTemp("", "sg") // short: the path of a unix socket is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	port := freePort(t)
	d := &demo{t: t, base: fmt.Sprintf("http://localhost:%d", port), data: data, log: &lockedBuffer{}}
	for name, text := range map[string]string{
		"policy.yaml": policy,
		"Caddyfile": fmt.Sprintf(`{
	admin unix/%[1]s/admin.sock
	persist_config off
	auto_https off
	stepgate {
		store bolt %[1]s/s.db
		policy %[1]s/policy.yaml
		%[2]s
	}
}
%[3]s {
	stepgate
	reverse_proxy %[4]s
}
`, data, options(d.base), d.base, app.Listener.Addr()),
	} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start(t, d.log, nil, "run", "--config", filepath.Join(data, "Caddyfile"))
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, code := d.run("", "users", "list"); code == 0 {
			return d
		}
		if time.Now().After(deadline) {
			t.Fatalf("the gateway did not start:\n%s", d.log)
		}
	}
}

// startProvider runs an identity provider that others wrote. Dex, the first choice, cannot be had
// as a Go module: its releases carry no /v2 in their path, so that the newest one that the
// module system takes is of 2018. This is the certified provider of github.com/zitadel/oidc,
// with the sign-in page and the users of its example.
func startProvider(t *testing.T, callback string) (issuer string) {
	t.Helper()
	var l net.ListenConfig
	listener, err := l.Listen(context.Background(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	issuer = fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	clients := map[string]*storage.Client{"stepgate": storage.WebClient("stepgate", "a secret of the client", callback)}
	known := storage.NewStorageWithClients(storage.NewUserStore(issuer), clients)
	before := slog.Default()
	server := httptest.NewUnstartedServer(exampleop.SetupServer(issuer, known, slog.New(slog.NewTextHandler(io.Discard, nil)), false))
	_ = server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(func() {
		server.Close()
		slog.SetDefault(before)
	})
	return issuer
}

// A real provider signs a person in once its identity is connected, and proves it anew where a
// rule wants that.
func TestProviderOfOthers(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startGateway(t, func(base string) string {
		issuer := startProvider(t, base+"/.stepgate/api/v1/oauth/staff/callback")
		return fmt.Sprintf(`
		mail outbox
		factors {
			password
			oauth oidc staff {
				issuer %s
				client_id stepgate
				client_secret "a secret of the client"
				label "Staff directory"
			}
		}
		primary password oauth`, issuer)
	}, `
version: 1
rules:
  - {name: staff, match: {path: /staff/*}, require: {factor: oauth, provider: staff, max_age: 5m}}
default: {require: signed_in}
`)
	if out, code := d.run(goodPassword+"\n", "users", "create", "alice@example.com", "--verified", "--password-stdin"); code != 0 {
		t.Fatal(out)
	}
	login := func(user string) {
		t.Helper()
		b.Fill("username", user)
		b.Fill("password", "verysecure")
		b.Press("Login")
	}

	b.Open(d.base + "/report")
	b.Press("Staff directory")
	login("test-user2")
	b.Sees("This identity belongs to no account here")
	b.Shot("1-unknown")
	b.Fill("email", "alice@example.com")
	b.Fill("password", goodPassword)
	b.Click(`button[value="password"]`)
	b.Sees("application /report for alice@example.com")

	b.Open(d.base + "/.stepgate/account")
	b.Press("Connect")
	login("test-user2")
	b.Sees("Where you are signed in")
	b.Shot("2-connected")

	b.signOut(d)
	b.Open(d.base + "/report")
	b.Press("Staff directory")
	login("test-user2")
	b.Sees("application /report for alice@example.com")
	b.Open(d.base + "/staff/one")
	b.Sees("application /staff/one")

	b.signOut(d)
	b.Open(d.base + "/staff/two")
	b.Fill("email", "alice@example.com")
	b.Fill("password", goodPassword)
	b.Click(`button[value="password"]`)
	b.Sees("Confirm it’s you")
	b.Press("Staff directory")
	login("test-user2")
	b.Sees("application /staff/two for alice@example.com")

	// The provider tells the address in userinfo only, and that it is verified: it opens the
	// account of who has proven that mailbox here.
	if out, code := d.run(goodPassword+"\n", "users", "create", "test-user@zitadel.ch", "--verified", "--password-stdin"); code != 0 {
		t.Fatal(out)
	}
	b.signOut(d)
	b.Open(d.base + "/report")
	b.Press("Staff directory")
	login("test-user@localhost")
	b.Sees("application /report for test-user@zitadel.ch")
}
