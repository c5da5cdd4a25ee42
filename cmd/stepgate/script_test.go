package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stepgate": main})
}

// TestScripts runs the whole program as people do, from testdata/script.
func TestScripts(t *testing.T) {
	path := os.Getenv("PATH")
	if raced {
		dir, err := commands()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		path = dir + string(os.PathListSeparator) + path
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"PORT", "ADMIN", "PORT2", "ADMIN2"} {
				env.Setenv(name, freePort(t))
			}
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("XDG_DATA_HOME", env.WorkDir+"/data")
			env.Setenv("XDG_CONFIG_HOME", env.WorkDir+"/config")
			env.Setenv("PATH", path)
			env.Setenv("PASSWORD", "seven quiet lamps over water")
			s := newScene()
			env.Setenv("UPSTREAM", strings.TrimPrefix(s.upstream.URL, "http://"))
			env.Values[sceneKey{}] = s
			env.Defer(s.close)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"http": cmdHTTP, "begin": cmdBegin, "finish": cmdFinish, "held": cmdHeld, "release": cmdRelease,
			"eventually": cmdEventually, "mode": cmdMode, "exit": cmdExit, "reloads": cmdReloads, "wrongly": cmdWrongly, "capture": cmdCapture,
		},
	})
}

var nextPort atomic.Int32

// freePort finds a port below the range from which the kernel gives ports to clients.
func freePort(t *testing.T) string {
	t.Helper()
	for range 2000 {
		port := 20000 + int(nextPort.Add(1))
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return strconv.Itoa(port)
	}
	t.Fatal("no free port")
	return ""
}

type sceneKey struct{}

// scene is what one script has around the program: an application behind the gateway, the
// visitors with their cookies, and requests under way.
type scene struct {
	upstream *httptest.Server
	held     chan struct{}
	release  chan struct{}

	mu       sync.Mutex
	visitors map[string]http.CookieJar
	flying   map[string]chan string
}

func newScene() *scene {
	s := &scene{
		held: make(chan struct{}, 100), release: make(chan struct{}),
		visitors: make(map[string]http.CookieJar), flying: make(map[string]chan string),
	}
	s.upstream = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			s.held <- struct{}{}
			select {
			case <-s.release:
			case <-r.Context().Done():
			}
		}
		fmt.Fprintf(w, "upstream: %s %s\n", r.Method, r.RequestURI)
		names := make([]string, 0, len(r.Header))
		for name := range r.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(w, "got %s: %s\n", name, strings.Join(r.Header[name], " | "))
		}
	}))
	return s
}

func (s *scene) close() {
	s.upstream.CloseClientConnections()
	s.upstream.Close()
}

func (s *scene) jar(name string) (http.CookieJar, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.visitors[name] == nil {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return nil, err
		}
		s.visitors[name] = jar
	}
	return s.visitors[name], nil
}

const patience = 30 * time.Second

// request makes “[-as VISITOR] [-H HEADER]... [-d BODY] METHOD URL” and returns what came back
// as text. Redirects are not followed.
func (s *scene) request(args []string) (string, error) {
	header := make(http.Header)
	client := &http.Client{
		Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	body, host := "", ""
	for len(args) > 2 {
		switch args[0] {
		case "-as":
			jar, err := s.jar(args[1])
			if err != nil {
				return "", err
			}
			client.Jar = jar
		case "-H":
			name, value, _ := strings.Cut(args[1], ":")
			if name == "Host" {
				host = strings.TrimSpace(value)
			} else {
				header.Add(name, strings.TrimSpace(value))
			}
		case "-d":
			body = args[1]
			if header.Get("Content-Type") == "" {
				header.Set("Content-Type", "application/json")
			}
		default:
			return "", fmt.Errorf("unknown option %s", args[0])
		}
		args = args[2:]
	}
	if len(args) != 2 {
		return "", fmt.Errorf("usage: [-as VISITOR] [-H HEADER]... [-d BODY] METHOD URL")
	}
	r, err := http.NewRequestWithContext(context.Background(), args[0], args[1], strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header, r.Host = header, host
	response, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "status %d\n", response.StatusCode)
	if err := response.Header.Write(&out); err != nil {
		return "", err
	}
	return out.String() + "\n" + string(text) + "\n", nil
}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

// cmdHTTP is “http ...”; its answer is what “stdout” looks at.
func cmdHTTP(ts *testscript.TestScript, neg bool, args []string) {
	out, err := sceneOf(ts).request(args)
	if neg {
		if err == nil {
			ts.Fatalf("an answer came: %s", out)
		}
		return
	}
	ts.Check(err)
	_, err = io.WriteString(ts.Stdout(), out)
	ts.Check(err)
}

// cmdEventually is “eventually REGEXP ...”: it repeats a request until its answer matches.
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: eventually REGEXP METHOD URL")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	var last string
	for {
		out, err := sceneOf(ts).request(args[1:])
		if err == nil && want.MatchString(out) {
			_, err := io.WriteString(ts.Stdout(), out)
			ts.Check(err)
			return
		}
		if err != nil {
			out = err.Error()
		}
		last = out
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("never came: %s; last: %s", args[0], last)
		}
	}
}

