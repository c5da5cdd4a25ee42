package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// echo is an upstream that keeps the exact bytes of every request that reached it.
type echo struct {
	mu   sync.Mutex
	seen []string
	port int
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	e := &echo{port: l.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go e.serve(c)
		}
	}()
	return e
}

// serve reads one request with its body and trailers, as bytes, and answers it.
func (e *echo) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	var b bytes.Buffer
	for !bytes.HasSuffix(b.Bytes(), []byte("\r\n\r\n")) {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return
		}
		b.Write(line)
	}
	head := strings.ToLower(b.String())
	switch {
	case strings.Contains(head, "transfer-encoding: chunked"):
		for !bytes.HasSuffix(b.Bytes(), []byte("\r\n0\r\n\r\n")) && !strings.Contains(b.String(), "\r\n0\r\n") {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			b.Write(line)
		}
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		rest, _ := io.ReadAll(r) // trailers, if any
		b.Write(rest)
	case strings.Contains(head, "content-length: "):
		var n int64
		_, after, _ := strings.Cut(head, "content-length: ")
		_, _ = fmt.Sscan(after, &n)
		_, _ = io.CopyN(&b, r, n)
	}
	e.mu.Lock()
	e.seen = append(e.seen, b.String())
	e.mu.Unlock()
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nRemote-User: upstream\r\nSet-Cookie: stepgate=evil\r\n\r\nok")
}

func (e *echo) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.seen
	e.seen = nil
	return out
}

// raw sends bytes and returns what comes back.
func raw(t *testing.T, port int, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer, err := io.ReadAll(c)
	if err != nil && len(answer) == 0 {
		t.Fatal(err)
	}
	return string(answer)
}

// TestOnTheWire looks at the bytes that reach an application through the real server.
func TestOnTheWire(t *testing.T) {
	e := startEcho(t)
	dir := t.TempDir()
	port, admin := freePort(t), freePort(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policy.yaml", "version: 1\nrules:\n  - {name: public, match: {path: /public/*}, allow: true}\ndefault: {require: signed_in}\n")
	write("Caddyfile", fmt.Sprintf(`{
	admin localhost:%d
	persist_config off
	auto_https off
	stepgate {
		store bolt %s/data/s.db
		policy %s/policy.yaml
		mail outbox
	}
}
http://localhost:%d {
	stepgate
	reverse_proxy 127.0.0.1:%d
}
`, admin, dir, dir, port, e.port))
	log := &lockedBuffer{}
	start(t, log, nil, "run", "--config", filepath.Join(dir, "Caddyfile"))
	d := &demo{t: t, base: fmt.Sprintf("http://localhost:%d", port), log: log}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(log.String())
		}
	}
	_ = d

	const end = "Host: localhost\r\nConnection: close\r\n\r\n"
	// What is forwarded is what was judged, byte for byte.
	for _, target := range []string{"/public/a", "/public/%41", "/public/caf%C3%A9?x=%2F..%2f&y=a+b;c", "/public/a%20b/", "/public/@:~!$&'()*,="} {
		answer := raw(t, port, "GET "+target+" HTTP/1.1\r\n"+end)
		seen := e.take()
		if len(seen) != 1 || !strings.HasPrefix(seen[0], "GET "+target+" HTTP/1.1\r\n") {
			t.Errorf("%s: upstream saw %q, answer %q", target, seen, answer)
		}
		if strings.Contains(answer, "stepgate=evil") {
			t.Errorf("%s: upstream set our cookie", target)
		}
	}
	// Nothing else gets through, in any spelling, and nothing that pretends.
	for _, request := range []string{
		"GET /public/../app HTTP/1.1\r\n" + end, "GET /public/%2e%2e/app HTTP/1.1\r\n" + end, "GET /public%2f..%2fapp HTTP/1.1\r\n" + end,
		"GET //app HTTP/1.1\r\n" + end, "GET /public\\..\\app HTTP/1.1\r\n" + end, "GET /public/;/app HTTP/1.1\r\n" + end, "GET /public/a#b HTTP/1.1\r\n" + end,
		"GET /app HTTP/1.1\r\nRemote-User: admin\r\nX-Forwarded-For: 127.0.0.1\r\nX-Original-URL: /public/a\r\n" + end,
		"GET /app HTTP/1.1\r\nCookie: stepgate=" + strings.Repeat("A", 43) + "\r\n" + end,
		"TRACE /public/a HTTP/1.1\r\n" + end, "get /public/a HTTP/1.1\r\n" + end, "GET * HTTP/1.1\r\n" + end,
		"GET http://evil.test/public/a HTTP/1.1\r\n" + end, "GET /app?/public/a HTTP/1.1\r\n" + end, "OPTIONS /app HTTP/1.1\r\n" + end,
	} {
		answer := raw(t, port, request)
		if seen := e.take(); len(seen) != 0 {
			t.Errorf("%q reached upstream: %q", request, seen)
		}
		if strings.HasPrefix(answer, "HTTP/1.1 200") && !strings.Contains(answer, "Content-Length: 0") {
			t.Errorf("%q: %q", request, answer)
		}
	}
	// Identity by header, by trailer, by a header taken off again; two requests on one line.
	for _, request := range []string{
		"GET /public/a HTTP/1.1\r\nRemote-User: admin\r\nremote_groups: root\r\nRemote.Email: x\r\nSTEPGATE-ASSERTION: x\r\nProxy: http://evil\r\n" + end,
		"GET /public/a HTTP/1.1\r\nHost: localhost\r\nRemote-User: admin\r\nConnection: close, Remote-User\r\n\r\n",
		"POST /public/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Remote-User\r\n\r\n3\r\nabc\r\n0\r\nRemote-User: admin\r\n\r\n",
		"GET /public/a HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nHost: localhost\r\nConnection: close, Upgrade, HTTP2-Settings\r\n\r\n",
		"GET /public/a HTTP/1.1\r\nHost: localhost\r\n\r\nGET /app HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
	} {
		raw(t, port, request)
		seen := e.take()
		if len(seen) != 1 {
			t.Fatalf("%q: upstream saw %q", request, seen)
		}
		for line := range strings.SplitSeq(seen[0], "\r\n") {
			name, value, _ := strings.Cut(strings.ToLower(line), ":")
			name = strings.NewReplacer("_", "-", ".", "-").Replace(name)
			if strings.HasPrefix(name, "remote-") || strings.HasPrefix(name, "stepgate-") || name == "proxy" || name == "trailer" || name == "upgrade" || name == "http2-settings" ||
				name == "connection" && strings.Contains(value, "remote") {
				t.Errorf("%q: upstream saw %q", request, line)
			}
		}
	}
}
