// Package demo is the command “stepgate demo”: the gateway in front of a toy application that
// has no login of its own, with a mailbox, and with nothing to set up.
package demo

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

//go:embed policy.yaml
var policyFile []byte

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "demo", Usage: "[--data DIR] [--listen HOST:PORT]", Short: "Shows Stepgate in front of a toy application, without any set-up",
		Long: "Starts the gateway, a toy application behind it and a mailbox on http://localhost:8080.\nState is kept in a temporary directory, or in the directory given by --data.",
		CobraFunc: func(c *cobra.Command) {
			var d demo
			c.Flags().StringVar(&d.data, "data", "", "Keep state in this directory instead of a temporary one")
			c.Flags().StringVar(&d.listen, "listen", "localhost:8080", "The host and port to listen on; the host is a loopback one")
			c.RunE = func(c *cobra.Command, _ []string) error {
				c.SilenceUsage = true
				ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
				defer stop()
				return d.run(ctx, c.OutOrStdout())
			}
		},
	})
}

type demo struct {
	data   string
	listen string
}

// run serves the demonstration until ctx is done.
func (d *demo) run(ctx context.Context, out io.Writer) (err error) {
	host, port, err := net.SplitHostPort(d.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("--listen: the demonstration keeps everybody's mail readable and must stay on a loopback host")
	}
	if d.data == "" {
		dir, err := os.MkdirTemp("", "stepgate-demo-")
		if err != nil {
			return fmt.Errorf("temporary directory: %w", err)
		}
		d.data = dir
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if err := os.MkdirAll(d.data, 0o700); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	app, err := serveLegacy(ctx)
	if err != nil {
		return err
	}
	config, admin, err := d.config(port, app)
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return fmt.Errorf("start the gateway on port %s: %w", port, err)
	}
	defer func() { err = errors.Join(err, caddy.Stop()) }()
	link, err := invite(admin)
	if err != nil {
		return err
	}
	site := "http://localhost:" + port
	fmt.Fprintf(out, welcome, site, link, site+"/.stepgate/outbox", filepath.Join(d.data, "policy.yaml"))
	<-ctx.Done()
	return nil
}

const welcome = `
Stepgate is running in front of a toy application.

  The application   %s
  Your invitation   %s
  The mailbox       %s
  The policy        %s

Try this:
  1. Open the invitation, choose a password, and look at the payments.
  2. Make a payment: the POST wants a second proof. Take the e-mail code; it is in the mailbox. Then the payment is made.
  3. Open the admin area: it wants a passkey no older than 5 minutes, and lets you add one.
  4. Administer the gateway at /.stepgate/admin: people, the policy, refused requests.

Change the policy file while it runs: a valid change applies at once. Stop with Ctrl-C.
`

// serveLegacy starts the toy application on a free loopback port.
func serveLegacy(ctx context.Context) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("start the toy application: %w", err)
	}
	server := &http.Server{Handler: newLegacy(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			caddy.Log().Error("toy application: " + err.Error())
		}
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return listener.Addr().String(), nil
}

// config is the configuration of the demonstration, as an operator would write it.
func (d *demo) config(port, app string) (config []byte, admin string, err error) {
	policyPath := filepath.Join(d.data, "policy.yaml")
	if _, err := os.Stat(policyPath); errors.Is(err, os.ErrNotExist) {
		if err := os.WriteFile(policyPath, policyFile, 0o600); err != nil {
			return nil, "", fmt.Errorf("write the policy: %w", err)
		}
	}
	admin = "unix/" + filepath.Join(d.data, "admin.sock")
	text := fmt.Sprintf(`{
	admin %q {
		origins localhost 127.0.0.1
	}
	persist_config off
	auto_https off
	storage file_system %q
	log {
		level ERROR
	}
	stepgate {
		store bolt %q
		policy %q
		name "Acme Office"
		mail outbox
		sms outbox
		whatsapp outbox
		factors {
			password
			magic_link
			email_otp
			sms_otp
			whatsapp_otp
			totp
			passkey
			webauthn
			crypto_wallet ethereum solana
		}
	}
}
http://localhost:%[5]s, http://127.0.0.1:%[5]s, http://[::1]:%[5]s {
	bind 127.0.0.1 ::1
	stepgate
	reverse_proxy %[6]s
}
`, admin+"|0600", filepath.Join(d.data, "caddy"), filepath.Join(d.data, "stepgate.db"), policyPath, port, app)
	if !ipv6Loopback() {
		text = strings.ReplaceAll(text, "bind 127.0.0.1 ::1", "bind 127.0.0.1")
	}
	config, _, err = caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "demo"})
	if err != nil {
		return nil, "", fmt.Errorf("configure the gateway: %w", err)
	}
	return config, admin, nil
}

// ipv6Loopback tells whether this machine has ::1.
func ipv6Loopback() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// invite asks the gateway for an invitation, as “stepgate users invite” does.
func invite(admin string) (link string, err error) {
	body, err := json.Marshal(map[string]any{"email": "you@example.com", "groups": []string{"admins", "staff"}})
	if err != nil {
		return "", fmt.Errorf("make an invitation: %w", err)
	}
	response, err := caddycmd.AdminAPIRequest(admin, http.MethodPost, "/stepgate/invitations", nil, bytes.NewReader(body))
	if err != nil {
		if strings.Contains(err.Error(), "email_taken") {
			return "used already: sign in as you@example.com", nil
		}
		return "", fmt.Errorf("make an invitation: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	var answer struct {
		Link string `json:"link"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&answer); err != nil {
		return "", fmt.Errorf("make an invitation: %w", err)
	}
	return answer.Link, nil
}
