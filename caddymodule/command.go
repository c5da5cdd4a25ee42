package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// exitError ends a command with a status and a message.
type exitError struct {
	status int
	text   string
}

// Error implements error.
func (e *exitError) Error() string { return e.text }

// remote is where the commands about users and sessions send their calls: the admin endpoint
// of a running server, or the store itself when no server runs.
type remote struct {
	address string
	config  string
	adapter string
	json    bool
	// force spares not even the last administrator.
	force bool
}

// flags adds the flags that all these commands share.
func (m *remote) flags(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&m.address, "address", "", "The address of the running server's admin endpoint")
	f.StringVarP(&m.config, "config", "c", "", "The configuration file; names the admin endpoint, and the store when no server runs")
	f.StringVarP(&m.adapter, "adapter", "a", "", "The adapter of the configuration file")
	f.BoolVar(&m.json, "json", false, "Print JSON")
}

// maxAnswer bounds the answers that are decoded, in bytes.
const maxAnswer = 64 << 20

// call makes one call and decodes its answer into out.
func (m *remote) call(method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode the call: %w", err)
		}
	}
	var answer bytes.Buffer
	if err := m.exchange(method, path, body, &answer, maxAnswer); err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer.Bytes(), out); err != nil {
		return fmt.Errorf("read the answer of the server: %w", err)
	}
	return nil
}

// exchange makes one call and writes at most limit bytes of its answer to into. A refusal of the
// server is an error, of which nothing is written.
func (m *remote) exchange(method, path string, body []byte, into io.Writer, limit int64) error {
	if m.config == "" && m.address == "" {
		if _, err := os.Stat("Caddyfile"); err == nil {
			m.config = "Caddyfile" // as “run” does
		}
	}
	raw, err := m.load()
	if err != nil && m.address == "" {
		return err
	}
	address, err := caddycmd.DetermineAdminAPIAddress(m.address, raw, m.config, "")
	if err != nil {
		return fmt.Errorf("find the admin endpoint: %w", err)
	}
	err = m.send(address, method, adminPrefix+path, body, into, limit)
	if unreachable(err) && m.config != "" && m.address == "" {
		err = m.direct(method, adminPrefix+path, body, into)
	}
	if unreachable(err) {
		return fmt.Errorf("no server answers at %s; name a running one with --address, or the configuration with --config to use its store directly: %w", address, err)
	}
	return err
}

// load reads and adapts the configuration file, as Caddy's commands do but without their logs;
// nil when there is none.
func (m *remote) load() ([]byte, error) {
	if m.config == "" {
		return nil, nil
	}
	data, err := os.ReadFile(m.config)
	if err != nil {
		return nil, fmt.Errorf("load the configuration: %w", err)
	}
	name := m.adapter
	if name == "" && filepath.Ext(m.config) != ".json" {
		name = "caddyfile"
	}
	if name == "" {
		return data, nil
	}
	adapter := caddyconfig.GetAdapter(name)
	if adapter == nil {
		return nil, fmt.Errorf("load the configuration: there is no adapter %q", name)
	}
	raw, _, err := adapter.Adapt(data, map[string]any{"filename": m.config})
	if err != nil {
		return nil, fmt.Errorf("load the configuration: %w", err)
	}
	return raw, nil
}

// refusedCall makes the server's answer the error of a command.
func refusedCall(answer []byte) error {
	var told struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(answer, &told); err != nil || told.Error == "" {
		return fmt.Errorf("the server refused: %s", bytes.TrimSpace(answer))
	}
	return errors.New(told.Error)
}

// unreachable tells whether nothing listens at the other end.
func unreachable(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) ||
		err != nil && (strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "no such file"))
}

// send makes a call to the admin endpoint.
func (m *remote) send(address, method, path string, body []byte, into io.Writer, limit int64) (err error) {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	response, err := caddycmd.AdminAPIRequest(address, method, path, nil, reader)
	if err != nil {
		// Caddy turns refusals into an error whose text ends in the body.
		if _, text, ok := strings.Cut(err.Error(), "caddy responded with error: HTTP "); ok {
			_, told, _ := strings.Cut(text, ": ")
			return refusedCall([]byte(told))
		}
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if _, err := io.Copy(into, io.LimitReader(response.Body, limit)); err != nil {
		return fmt.Errorf("read the answer of the server: %w", err)
	}
	return nil
}

// direct opens the store of the configuration and makes the call on it. It fails when a server
// has the store open.
func (m *remote) direct(method, path string, body []byte, into io.Writer) (err error) {
	raw, err := m.load()
	if err != nil {
		return err
	}
	var config caddy.Config
	if err := json.Unmarshal(raw, &config); err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	if config.AppsRaw["stepgate"] == nil {
		return errors.New("the configuration has no stepgate app")
	}
	// All of it is provisioned, as “validate” does: the sites tell where links lead.
	config.Admin = nil
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}}}}
	ctx, err := caddy.ProvisionContext(&config)
	if err != nil {
		return fmt.Errorf("provision the configuration: %w", err)
	}
	app, err := ctx.App("stepgate")
	if err != nil {
		return err
	}
	a := app.(*App)
	a.makers = nil // what is to be sent waits in the store for the server
	a.DecisionLog = nil
	e, err := a.use()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Cleanup()) }()
	r, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the call: %w", err)
	}
	answer := &directAnswer{header: make(http.Header), into: into}
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = errors.New("the answer broke off; the log says why")
		default:
			panic(p)
		}
	}()
	if err := newPeople(e, a, r).serve(answer, r); err != nil {
		return err
	}
	if answer.status >= 400 {
		return refusedCall(answer.refusal.Bytes())
	}
	return answer.err
}

// directAnswer takes the answer of a call that is made in this process.
type directAnswer struct {
	header  http.Header
	into    io.Writer
	refusal bytes.Buffer
	status  int
	err     error
}

// Header implements http.ResponseWriter.
func (d *directAnswer) Header() http.Header { return d.header }

// WriteHeader implements http.ResponseWriter.
func (d *directAnswer) WriteHeader(status int) { d.status = status }

// Write implements http.ResponseWriter.
func (d *directAnswer) Write(p []byte) (n int, err error) {
	if d.status >= 400 {
		return d.refusal.Write(p)
	}
	n, err = d.into.Write(p)
	if d.err == nil {
		d.err = err
	}
	return n, err
}

// print writes an answer as JSON, or by text.
func (m *remote) print(c *cobra.Command, v any, text func(io.Writer) error) error {
	if !m.json {
		return text(c.OutOrStdout())
	}
	e := json.NewEncoder(c.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func segment(s string) string { return url.PathEscape(s) }

// run makes a cobra command end with the status of its error.
func run(f func(c *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		c.SilenceUsage, c.SilenceErrors = true, true
		err := f(c, args)
		if err == nil {
			return nil
		}
		status := caddy.ExitCodeFailedStartup
		var e *exitError
		if errors.As(err, &e) {
			status = e.status
		}
		if text := err.Error(); text != "" {
			fmt.Fprintln(os.Stderr, "Error: "+text)
		}
		os.Exit(status)
		return nil
	}
}
