package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// tab is one tab of a real browser.
type tab struct {
	t    *testing.T
	ctx  context.Context
	name string
}

// openBrowser starts Chromium; ok is false where there is none, which is an error where the
// environment says that there must be one.
func openBrowser(t *testing.T) (*tab, bool) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("STEPGATE_BROWSER") == "required" {
			t.Fatal("no Chromium here, and it is required")
		}
		t.Log("no Chromium here: the browser test did not run")
		return nil, false
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	// The first run starts the browser and ties it to its context: it must be this one.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatal(err)
	}
	return &tab{t: t, ctx: ctx, name: t.Name()}, true
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	err := chromedp.Do(ctx, steps...)
	for err != nil && ctx.Err() == nil && strings.Contains(err.Error(), "node with given id") { // the page was replaced meanwhile
		err = chromedp.Do(ctx, steps...)
	}
	if err != nil {
		b.shot("failed")
		b.t.Fatalf("%v\nat %s: %s", err, b.location(), b.text())
	}
}

func (b *tab) open(url string) { b.t.Helper(); b.do(chromedp.Navigate(url)) }

func (b *tab) location() string {
	s, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		return err.Error()
	}
	return s
}

func (b *tab) text() string {
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return s
}

// sees waits until the page shows a text. A page that is being replaced is asked again.
func (b *tab) sees(text string) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(b.text(), text); {
		if time.Now().After(deadline) {
			b.shot("failed")
			b.t.Fatalf("waited for %q\nat %s: %s", text, b.location(), b.text())
		}
	}
}

// press clicks the visible button or link with a text.
func (b *tab) press(text string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.Search(`//*[self::button or self::a or self::summary][contains(normalize-space(.), "` + text + `")]`)))
}

func (b *tab) fill(name, value string) {
	b.t.Helper()
	field := `input[name="` + name + `"]:not([type=hidden])`
	b.do(chromedp.WaitVisible(chromedp.CSS(field)))
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.querySelector('`+field+`').value = ''`)); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.SendKeys(chromedp.CSS(field), value))
}

// shot keeps a picture of the page when STEPGATE_SHOTS names a directory.
func (b *tab) shot(name string) {
	dir := os.Getenv("STEPGATE_SHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	image, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Log(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, b.name+"-"+name+".png"), image, 0o600); err != nil {
		b.t.Log(err)
	}
}

func (b *tab) scheme(value string) {
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	}); err != nil {
		b.t.Fatal(err)
	}
}

// TestNewcomer does in a browser what the demonstration invites to: accept the invitation,
// step up for a payment, set up an authenticator app for the admin area, lose a live
// connection by signing out, and sign in again.
func TestNewcomer(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)

	b.open(d.invite)
	b.sees("you@example.com")
	b.fill("name", "Robin")
	b.fill("password", "password12345678")
	b.press("Create the account")
	b.sees("easy to guess")
	b.shot("1-invitation-refused")
	b.fill("password", goodPassword)
	b.press("Create the account")
	b.sees("Welcome to Acme Office")
	b.sees("Remote-User")

	b.open(d.base + "/payments")
	b.press("Make the payment")
	b.sees("Confirm it’s you")
	b.shot("2-challenge")
	b.press("Send the e-mail code")
	b.sees("Six digits are on their way")
	b.fill("code", "000000")
	b.sees("This code is not right")
	b.shot("3-wrong-code")
	b.fill("code", d.code("you@example.com"))
	b.sees("Coffee Roasters")
	if !strings.HasSuffix(b.location(), "/payments") {
		t.Fatalf("returned to %s", b.location())
	}
	b.press("Make the payment")
	b.sees("The payment was made.")

	b.open(d.base + "/admin/")
	b.sees("One more step for the first time")
	b.shot("4-no-factor")
	b.open(d.base + "/.stepgate/account")
	b.press("Set up the authenticator app")
	b.sees("Scan this picture")
	b.scheme("dark")
	b.shot("5-enrol-dark")
	b.scheme("light")
	secret, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.querySelector('.secret').textContent.replace(/^.*Key:/s, '').replace(/\s/g, '')`))
	if err != nil {
		t.Fatal(err)
	}
	b.fill("code", totpCode(t, secret, time.Now()))
	b.sees("Save your recovery codes")
	b.shot("6-recovery-codes")
	b.do(chromedp.Click(chromedp.CSS(`input[name="saved"]`)))
	b.press("Done")
	b.sees("Welcome to Acme Office")

	b.open(d.base + "/.stepgate/account")
	b.sees("Where you are signed in")
	b.do(chromedp.EmulateViewport(360, 740))
	b.shot("7-account-phone")
	b.do(chromedp.EmulateViewport(1000, 760))
	b.shot("8-account")

	b.press("Remove the authenticator app")
	b.sees("Remove your authenticator app?")
	b.shot("8-remove")
	b.press("Keep it")
	b.sees("Where you are signed in")

	b.open(d.base + "/live")
	b.sees("you@example.com")
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`fetch('/.stepgate/api/v1/session', {method: 'DELETE'}).then(r => r.status)`, chromedp.EvalAwaitPromise)); err != nil {
		t.Fatal(err)
	}
	b.sees("The connection was ended.")

	b.open(d.base + "/payments")
	b.sees("Sign in")
	b.shot("9-sign-in")
	b.fill("email", "you@example.com")
	b.fill("password", "not the password at all")
	b.do(chromedp.Click(chromedp.CSS(`button[value="password"]`)))
	b.sees("do not match")
	b.fill("password", goodPassword)
	b.do(chromedp.Click(chromedp.CSS(`button[value="password"]`)))
	b.sees("Night Shift Cleaning")

	b.open(d.base + "/.stepgate/sign-out")
	b.press("Sign out")
	b.sees("You are signed out")
	b.open(d.base + "/.stepgate/outbox")
	b.sees("Your code for")
	b.shot("10-outbox")
}
