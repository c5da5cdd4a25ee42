package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
)

const form = "application/x-www-form-urlencoded"

// The pages of administrators open for nobody else, and for administrators only with two
// different proofs; a refused call does nothing.
func TestWhoOpensAdministration(t *testing.T) {
	d := startDemo(t)
	bob := d.signedIn("bob@example.com")
	ada := d.signedIn("ada@example.com")
	if out, code := d.run("", "users", "groups", "ada@example.com", "admins"); code != 0 {
		t.Fatal(out)
	}
	id := bob.api(200, http.MethodGet, "user", nil).json["user"].(map[string]any)["user_id"].(string)
	page := "/.stepgate/admin/users/" + id
	visitors := map[string]struct {
		c  *client
		to string // where a page leads; empty refuses with 403
	}{
		"nobody": {d.client(), "/.stepgate/sign-in?flow="}, "a user": {bob, ""}, "an administrator with a password": {ada, "/.stepgate/challenge?flow="},
	}
	for name, v := range visitors {
		for _, path := range []string{"/.stepgate/admin", "/.stepgate/admin/users", page} {
			a := v.c.get(path, "Accept", "text/html")
			if v.to == "" && a.status != http.StatusForbidden || v.to != "" && (a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), v.to)) {
				t.Errorf("%s, %s: %d %q", name, path, a.status, a.header.Get("Location"))
			}
			if strings.Contains(a.body, "ada@example.com") && v.c != ada {
				t.Errorf("%s learns of others at %s", name, path)
			}
		}
		own := "/.stepgate/account"
		if name == "nobody" {
			own = "/.stepgate/sign-in"
		}
		csrf := token(t, v.c.get(own, "Accept", "text/html").body)
		for _, body := range []string{"action=lock", "action=delete&confirm=yes", "action=groups&groups=admins", "action=reset_link", "action=revoke_sessions"} {
			v.c.do("POST", page, form, body+"&csrf="+csrf, "Accept", "text/html")
		}
		v.c.do("POST", "/.stepgate/admin/users", form, "action=invite&email=eve@example.com&csrf="+csrf, "Accept", "text/html")
	}
	if out, _ := d.run("", "users", "show", "bob@example.com"); !strings.Contains(out, "active") || strings.Contains(out, "admins") {
		t.Error(out)
	}
	bob.api(200, http.MethodGet, "session", nil)
	if a := d.client().get("/.stepgate/outbox.json"); strings.Contains(a.body, "eve@example.com") {
		t.Error("somebody was invited")
	}
}

var oneTimeLink = regexp.MustCompile(`http://localhost:[0-9]+(/[.]stepgate/(?:invite|password/reset)/[A-Za-z0-9_-]{43})`)

// An administrator finds, invites, changes, locks and deletes people.
func TestAdministration(t *testing.T) {
	d := startDemo(t)
	bob := d.signedIn("bob@example.com")
	c := d.signedIn("ada@example.com")
	if out, code := d.run("", "users", "groups", "ada@example.com", "admins"); code != 0 {
		t.Fatal(out)
	}
	secret := c.api(200, http.MethodPost, "totps", nil).json["secret"].(string)
	c.api(200, http.MethodPost, "totps/authenticate", map[string]string{"code": totpCode(t, secret, time.Now())})
	id := bob.api(200, http.MethodGet, "user", nil).json["user"].(map[string]any)["user_id"].(string)
	mine := c.api(200, http.MethodGet, "user", nil).json["user"].(map[string]any)["user_id"].(string)
	post := func(path, body string) answer {
		t.Helper()
		csrf := token(t, c.get("/.stepgate/admin/users", "Accept", "text/html").body)
		return c.do("POST", path, form, body+"&csrf="+csrf, "Accept", "text/html")
	}
	page := "/.stepgate/admin/users/" + id

	if a := c.get("/.stepgate/admin/users?q=BOB@", "Accept", "text/html"); !strings.Contains(a.body, id) || strings.Contains(a.body, mine) {
		t.Errorf("search: %d %s", a.status, a.body)
	}
	a := post("/.stepgate/admin/users", "action=invite&email=carol@example.com&groups=staff,ops")
	link := oneTimeLink.FindStringSubmatch(a.body)
	if link == nil || d.client().get(link[1], "Accept", "text/html").status != 200 {
		t.Fatalf("no invitation: %d %s", a.status, a.body)
	}
	if a := post("/.stepgate/admin/users", "action=invite&email=nonsense&name=Nobody"); a.status != 400 || !strings.Contains(a.body, `value="Nobody"`) {
		t.Errorf("what was typed is lost: %d %s", a.status, a.body)
	}
	for _, body := range []string{"action=groups&groups=staff,+finance", "action=claim&name=clearance&value=3"} {
		if a := post(page, body); a.status != http.StatusSeeOther {
			t.Fatalf("%s: %d %s", body, a.status, a.body)
		}
	}
	if a := bob.api(200, http.MethodGet, "session", nil); !strings.Contains(a.body, `"roles":["finance","staff"]`) || !strings.Contains(a.body, `"clearance":3`) {
		t.Errorf("session: %s", a.body)
	}
	if a := post(page, "action=claim&name=bad+name&value=3"); a.status != 400 {
		t.Errorf("a claim with a space: %d", a.status)
	}
	a = post(page, "action=reset_link")
	if link = oneTimeLink.FindStringSubmatch(a.body); link == nil || d.client().get(link[1], "Accept", "text/html").status != 200 {
		t.Errorf("no link for a new password: %d %s", a.status, a.body)
	}
	if a := post(page, "action=reset_factor&id=password-"+id); a.status != 200 || !strings.Contains(a.body, "Take it away") {
		t.Errorf("not asked first: %d", a.status)
	}
	bob.api(200, http.MethodGet, "session", nil)
	if a := post(page, "action=lock"); a.status != http.StatusSeeOther {
		t.Errorf("lock: %d %s", a.status, a.body)
	}
	bob.api(401, http.MethodGet, "session", nil)
	post(page, "action=unlock")
	if a := post(page, "action=delete"); a.status != 200 || !strings.Contains(a.body, "cannot be undone") {
		t.Errorf("not asked first: %d", a.status)
	}
	if a := post(page, "action=delete&confirm=yes"); a.status != http.StatusSeeOther {
		t.Errorf("delete: %d %s", a.status, a.body)
	}
	if a := c.get(page, "Accept", "text/html"); a.status != http.StatusNotFound {
		t.Errorf("deleted: %d", a.status)
	}
	// The demonstration's own invitation was never accepted: Ada is the last one.
	for _, body := range []string{"action=lock", "action=delete&confirm=yes", "action=groups&groups=staff"} {
		if a := post("/.stepgate/admin/users/"+mine, body); a.status != http.StatusConflict || !strings.Contains(a.body, "last administrator") {
			t.Errorf("%s: %d", body, a.status)
		}
	}
}

