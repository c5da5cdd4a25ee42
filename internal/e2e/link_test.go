package e2e

import (
	"encoding/json"
	"testing"

	"github.com/chromedp/chromedp"
)

// another opens a tab that shares no cookie with this one, as a browser of somebody else.
func (b *tab) another(name string) *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	b.t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		b.t.Fatal(err)
	}
	return &tab{t: b.t, ctx: ctx, name: b.name + "-" + name}
}

// count tells how many elements of the page a selector finds.
func (b *tab) count(selector string) int {
	b.t.Helper()
	n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`document.querySelectorAll('`+selector+`').length`))
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// mailed lists the links that somebody was sent.
func (d *demo) mailed(to string) map[string]bool {
	d.t.Helper()
	var list []message
	a := d.client().get("/.stepgate/outbox.json")
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		d.t.Fatalf("outbox.json: %v: %s", err, a.body)
	}
	links := make(map[string]bool)
	for _, m := range list {
		if m.To == to {
			links[m.Link] = true
		}
	}
	return links
}

// J1, J2: a mail scanner that opens the link in a browser of its own, runs its scripts, submits
// its forms and presses its buttons signs nobody in, and leaves the link to the browser that
// asked; the code that it was shown works there too.
func TestScannerInABrowser(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)
	b.join(d)
	b.signOut(d)
	ask := func() (link string) {
		t.Helper()
		seen := d.mailed("you@example.com")
		b.open(d.base + "/payments")
		b.sees("Sign in")
		b.fill("email", "you@example.com")
		b.press("link")
		b.sees("Look into your mail")
		return d.mail("you@example.com", func(m message) bool { return m.Link != "" && !seen[m.Link] }).Link
	}

	link := ask()
	scanner := b.another("scanner")
	for range 2 {
		scanner.open(link)
		scanner.sees("One step left")
		if n := scanner.count("form"); n != 0 {
			t.Errorf("the page has %d forms", n)
		}
		if _, err := chromedp.Run(scanner.ctx, chromedp.Evaluate[bool](`
			for (const f of document.forms) f.submit();
			for (const e of document.querySelectorAll('button, a, input')) e.click();
			true`)); err != nil {
			t.Fatal(err)
		}
	}
	scanner.shot("1-code")
	scanner.open(d.base + "/payments")
	scanner.sees("Sign in")

	b.open(link)
	b.sees("Finish signing in")
	b.shot("2-here")
	b.press("Sign in")
	b.sees("Coffee Roasters")
	b.signOut(d)

	link = ask()
	scanner.open(link)
	scanner.sees("One step left")
	code, err := chromedp.Run(scanner.ctx, chromedp.Evaluate[string](`document.querySelector('.big-code').innerText.trim()`))
	if err != nil {
		t.Fatal(err)
	}
	b.fill("code", "0000-0000")
	b.press("Sign in")
	b.sees("This code is not right")
	b.shot("3-wrong-code")
	b.fill("code", code)
	b.press("Sign in")
	b.sees("Coffee Roasters")
}
