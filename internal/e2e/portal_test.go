package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// unsafeCalls are all calls that change something.
var unsafeCalls = []struct{ method, path string }{
	{"DELETE", "api/v1/session"}, {"DELETE", "api/v1/sessions/x"}, {"DELETE", "api/v1/factors/x"}, {"POST", "api/v1/emails"},
	{"POST", "api/v1/passwords"}, {"POST", "api/v1/passwords/authenticate"}, {"POST", "api/v1/passwords/strength_check"},
	{"POST", "api/v1/passwords/reset/start"}, {"POST", "api/v1/passwords/reset"}, {"POST", "api/v1/otps/email/send"},
	{"POST", "api/v1/otps/authenticate"}, {"POST", "api/v1/totps"}, {"POST", "api/v1/totps/authenticate"},
	{"POST", "api/v1/recovery_codes"}, {"POST", "api/v1/recovery_codes/authenticate"},
	{"POST", "sign-in"}, {"POST", "challenge"}, {"POST", "sign-out"}, {"POST", "invite/x"}, {"POST", "password/forgot"}, {"POST", "password/reset"},
	{"POST", "account/name"}, {"POST", "account/password"}, {"POST", "account/emails"}, {"POST", "account/totp"},
	{"POST", "account/recovery-codes"}, {"POST", "account/sessions"}, {"POST", "account/devices"}, {"POST", "account/phones"},
	{"POST", "account/passkeys"}, {"POST", "account/connections"}, {"POST", "account/wallets"}, {"POST", "link/x"},
	{"POST", "api/v1/phone_numbers"}, {"POST", "api/v1/otps/sms/send"}, {"POST", "api/v1/otps/whatsapp/send"},
	{"POST", "api/v1/magic_links/email/send"}, {"POST", "api/v1/magic_links/authenticate"},
	{"POST", "api/v1/webauthn/register/start"}, {"POST", "api/v1/webauthn/register"}, {"POST", "api/v1/webauthn/authenticate/start"},
	{"POST", "api/v1/webauthn/authenticate"}, {"POST", "api/v1/crypto_wallets/authenticate/start"},
	{"POST", "api/v1/crypto_wallets/authenticate"}, {"DELETE", "api/v1/devices/x"},
	{"POST", "admin/users"}, {"POST", "admin/users/x"}, {"POST", "break-glass"},
}

// signedIn is a visitor with a password session.
func (d *demo) signedIn(email string) *client {
	d.t.Helper()
	if out, code := d.run(goodPassword+"\n", "users", "create", email, "--verified", "--password-stdin"); code != 0 {
		d.t.Fatal(out)
	}
	c := d.client()
	c.api(200, http.MethodPost, "passwords/authenticate", map[string]string{"email": email, "password": goodPassword})
	return c
}

// No call of another site, and none of a sibling host, changes anything.
func TestOtherSitesChangeNothing(t *testing.T) {
	d := startDemo(t)
	c := d.signedIn("alice@example.com")
	for _, call := range unsafeCalls {
		for name, headers := range map[string][]string{
			"cross-site":            {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.test"},
			"same-site":             {"Sec-Fetch-Site", "same-site", "Origin", "http://sub.localhost"},
			"cross-site, no origin": {"Sec-Fetch-Site", "cross-site"},
			"origin alone":          {"Origin", "https://evil.test"},
			"null origin":           {"Origin", "null"},
		} {
			a := c.do(call.method, "/.stepgate/"+call.path, "application/json", "{}", headers...)
			if a.status != http.StatusForbidden {
				t.Errorf("%s %s, %s: %d %s", call.method, call.path, name, a.status, a.body)
			}
		}
	}
	c.api(200, http.MethodGet, "session", nil)
}

// NIST SP 800-63B-4, 5.1: a form carries the token of its session; without it nothing happens.
func TestFormsNeedTheirToken(t *testing.T) {
	d := startDemo(t)
	c := d.signedIn("alice@example.com")
	stranger := token(t, d.client().get("/.stepgate/sign-in", "Accept", "text/html").body)
	for _, call := range unsafeCalls {
		if strings.HasPrefix(call.path, "api/") {
			continue
		}
		for _, given := range []string{"", "wrong", stranger} {
			a := c.do("POST", "/.stepgate/"+call.path, "application/x-www-form-urlencoded", "action=everywhere&csrf="+given)
			if a.status != http.StatusForbidden {
				t.Errorf("%s with token %q: %d", call.path, given, a.status)
			}
		}
	}
	c.api(200, http.MethodGet, "session", nil)
	mine := token(t, c.get("/.stepgate/account").body)
	if a := c.do("POST", "/.stepgate/account/name", "application/x-www-form-urlencoded", "name=Alice&csrf="+mine); a.status != http.StatusSeeOther {
		t.Fatalf("with the right token: %d %s", a.status, a.body)
	}
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func token(t *testing.T, page string) string {
	t.Helper()
	m := csrfField.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("no form in %s", page)
	}
	return m[1]
}

// GET, HEAD and OPTIONS change nothing.
func TestReadingChangesNothing(t *testing.T) {
	d := startDemo(t)
	c := d.signedIn("alice@example.com")
	for _, call := range unsafeCalls {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			a := c.do(method, "/.stepgate/"+call.path, "", "")
			if method == "OPTIONS" && a.status != http.StatusMethodNotAllowed {
				t.Errorf("OPTIONS %s: %d", call.path, a.status)
			}
			if a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s speaks CORS", method, call.path)
			}
		}
	}
	c.api(200, http.MethodGet, "session", nil)
}