// In a browser: the way to the pages, on a phone too.
func TestAdministrationInABrowser(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)
	d.signedIn("bob@example.com")
	b.Authenticator(webauthn.VirtualAuthenticatorOptions{Transport: "internal", HasResidentKey: true, HasUserVerification: true, IsUserVerified: true})
	b.join(d)
	b.Open(d.base + "/admin/")
	b.Sees("One more step for the first time")
	b.Open(d.base + "/.stepgate/account")
	b.Press("Administration")
	b.Sees("One more step for the first time")
	b.Shot("1-way")
	b.Press("Set up: ")
	b.Sees("Add a passkey")
	b.Fill("name", "My laptop")
	b.Press("Create the passkey")
	b.Sees("Invite somebody")
	b.Shot("2-users")
	b.Fill("email", "carol@example.com")
	b.Press("Send the invitation")
	b.Sees("The invitation is ready")
	b.Shot("3-invited")
	// What was refused is explained by its reference.
	b.Open(d.base + "/.stepgate/admin/refusals")
	b.Sees("Asked for more proof")
	b.Shot("6-refusals")
	b.Press("/admin")
	b.Sees("Why it was refused")
	b.Sees("admin area")
	b.Shot("7-refusal")
	b.Press("Policy")
	b.Fill("url", "https://app.example.com/payments")
	b.Fill("method", "POST")
	b.Fill("user", "bob@example.com")
	b.Fill("factors", "password@10m")
	b.Press("Explain")
	b.Sees("by the rule making payments")
	b.Shot("8-explained")
	b.Fill("user", "nobody@example.com")
	b.Press("Explain")
	b.Sees("Nobody has this address or id.")
	b.Press("What happened")
	b.Sees("Account made")
	b.Sees("by a command")
	b.Shot("10-events")
	b.Press("Readiness")
	b.Sees("would have to set up")
	b.Shot("9-readiness")
	b.Press("Users")
	b.Press("bob@example.com")
	b.Sees("Groups and claims")
	b.Shot("4-user")
	b.Press("Delete the account")
	b.Sees("cannot be undone")
	b.Press("Keep it")
	b.Press("Lock")
	b.Sees("Locked")
	b.Shot("5-locked")
}

// A printed code leads an administrator back in by the page, and raises an alarm in the log.
func TestBreakGlassPage(t *testing.T) {
	d := startDemo(t)
	d.signedIn("ada@example.com")
	if out, code := d.run("", "users", "break-glass", "ada@example.com"); code != 1 || !strings.Contains(out, "into the group") {
		t.Fatalf("codes for somebody else: %d %s", code, out)
	}
	d.run("", "users", "groups", "ada@example.com", "admins")
	out, code := d.run("", "users", "break-glass", "ada@example.com")
	codes := regexp.MustCompile(`[0-9a-z]{4}(?:-[0-9a-z]{4}){3}`).FindAllString(out, -1)
	if code != 0 || len(codes) != 10 || !strings.Contains(out, d.base+"/.stepgate/break-glass") {
		t.Fatal(out)
	}
	c := d.client()
	try := func(body string) answer {
		csrf := token(t, c.get("/.stepgate/break-glass", "Accept", "text/html").body)
		return c.do("POST", "/.stepgate/break-glass", form, body+"&csrf="+csrf, "Accept", "text/html")
	}
	if a := try("email=ada@example.com&code=0000-0000-0000-0000"); a.status != 401 || !strings.Contains(a.body, "do not belong together") {
		t.Errorf("a wrong code: %d", a.status)
	}
	a := try("email=ada@example.com&code=" + codes[0])
	reset := a.header.Get("Location")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(reset, "/.stepgate/password/reset/") {
		t.Fatalf("%d %q %s", a.status, reset, a.body)
	}
	page := c.get(reset, "Accept", "text/html")
	a = c.do("POST", "/.stepgate/password/reset", form, "password=eight+loud+lamps+under+water&token="+reset[len("/.stepgate/password/reset/"):]+"&csrf="+token(t, page.body), "Accept", "text/html")
	if !strings.Contains(a.body, "Your password was changed") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if !strings.Contains(d.log.String(), "break_glass_used") {
		t.Error("no alarm in the log")
	}
}
