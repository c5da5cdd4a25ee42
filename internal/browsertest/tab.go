// Package browsertest drives a real Chromium in tests as a person would: by what the pages show.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// patience bounds each wait for a page. A page that comes is never waited for that long.
const patience = 20 * time.Second

// Tab is one tab of a real browser.
type Tab struct {
	T    testing.TB
	Ctx  context.Context
	name string
}

// Start starts Chromium with further flags; ok is false where there is none, which is an error
// where STEPGATE_BROWSER=required says that there must be one. The browser ends with the test.
func Start(t testing.TB, flags ...chromedp.ExecAllocatorOption) (b *Tab, ok bool) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("STEPGATE_BROWSER") == "required" {
			t.Fatal("no Chromium here, and it is required")
		}
		t.Log("no Chromium here: the browser test did not run")
		return nil, false
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(options, flags...)...)
	t.Cleanup(cancel)
	return open(ctx, t), true
}

// open opens a tab that ends with the test, and ends the test when that takes too long.
func open(ctx context.Context, t testing.TB, options ...chromedp.ContextOption) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 9*time.Minute)
	t.Cleanup(cancel)
	// The first run starts the browser and ties it to its context: it must be this one.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return &Tab{T: t, Ctx: ctx, name: strings.ReplaceAll(t.Name(), "/", "-")}
}

// Another opens a tab that shares no cookie with this one, as a browser of somebody else.
func (b *Tab) Another(name string) *Tab {
	b.T.Helper()
	other := b.Fresh(b.T)
	other.name += "-" + name
	return other
}

// Beside opens another tab of the same person: with the same cookies.
func (b *Tab) Beside(name string) *Tab {
	b.T.Helper()
	other := open(b.Ctx, b.T)
	other.name += "-" + name
	return other
}

// Fresh opens a tab for another test, usually a part of this one, in the same browser; the two
// share no cookie.
func (b *Tab) Fresh(t testing.TB) *Tab {
	t.Helper()
	return open(b.Ctx, t, chromedp.WithNewBrowserContext())
}

// Do takes steps, and tries them again when the page was replaced meanwhile.
func (b *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.Ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx, steps...)
	for err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "node with given id") {
		err = chromedp.Do(ctx, steps...)
	}
	if err != nil {
		b.fail("%v", err)
	}
}

func (b *Tab) fail(format string, args ...any) {
	b.T.Helper()
	b.Shot("failed")
	b.T.Fatalf(format+"\nat %s: %s", append(args, b.Location(), b.Text())...)
}

// Open goes to an address.
func (b *Tab) Open(url string) { b.T.Helper(); b.Do(chromedp.Navigate(url)) }

// Location is the address that the tab shows.
func (b *Tab) Location() string {
	s, err := chromedp.Run(b.Ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return s
}

// Text is what the page shows.
func (b *Tab) Text() string {
	s, err := chromedp.Run(b.Ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return s
}

// Sees waits until the page shows a text. A page that is being replaced is asked again.
func (b *Tab) Sees(text string) {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.Ctx, patience)
	defer cancel()
	for !strings.Contains(b.Text(), text) {
		if ctx.Err() != nil {
			b.fail("waited for %q", text)
		}
	}
}

// Press clicks the visible button or link with a text.
func (b *Tab) Press(text string) {
	b.T.Helper()
	b.Do(chromedp.Click(chromedp.Search(`//*[self::button or self::a or self::summary][contains(normalize-space(.), "` + text + `")]`)))
}

// Click clicks what a selector finds.
func (b *Tab) Click(selector string) { b.T.Helper(); b.Do(chromedp.Click(chromedp.CSS(selector))) }

// Fill puts a value into the visible field of a name, in the place of what is there.
func (b *Tab) Fill(name, value string) {
	b.T.Helper()
	field := `input[name="` + name + `"]:not([type=hidden])`
	b.Do(chromedp.WaitVisible(chromedp.CSS(field)))
	Eval[any](b, `document.querySelector('`+field+`').select()`)
	// At once, as keyboards of telephones and password managers do; key by key takes long.
	if _, err := chromedp.Call(b.Ctx, input.InsertText, input.InsertTextParams{Text: value}); err != nil {
		b.T.Fatal(err)
	}
}

// Eval runs a script in the page and returns its value, when it is a promise what that becomes.
func Eval[V any](b *Tab, script string) V {
	b.T.Helper()
	ctx, cancel := context.WithTimeout(b.Ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[V](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.fail("%v\nin %s", err, script)
	}
	return v
}

// Shot keeps a picture of the page when STEPGATE_SHOTS names a directory.
func (b *Tab) Shot(name string) {
	dir := os.Getenv("STEPGATE_SHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.Ctx, patience)
	defer cancel()
	if _, err := chromedp.Call(ctx, page.BringToFront, cdp.Empty{}); err != nil { // a page behind others is not drawn
		b.T.Log(err)
		return
	}
	image, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.T.Log(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, b.name+"-"+name+".png"), image, 0o600); err != nil { //nolint:gosec // whoever runs the tests names the directory
		b.T.Log(err)
	}
}

// Viewport sets the size of the window in CSS pixels.
func (b *Tab) Viewport(width, height int64) {
	b.T.Helper()
	b.Do(chromedp.EmulateViewport(width, height))
}

// Scheme makes the pages light or dark, and still.
func (b *Tab) Scheme(value string) {
	b.T.Helper()
	if _, err := chromedp.Call(b.Ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	}); err != nil {
		b.T.Fatal(err)
	}
}
