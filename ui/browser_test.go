package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// site serves every sample below /SAMPLE on http://localhost, because browsers
// treat that host as a secure one. More handlers may be added to the mux.
func site(t *testing.T) (origin string, mux *http.ServeMux) {
	t.Helper()
	p := newPages(t, Options{Brand: Brand{Help: "Stuck? Call the service desk: extension 4400."}})
	mux = http.NewServeMux()
	mux.Handle(PathAssets, p.Assets())
	for _, s := range samples() {
		mux.HandleFunc("GET /"+s.name, func(w http.ResponseWriter, _ *http.Request) {
			if err := p.Render(w, s.status, s.page); err != nil {
				t.Error(err)
			}
		})
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), mux
}

// browser starts Chromium; ok is false where there is none.
func browser(t *testing.T) (ctx context.Context, ok bool) {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Log("no Chromium here: the browser tests did not run")
		return nil, false
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	return ctx, true
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func eval[T any](t *testing.T, ctx context.Context, js string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", js, err)
	}
	return v
}

// media sets light or dark, reduced motion, and perhaps forced colours.
func media(t *testing.T, ctx context.Context, scheme, forced string) {
	t.Helper()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}, {Name: "forced-colors", Value: forced},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// complaints collects what pages write to the console: blocked scripts and
// styles, errors of scripts.
type complaints struct {
	mu   sync.Mutex
	list []string
}

func (c *complaints) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.list
	c.list = nil
	return l
}

func listen(t *testing.T, ctx context.Context) *complaints {
	t.Helper()
	c := &complaints{}
	go func() {
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			// The status of a sample of an error page is no complaint, nor that a
			// window which no script opened stays open.
			if strings.Contains(m.Text, "Scripts may close only") || m.Type != chromedp.ConsoleError && m.Type != chromedp.ConsoleException && m.Type != chromedp.ConsoleWarning ||
				strings.Contains(m.Text, "the server responded with a status of") {
				continue
			}
			c.mu.Lock()
			c.list = append(c.list, m.Text)
			c.mu.Unlock()
		}
	}()
	return c
}

// looks are the ways in which people see the pages; those with more are tried
// only when pictures or axe-core are wanted.
var looks = []struct {
	name, scheme, forced string
	width, height        int64
	more                 bool
}{
	{"light", "light", "none", 1000, 760, false},
	{"dark", "dark", "none", 1000, 760, true},
	{"phone", "light", "none", 360, 740, true},
	{"phone-dark", "dark", "none", 320, 640, false},
	{"forced", "dark", "active", 700, 700, true},
}

// Every page, in a real browser: nothing is blocked by its own policy, nothing
// runs out of a narrow screen, targets are large enough. With
// STEPGATE_UI_SHOTS=DIR it leaves pictures; with STEPGATE_UI_AXE=axe.min.js it
// runs axe-core too.
func TestPagesInABrowser(t *testing.T) {
	ctx, ok := browser(t)
	if !ok {
		return
	}
	origin, _ := site(t)
	do(t, ctx, chromedp.Navigate(origin+"/signed-out"))
	said := listen(t, ctx)
	shots := os.Getenv("STEPGATE_UI_SHOTS")
	axe := ""
	if f := os.Getenv("STEPGATE_UI_AXE"); f != "" {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		axe = string(b)
	}
	only := os.Getenv("STEPGATE_UI_ONLY")
	for _, s := range samples() {
		if s.name == "leave" || s.name == "repeat" { // goes elsewhere at once
			continue
		}
		if only != "" && !strings.Contains(","+only+",", ","+s.name+",") {
			continue
		}
		for _, look := range looks {
			if look.more && shots == "" && axe == "" {
				continue
			}
			media(t, ctx, look.scheme, look.forced)
			do(t, ctx, chromedp.EmulateViewport(look.width, look.height), chromedp.Navigate(origin+"/"+s.name))
			if over := eval[int](t, ctx, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
				t.Errorf("%s (%s): %d px too wide", s.name, look.name, over)
			}
			least := 24 // WCAG 2.2, 2.5.8
			if look.width < 480 {
				least = 44 // 2.5.5, for fingers
			}
			if small := eval[[]string](t, ctx, fmt.Sprintf(smallTargets, least)); len(small) > 0 {
				t.Errorf("%s (%s): targets below %d px: %q", s.name, look.name, least, small)
			}
			if styled := eval[string](t, ctx, `getComputedStyle(document.body).display`); styled != "flex" {
				t.Errorf("%s (%s): the style sheet did not apply", s.name, look.name)
			}
			if shots != "" {
				png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(shots, s.name+"-"+look.name+".png"), png, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if axe != "" && look.name != "forced" {
				runAxe(t, ctx, axe, s.name+" ("+look.name+")")
			}
			for _, m := range said.take() {
				t.Errorf("%s (%s): %s", s.name, look.name, m)
			}
		}
	}
}

// smallTargets lists what is smaller than a number of pixels; links and buttons inside a
// sentence are exempt, and boxes with a label, which is their target.
const smallTargets = `[...document.querySelectorAll('a, button, input, summary')].filter(e => e.checkVisibility() && !e.closest('p, .visually-hidden, .skip') && !(e.type === 'checkbox' && e.labels.length) && e.type !== 'hidden' && !e.matches('.visually-hidden'))
	.filter(e => { const r = e.getBoundingClientRect(); return r.width < %[1]d || r.height < %[1]d; }).map(e => e.outerHTML.slice(0, 120))`

func runAxe(t *testing.T, ctx context.Context, axe, where string) {
	t.Helper()
	do(t, ctx, chromedp.Func(func(ctx context.Context, tgt *chromedp.Target) error {
		_, err := chromedp.Evaluate[json.RawMessage](axe+";null")(ctx, tgt)
		return err
	}))
	found := eval[[]string](t, ctx, `axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(r => r.violations.flatMap(v => v.nodes.map(n => v.id + ': ' + n.html.slice(0, 160) + ' ' + n.failureSummary.slice(0, 200))))`)
	for _, f := range found {
		t.Errorf("%s: %s", where, f)
	}
}
