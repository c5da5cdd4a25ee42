package e2e

import (
	"encoding/json"
	"testing"

	"github.com/stepgate/stepgate/internal/browsertest"
)

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

// A mail scanner that opens the link in a browser of its own, runs its scripts, submits
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
		b.Open(d.base + "/payments")
		b.Sees("Sign in")
		b.Fill("email", "you@example.com")
		b.Press("link")
		b.Sees("Look into your mail")
		return d.mail("you@example.com", func(m message) bool { return m.Link != "" && !seen[m.Link] }).Link
	}

	link := ask()
	scanner := b.Another("scanner")
	for range 2 {
		scanner.Open(link)
		scanner.Sees("One step left")
		if n := browsertest.Eval[int](scanner, `document.forms.length`); n != 0 {
			t.Errorf("the page has %d forms", n)
		}
		browsertest.Eval[bool](scanner, `
			for (const f of document.forms) f.submit();
			for (const e of document.querySelectorAll('button, a, input')) e.click();
			true`)
	}
	scanner.Shot("1-code")
	scanner.Open(d.base + "/payments")
	scanner.Sees("Sign in")

	b.Open(link)
	b.Sees("Finish signing in")
	b.Shot("2-here")
	b.Press("Sign in")
	b.Sees("Coffee Roasters")
	b.signOut(d)

	link = ask()
	scanner.Open(link)
	scanner.Sees("One step left")
	code := browsertest.Eval[string](scanner, `document.querySelector('.big-code').innerText.trim()`)
	b.Fill("code", "0000-0000")
	b.Press("Sign in")
	b.Sees("This code is not right")
	b.Shot("3-wrong-code")
	b.Fill("code", code)
	b.Press("Sign in")
	b.Sees("Coffee Roasters")
}
