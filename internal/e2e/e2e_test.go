// Package e2e tries the built binary as people use it: over HTTP, in a browser, and on the
// command line.
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "stepgate-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "stepgate")
		build := exec.Command("go", "build", "-tags", "nobadger,nomysql,nopgx", "-o", binary, "github.com/stepgate/stepgate/cmd/stepgate")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// demo is a running “stepgate demo”.
type demo struct {
	t      testing.TB
	base   string
	invite string
	data   string
	log    *lockedBuffer
}

// lockedBuffer collects the output of a process.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.WriteString(line + "\n")
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// freePort asks the kernel for a port that nobody has.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

var invitation = regexp.MustCompile(`http://\S+/\.stepgate/invite/\S+`)

// startDemo starts the demonstration and waits until it tells that it runs.
func startDemo(t testing.TB) *demo {
	t.Helper()
	data, err := os.MkdirTemp("", "sg") // short: the path of a unix socket is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	port := freePort(t)
	d := &demo{t: t, base: fmt.Sprintf("http://localhost:%d", port), data: data, log: &lockedBuffer{}}
	ready := make(chan struct{})
	start(t, d.log, func(line string) {
		if link := invitation.FindString(line); link != "" && strings.Contains(line, "invitation") {
			d.invite = link
		}
		if strings.Contains(line, "Stop with Ctrl-C") {
			close(ready)
		}
	}, "demo", "--listen", fmt.Sprintf("localhost:%d", port), "--data", data)
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatalf("the demonstration did not start:\n%s", d.log)
	}
	return d
}

// start runs the binary until the test ends. Every line of its output goes to see.
func start(t testing.TB, log *lockedBuffer, see func(string), args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_DATA_HOME=", "XDG_CONFIG_HOME=")
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(r); s.Scan(); {
			log.add(s.Text())
			if see != nil {
				see(s.Text())
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = w.Close()
	})
	return cmd
}

// client is one visitor with a cookie jar, who does not follow redirects.
type client struct {
	t    testing.TB
	base string
	http *http.Client
}

func (d *demo) client() *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return &client{t: d.t, base: d.base, http: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

func (c *client) do(method, path, contentType, body string, headers ...string) answer {
	c.t.Helper()
	r, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(text)}
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		_ = json.Unmarshal(text, &a.json) // arrays stay in body
	}
	return a
}

func (c *client) get(path string, headers ...string) answer {
	c.t.Helper()
	return c.do(http.MethodGet, path, "", "", headers...)
}

// api calls the JSON API and demands a status.
func (c *client) api(status int, method, path string, in any) answer {
	c.t.Helper()
	body := ""
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			c.t.Fatal(err)
		}
		body = string(b)
	}
	a := c.do(method, "/.stepgate/api/v1/"+path, "application/json", body)
	if a.status != status {
		c.t.Fatalf("%s %s: status %d, expected %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// message is one entry of outbox.json.
type message struct {
	Channel, To, Subject, Text, Code, Link string
}

// mail waits for the newest message to somebody that want accepts.
func (d *demo) mail(to string, want func(message) bool) message {
	d.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for time.Now().Before(deadline) {
		var list []message
		a := d.client().get("/.stepgate/outbox.json")
		if err := json.Unmarshal([]byte(a.body), &list); err != nil {
			d.t.Fatalf("outbox.json: %v: %s", err, a.body)
		}
		for _, m := range list {
			if m.To == to && want(m) {
				return m
			}
		}
		time.Sleep(20 * time.Millisecond) // the message goes out after the answer; only this loop waits
	}
	d.t.Fatalf("no such mail to %s", to)
	return message{}
}

// code waits for a code that is not one of those seen before.
func (d *demo) code(to string, seen ...string) string {
	d.t.Helper()
	return d.mail(to, func(m message) bool {
		if m.Code == "" {
			return false
		}
		for _, s := range seen {
			if m.Code == s {
				return false
			}
		}
		return true
	}).Code
}

// users runs “stepgate users” against the demonstration.
func (d *demo) run(stdin string, args ...string) (string, int) {
	d.t.Helper()
	cmd := exec.Command(binary, append(args, "--address", "unix/"+filepath.Join(d.data, "admin.sock"))...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // exec returns it unwrapped
			return string(out), exit.ExitCode()
		}
		d.t.Fatal(err)
	}
	return string(out), 0
}
