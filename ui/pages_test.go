package ui

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

func newPages(t *testing.T, o Options) *Pages {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func render(t *testing.T, p *Pages, status int, m Page) (*httptest.ResponseRecorder, *html.Node) {
	t.Helper()
	w := httptest.NewRecorder()
	if err := p.Render(w, status, m); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return w, doc
}

// walk calls f for every element.
func walk(n *html.Node, f func(*html.Node)) {
	if n.Type == html.ElementNode {
		f(n)
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c, f)
	}
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func value(n *html.Node, name string) string { v, _ := attr(n, name); return v }

func text(n *html.Node) string {
	var b strings.Builder
	var walkText func(*html.Node)
	walkText = func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walkText(c)
		}
	}
	walkText(n)
	return strings.Join(strings.Fields(b.String()), " ")
}

// Every template has a sample, so that the other tests cover every page.
func TestEveryTemplateHasASample(t *testing.T) {
	p := newPages(t, Options{})
	seen := map[string]bool{}
	names := map[string]bool{}
	for _, s := range samples() {
		seen[s.page.name()] = true
		if names[s.name] {
			t.Errorf("sample %s occurs twice", s.name)
		}
		names[s.name] = true
	}
	for n := range p.pages {
		if !seen[n] {
			t.Errorf("no sample for %s", n)
		}
	}
}

// The rules that every page follows, whatever it is about.
func TestPagesAreWellFormed(t *testing.T) {
	p := newPages(t, Options{Brand: Brand{Help: "Call the service desk."}})
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			w, doc := render(t, p, s.status, s.page)
			if w.Code != s.status {
				t.Errorf("status %d, want %d", w.Code, s.status)
			}
			lint(t, doc)
			if strings.Contains(w.Body.String(), "ZgotmplZ") {
				t.Error("html/template refused a value that the page needs")
			}
		})
	}
}

// lint checks structure: one heading, labels, unique ids, references that
// exist, forms that post with their token.
func lint(t *testing.T, doc *html.Node) {
	t.Helper()
	ids := map[string]int{}
	labels := map[string]bool{}
	counts := map[string]int{}
	walk(doc, func(n *html.Node) {
		counts[n.Data]++
		if id, ok := attr(n, "id"); ok {
			ids[id]++
		}
		if n.Data == "label" {
			labels[value(n, "for")] = true
		}
	})
	for id, n := range ids {
		if n > 1 || id == "" {
			t.Errorf("id %q occurs %d times", id, n)
		}
	}
	for _, one := range []string{"h1", "main", "title", "header"} {
		if one != "header" && counts[one] != 1 {
			t.Errorf("%d elements %s, want 1", counts[one], one)
		}
	}
	walk(doc, func(n *html.Node) {
		for _, ref := range []string{"aria-describedby", "aria-labelledby"} {
			for _, id := range strings.Fields(value(n, ref)) {
				if ids[id] == 0 {
					t.Errorf("%s names %q, which is not there", ref, id)
				}
			}
		}
		switch n.Data {
		case "html":
			if value(n, "lang") == "" {
				t.Error("no language")
			}
		case "title":
			if !strings.HasSuffix(text(n), " · Stepgate") || len(text(n)) < 15 {
				t.Errorf("title %q", text(n))
			}
		case "form":
			lintForm(t, n)
		case "input":
			if k := value(n, "type"); k != "hidden" && value(n, "aria-hidden") == "" && !labels[value(n, "id")] {
				t.Errorf("field %q has no label", value(n, "name"))
			}
			if k := value(n, "type"); (k == "password" || k == "email" || k == "tel" || k == "text") && value(n, "autocomplete") == "" {
				t.Errorf("field %q has no autocomplete", value(n, "name"))
			}
			if value(n, "aria-invalid") == "true" && !strings.Contains(value(n, "aria-describedby"), "error") {
				t.Errorf("field %q does not name its error", value(n, "name"))
			}
		case "button":
			if text(n) == "" {
				t.Error("a button without text")
			}
			if _, ok := attr(n, "name"); !ok && value(n, "type") != "button" && text(n) == "Submit" {
				t.Error("a button does not say what it does")
			}
		case "a":
			if h := value(n, "href"); h == "" || text(n) == "" {
				t.Errorf("link %q to %q", text(n), h)
			}
		}
	})
}