// Every page is sealed against scripts, frames and leaks, and shows parameters as text.
func TestPagesAreSealed(t *testing.T) {
	d := startDemo(t)
	signedIn, nobody := d.signedIn("alice@example.com"), d.client()
	const markup = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
	for _, c := range []*client{signedIn, nobody} {
		for _, path := range []string{
			"sign-in", "sign-in?flow=" + markup, "challenge?flow=" + markup, "sign-out", "invite/x", "password/forgot", "password/forgot?flow=" + markup,
			"password/reset/x", "account", "account/password", "account/emails/new", "account/phones/new?flow=" + markup, "account/emails?flow=" + markup, "outbox", "nothing",
		} {
			a := c.get("/.stepgate/"+path, "Accept", "text/html", "Sec-Fetch-Mode", "navigate")
			if strings.Contains(a.body, "<script>alert") {
				t.Errorf("%s reflects markup", path)
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Stepgate-Response") == "" {
				t.Errorf("%s: %v", path, a.header)
			}
			if a.status >= 300 && a.status < 400 {
				if location := a.header.Get("Location"); !strings.HasPrefix(location, "/") || strings.HasPrefix(location, "//") {
					t.Errorf("%s leads to %q", path, location)
				}
				continue
			}
			csp := a.header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
				if !strings.Contains(csp, part) {
					t.Errorf("%s: the policy lacks %s: %s", path, part, csp)
				}
			}
			if strings.Contains(csp, "unsafe") || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("Cross-Origin-Opener-Policy") == "" {
				t.Errorf("%s: %v", path, a.header)
			}
			if regexp.MustCompile(`(?i)<script[^>]*>[^<\s]|\son[a-z]+=|http-equiv="?refresh|\sstyle=`).MatchString(a.body) {
				t.Errorf("%s has inline code", path)
			}
		}
	}
}

// Known and unknown addresses get the same answers, to the byte, random parts apart.
func TestAddressesLookAlike(t *testing.T) {
	d := startDemo(t)
	d.signedIn("alice@example.com")
	random := regexp.MustCompile(`request-[a-z0-9]+|email-[a-z0-9]+|nonce="[^"]+"|flow=[A-Za-z0-9_-]+|value="[A-Za-z0-9_-]{20,}"`)
	plain := func(a answer) string { return random.ReplaceAllString(a.body, "*") }
	for _, call := range []struct{ path, body string }{
		{"passwords/authenticate", `{"email":"%","password":"wrong"}`}, {"otps/email/send", `{"email":"%"}`}, {"passwords/reset/start", `{"email":"%"}`},
	} {
		var seen []string
		for _, email := range []string{"alice@example.com", "nobody@example.com"} {
			a := d.client().do("POST", "/.stepgate/api/v1/"+call.path, "application/json", strings.ReplaceAll(call.body, "%", email))
			seen = append(seen, http.StatusText(a.status)+plain(a))
		}
		if seen[0] != seen[1] {
			t.Errorf("%s:\n%s\n%s", call.path, seen[0], seen[1])
		}
	}
	var pages []string
	for _, email := range []string{"alice@example.com", "bobby@example.com"} {
		c := d.client()
		csrf := token(t, c.get("/.stepgate/sign-in", "Accept", "text/html").body)
		a := c.do("POST", "/.stepgate/sign-in", "application/x-www-form-urlencoded", "action=password&password=wrong&email="+email+"&csrf="+csrf, "Accept", "text/html")
		pages = append(pages, strings.ReplaceAll(plain(a), email, "*"))
	}
	if pages[0] != pages[1] {
		t.Errorf("the sign-in pages differ:\n%s\n%s", pages[0], pages[1])
	}
}

// A session id that the client brings is never adopted.
func TestSessionIDsAreOurs(t *testing.T) {
	d := startDemo(t)
	c := d.client()
	planted := strings.Repeat("A", 43)
	a := c.do("POST", "/.stepgate/api/v1/otps/email/send", "application/json", `{"email":"x@example.com"}`, "Cookie", "stepgate="+planted)
	if a.header.Get("Set-Cookie") != "" {
		t.Error("a cookie without a proof")
	}
	d.signedIn("alice@example.com")
	a = d.client().do("POST", "/.stepgate/api/v1/passwords/authenticate", "application/json", `{"email":"alice@example.com","password":"`+goodPassword+`"}`, "Cookie", "stepgate="+planted)
	if cookie := a.header.Get("Set-Cookie"); a.status != 200 || strings.Contains(cookie, planted) || !strings.Contains(cookie, "stepgate=") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || strings.Contains(cookie, "Domain") {
		t.Fatalf("%d %q", a.status, cookie)
	}
}

// The outbox is for loopback hosts only.
func TestOutboxStaysHome(t *testing.T) {
	d := startDemo(t)
	r, err := http.NewRequest(http.MethodGet, d.base+"/.stepgate/outbox.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.test"
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusMisdirectedRequest {
		t.Fatal(response.StatusCode)
	}
}
