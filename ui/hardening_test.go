package ui

import (
	"fmt"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

var hostile = []string{
	`"><script>alert(1)</script>`,
	`' onmouseover='alert(1)`,
	`x" onfocus=alert(1) autofocus style="color:red`,
	`javascript:alert(1)`,
	`//evil.example/`,
	`/\evil.example`,
	`data:text/html,<script>alert(1)</script>`,
	`</title></textarea></style></script><img src=x onerror=alert(1)>`,
	`{{.}}<!-- --><![CDATA[`,
	"\x00\xff\u202e\r\nSet-Cookie: a=b",
	`<base href="https://evil.example/"><meta http-equiv="refresh" content="0;url=https://evil.example">`,
	strings.Repeat("A", 5000),
}

// poison puts s into every text of v, except where the page needs a known word.
func poison(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "QR" || f.Name == "Factor" || f.Name == "URL" { // QR and URL have tests of their own
				continue
			}
			poison(v.Field(i), s)
		}
	case reflect.Slice:
		for i := range v.Len() {
			poison(v.Index(i), s)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			poison(v.Elem(), s)
		}
	}
}

// deepCopy copies the slices of v, so that samples stay as they are.
func deepCopy(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			deepCopy(v.Field(i))
		}
	case reflect.Slice:
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		v.Set(c)
		for i := range v.Len() {
			deepCopy(v.Index(i))
		}
	}
}

// Markup in any value of any page is text.
func TestHostileValuesAreText(t *testing.T) {
	for i, bad := range hostile {
		p := newPages(t, Options{Brand: Brand{Name: bad, Help: bad}})
		for _, s := range samples() {
			t.Run(fmt.Sprintf("%s/%d", s.name, i), func(t *testing.T) {
				v := reflect.New(reflect.TypeOf(s.page)).Elem()
				v.Set(reflect.ValueOf(s.page))
				deepCopy(v)
				poison(v, bad)
				w, doc := render(t, p, s.status, v.Interface().(Page))
				onlyOurs(t, doc, nonceOf(t, w))
			})
		}
	}
}

var nonceInCSP = regexp.MustCompile(`script-src 'nonce-([A-Za-z0-9_-]{22})'; style-src 'nonce-([A-Za-z0-9_-]{22})'`)

func nonceOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	m := nonceInCSP.FindStringSubmatch(w.Header().Get("Content-Security-Policy"))
	if m == nil || m[1] != m[2] {
		t.Fatalf("CSP %q", w.Header().Get("Content-Security-Policy"))
	}
	return m[1]
}