func lintForm(t *testing.T, form *html.Node) {
	t.Helper()
	action := value(form, "action")
	if _, repeats := attr(form, "data-repeat"); repeats { // for the application, which gets no token of ours
		if action != sampleTarget || value(form, "method") != "post" || value(form, "enctype") != "text/plain" || fields(form) != "stepgate-held" {
			t.Errorf("the form to %s: %v, fields %s", action, form.Attr, fields(form))
		}
		return
	}
	if !strings.HasPrefix(action, Base) {
		t.Errorf("a form posts to %q", action)
	}
	if value(form, "role") == "search" && value(form, "method") == "get" {
		return
	}
	if value(form, "method") != "post" {
		t.Errorf("the form to %s uses method %q", action, value(form, "method"))
	}
	csrf := 0
	walk(form, func(n *html.Node) {
		if value(n, "name") == "csrf" && value(n, "type") == "hidden" {
			csrf++
		}
	})
	if csrf != 1 {
		t.Errorf("the form to %s has %d csrf fields", action, csrf)
	}
}

// fields are the names of what a form sends.
func fields(form *html.Node) string {
	var names []string
	walk(form, func(n *html.Node) {
		if name, ok := attr(n, "name"); ok {
			names = append(names, name)
		}
	})
	return strings.Join(names, " ")
}

// Only a path of our own origin becomes the address of a form.
func TestWhereARepeatMayGo(t *testing.T) {
	p := newPages(t, Options{})
	for _, c := range []struct{ action, want string }{
		{sampleTarget, sampleTarget}, {"/", "/"}, {"//evil.test/", "/"}, {`/\evil.test/`, "/"}, {"https://evil.test/", "/"}, {"javascript:alert(1)", "/"}, {"", "/"},
		{`/a" onsubmit="x`, `/a" onsubmit="x`},
	} {
		_, doc := render(t, p, 200, Repeat{Action: c.action, Name: "n", Value: "v"})
		walk(doc, func(n *html.Node) {
			if _, repeats := attr(n, "data-repeat"); repeats && (value(n, "action") != c.want || len(n.Attr) != 5) {
				t.Errorf("%q becomes %v", c.action, n.Attr)
			}
		})
	}
}

func TestProblemsReachTheTitle(t *testing.T) {
	p := newPages(t, Options{})
	_, doc := render(t, p, 200, SignIn{Common: Common{Problems: []Problem{{"email", "No such thing."}}}})
	walk(doc, func(n *html.Node) {
		if n.Data == "title" && text(n) != "Error: Sign in · Stepgate" {
			t.Errorf("title %q", text(n))
		}
	})
}

// A problem stands at its field when the page has that field, and above the
// form otherwise: never twice, never nowhere.
func TestProblemsStandOnce(t *testing.T) {
	p := newPages(t, Options{})
	for _, s := range samples() {
		v := reflect.New(reflect.TypeOf(s.page)).Elem()
		v.Set(reflect.ValueOf(s.page))
		f := v.FieldByName("Common")
		if !f.IsValid() {
			continue
		}
		for _, field := range []string{"", "code", "email", "password", "name", "saved", "phone_number", "no_such_field"} {
			f.Set(reflect.ValueOf(Common{Problems: []Problem{{field, "The unmistakable problem."}}}))
			_, doc := render(t, p, s.status, v.Interface().(Page))
			if n := strings.Count(text(doc), "The unmistakable problem."); n != 1 {
				t.Errorf("%s: the problem of %q stands %d times", s.name, field, n)
			}
		}
	}
}

// failing has no template, so that rendering fails.
type failing struct{}

func (failing) name() string  { return "none" }
func (failing) title() string { return "None" }

func TestErrorIsNeverHalfAPage(t *testing.T) {
	p := newPages(t, Options{})
	for name, m := range map[string]Page{
		"no template": failing{},
		"nil":         nil,
		"late error":  EnrolTOTP{QR: "<svg><script>alert(1)</script></svg>"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if err := p.Render(w, 200, m); err == nil {
				t.Fatal("no error")
			}
			if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "<") {
				t.Errorf("status %d, body %q", w.Code, w.Body)
			}
			if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'; ") {
				t.Error("no CSP on the error")
			}
		})
	}
}

func TestNewRefusesOptions(t *testing.T) {
	for _, o := range []string{"", "erp.example.com", "https://erp.example.com/", "https://erp.example.com; script-src *", "https://*.example.com", "ftp://example.com", "https://a@example.com", "https://a.example.com https://b.example.com"} {
		if _, err := New(Options{FormOrigins: []string{o}}); !errors.Is(err, ErrOptions) {
			t.Errorf("%q: %v", o, err)
		}
	}
	p := newPages(t, Options{FormOrigins: []string{"https://erp.example.com", "http://localhost:8080"}})
	w, _ := render(t, p, 200, SignedOut{})
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://erp.example.com http://localhost:8080;") {
		t.Error(csp)
	}
}