// cmdBegin is “begin NAME ...”: it makes a request and does not wait for its answer.
func cmdBegin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: begin NAME METHOD URL")
	}
	s := sceneOf(ts)
	done := make(chan string, 1)
	s.mu.Lock()
	s.flying[args[0]] = done
	s.mu.Unlock()
	go func() {
		out, err := s.request(args[1:])
		if err != nil {
			out = "failed: " + err.Error()
		}
		done <- out
	}()
}

// cmdFinish is “finish NAME”: it waits for the answer of a request that was begun.
func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: finish NAME")
	}
	s := sceneOf(ts)
	s.mu.Lock()
	done := s.flying[args[0]]
	s.mu.Unlock()
	select {
	case out := <-done:
		_, err := io.WriteString(ts.Stdout(), out)
		ts.Check(err)
	case <-time.After(patience):
		ts.Fatalf("request %s never finished", args[0])
	}
}

// cmdHeld waits until a request for /hold has reached the application.
func cmdHeld(ts *testscript.TestScript, neg bool, _ []string) {
	if neg {
		ts.Fatalf("unsupported")
	}
	select {
	case <-sceneOf(ts).held:
	case <-time.After(patience):
		ts.Fatalf("no request came")
	}
}

// cmdRelease lets the application answer all requests for /hold.
func cmdRelease(ts *testscript.TestScript, _ bool, _ []string) { close(sceneOf(ts).release) }

// cmdMode is “mode 0600 FILE”: it checks the permissions of a file.
func cmdMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode MODE FILE")
	}
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%#o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, expected %s", args[1], got, args[0])
	}
}

// cmdExit is “exit STATUS COMMAND...”: it runs a command and demands an exit status.
func cmdExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit STATUS COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	status := "0"
	if err != nil {
		status = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if status != args[0] {
		ts.Fatalf("exit status %s, expected %s", status, args[0])
	}
}

// cmdReloads is “reloads COUNT FILE ADMIN VISITOR URL”: it loads a JSON configuration again and
// again while a visitor keeps asking for URL and strangers keep asking for the same. The visitor
// must always get through and the strangers never.
func cmdReloads(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: reloads COUNT FILE ADMIN VISITOR URL")
	}
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	config, s := ts.ReadFile(args[1]), sceneOf(ts)
	over := make(chan struct{})
	var wg sync.WaitGroup
	var wrong atomic.Pointer[string]
	var answers atomic.Int64
	ask := func(want string, request ...string) {
		for {
			select {
			case <-over:
				return
			default:
			}
			out, err := s.request(append(request, "GET", args[4]))
			if err != nil {
				continue // Caddy's old server may close a connection that it had just accepted
			}
			answers.Add(1)
			if !strings.HasPrefix(out, want) {
				wrong.CompareAndSwap(nil, &out)
				return
			}
		}
	}
	wg.Go(func() { ask("status 200", "-as", args[3]) })
	wg.Go(func() { ask("status 401") })
	wg.Go(func() { ask("status 401", "-H", "Cookie: stepgate=forged") })
	for range count {
		out, err := s.request([]string{"-H", "Cache-Control: must-revalidate", "-d", config, "POST", args[2] + "/load"})
		if err == nil && !strings.HasPrefix(out, "status 200") {
			err = fmt.Errorf("reload: %s", out)
		}
		if err != nil || wrong.Load() != nil {
			close(over)
			wg.Wait()
			ts.Check(err)
			ts.Fatalf("during the reloads: %s", *wrong.Load())
		}
	}
	close(over)
	wg.Wait()
	if w := wrong.Load(); w != nil {
		ts.Fatalf("during the reloads: %s", *w)
	}
	if n := answers.Load(); n < int64(count) {
		ts.Fatalf("only %d answers during %d reloads", n, count)
	}
}

// cmdWrongly is “wrongly COUNT”: bob tries that many wrong passwords.
func cmdWrongly(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: wrongly COUNT")
	}
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	for range count {
		_, err := sceneOf(ts).request([]string{
			"-d", `{"email":"bob@example.com","password":"not the password at all"}`,
			"POST", "http://localhost:" + ts.Getenv("PORT") + "/.stepgate/api/v1/passwords/authenticate",
		})
		ts.Check(err)
	}
}

// cmdCapture is “capture NAME REGEXP”: it keeps the first group of what the last command printed.
func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME REGEXP")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	found := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) < 2 {
		ts.Fatalf("nothing matches %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}