// onlyOurs checks that the page holds no script, style, handler, frame, or
// address that we did not put there.
func onlyOurs(t *testing.T, doc *html.Node, nonce string) {
	t.Helper()
	walk(doc, func(n *html.Node) {
		switch n.Data {
		case "script", "link":
			src := value(n, "src") + value(n, "href")
			if !strings.HasPrefix(src, PathAssets) || n.FirstChild != nil {
				t.Errorf("%s from %q", n.Data, src)
			}
			if value(n, "nonce") != nonce && value(n, "rel") != "icon" {
				t.Errorf("%s %q without the nonce", n.Data, src)
			}
		case "style", "iframe", "frame", "object", "embed", "img", "base", "video", "audio", "foreignObject":
			t.Errorf("element %s", n.Data)
		case "meta":
			if _, ok := attr(n, "http-equiv"); ok {
				t.Error("meta http-equiv")
			}
		case "form":
			if !strings.HasPrefix(value(n, "action"), "/") || strings.HasPrefix(value(n, "action"), "//") || strings.Contains(value(n, "action"), `\`) {
				t.Errorf("form to %q", value(n, "action"))
			}
		case "a":
			h := value(n, "href")
			local := strings.HasPrefix(h, "/") && !strings.HasPrefix(h, "//") && !strings.Contains(h, `\`)
			if !local && h != "#main" && !strings.HasPrefix(h, "otpauth://totp/") && !strings.HasPrefix(h, "http://") && !strings.HasPrefix(h, "https://") {
				t.Errorf("link to %q", h)
			}
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" || a.Key == "formaction" {
				t.Errorf("attribute %s on %s", a.Key, n.Data)
			}
		}
	})
}

// The headers of every page, the failed one included.
func TestEveryPageIsLockedDown(t *testing.T) {
	p := newPages(t, Options{})
	for _, s := range samples() {
		w, _ := render(t, p, s.status, s.page)
		csp := w.Header().Get("Content-Security-Policy")
		formAction, referrer := "form-action 'self'", "no-referrer"
		if s.name == "repeat" { // its form is answered by the application, which may lead anywhere
			formAction, referrer = "form-action 'self' http: https:", "strict-origin"
		}
		for _, part := range []string{
			"default-src 'none'", "img-src 'self'", "connect-src 'self'", formAction, "frame-ancestors 'none'", "base-uri 'none'",
			"require-trusted-types-for 'script'", "trusted-types 'none'",
		} {
			if !strings.Contains("; "+csp+";", "; "+part+";") {
				t.Errorf("%s: CSP lacks %s", s.name, part)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Contains(csp, "script-src 'self'") {
			t.Errorf("%s: CSP %s", s.name, csp)
		}
		for name, want := range map[string]string{
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              referrer,
			"Cache-Control":                "no-store",
			"Content-Type":                 "text/html; charset=utf-8",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q", s.name, name, got)
			}
		}
		if pp := w.Header().Get("Permissions-Policy"); !strings.Contains(pp, "publickey-credentials-get=(self)") || !strings.Contains(pp, "camera=()") {
			t.Errorf("%s: Permissions-Policy %q", s.name, pp)
		}
	}
}

func TestNonceIsFreshOnEveryPage(t *testing.T) {
	p := newPages(t, Options{})
	seen := map[string]bool{}
	for range 100 {
		w, _ := render(t, p, 200, SignedOut{})
		n := nonceOf(t, w)
		if seen[n] {
			t.Fatal("a nonce came twice")
		}
		seen[n] = true
	}
}

func TestNoRandomnessNoPage(t *testing.T) {
	p := newPages(t, Options{Rand: strings.NewReader("short")})
	w := httptest.NewRecorder()
	if err := p.Render(w, 200, SignedOut{}); err == nil || w.Code != 500 {
		t.Errorf("status %d, error %v", w.Code, err)
	}
}

func TestQRCodeTakesDrawingsOnly(t *testing.T) {
	if _, err := qrCode(sampleQR, "code"); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", "text", "<p>x</p>", sampleQR + "<svg/>",
		`<svg><script>alert(1)</script></svg>`,
		`<svg onload="alert(1)"/>`,
		`<svg><path d="M0" onclick="x"/></svg>`,
		`<svg><path d="M0" fill="url(javascript:alert(1))"/></svg>`,
		`<svg><rect x="1" style="color:red"/></svg>`,
		`<svg><foreignObject/></svg>`,
		`<svg><svg/></svg>`,
		`<svg><image href="https://evil.example/"/></svg>`,
		`<svg><path xlink:href="x"/></svg>`,
		`<!DOCTYPE x [<!ENTITY e "x">]><svg/>`,
		`<svg><!-- x --></svg>`,
		`<svg>&lt;script&gt;</svg>`,
		`<svg>`,
	} {
		if got, err := qrCode(bad, "code"); err == nil {
			t.Errorf("%s gave %s", bad, got)
		}
	}
	got, err := qrCode(`<svg viewBox="0 0 1 1"></svg>`, `"><script>`)
	if err != nil || strings.Contains(string(got), "<script") {
		t.Errorf("%s %v", got, err)
	}
}

// O: no link of a page leaves the host by a value that it was given.
func TestLinksStayOnTheHost(t *testing.T) {
	for in, want := range map[string]string{
		"/":                       "/",
		"/app/list?x=1#y":         "/app/list?x=1#y",
		"":                        "/",
		"//evil.example":          "/",
		`/\evil.example`:          "/",
		"https://evil.example":    "/",
		"javascript:alert(1)":     "/",
		"/a b":                    "/",
		"/a\n":                    "/",
		"/é":                      "/",
		" /a":                     "/",
		"/" + string('\t') + "/e": "/",
	} {
		if got := localURL(in); got != want {
			t.Errorf("%q gave %q", in, got)
		}
	}
	for _, bad := range []string{"javascript:alert(1)", "otpauth://hotp/x", "otpauth:totp", "https://totp/", "data:,x"} {
		if got := otpauth(bad); got != "" {
			t.Errorf("%q gave %q", bad, got)
		}
	}
	if _, err := outside("javascript:alert(1)"); err == nil {
		t.Error("a page goes on to a script")
	}
	for _, bad := range []string{"javascript://x/%0aalert(1)", "data:text/html,x", "//evil.example", "/x", "ftp://x/"} {
		if got := weblink(bad); got != "" {
			t.Errorf("%q gave %q", bad, got)
		}
	}
}

// O: a link that an app could have chosen never carries the flow or the token.
func TestSecretsStayInFields(t *testing.T) {
	p := newPages(t, Options{})
	c := Common{CSRF: "CSRFSECRET", Flow: "FLOWSECRET"}
	for _, s := range samples() {
		v := reflect.New(reflect.TypeOf(s.page)).Elem()
		v.Set(reflect.ValueOf(s.page))
		if f := v.FieldByName("Common"); f.IsValid() {
			f.Set(reflect.ValueOf(c))
		}
		_, doc := render(t, p, s.status, v.Interface().(Page))
		walk(doc, func(n *html.Node) {
			for _, a := range n.Attr {
				if strings.Contains(a.Val, "SECRET") && a.Key != "value" && a.Key != "data-done" {
					t.Errorf("%s: %s=%q on %s", s.name, a.Key, a.Val, n.Data)
				}
			}
		})
	}
}

// The pages after a send are equal for every address, apart from it.
func TestPagesDoNotTellWhoExists(t *testing.T) {
	for _, m := range []Page{SignInCode{Channel: "email", To: "x@example.com"}, SignInCode{To: "x@example.com", Link: true}, ForgotPassword{Email: "x@example.com", Sent: true}} {
		_, doc := render(t, newPages(t, Options{}), 200, m)
		if body := text(doc); !strings.Contains(body, "If ") {
			t.Errorf("%T promises that a message was sent: %s", m, body)
		}
	}
}
