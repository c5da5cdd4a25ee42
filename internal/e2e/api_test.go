package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
)

const goodPassword = "seven quiet lamps over water"

// totpCode is the code that an app shows now, in the step after the last one used.
func totpCode(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// TestDemoByAPI walks through what a program can do: sign in, be asked for more, enrol, pass.
func TestDemoByAPI(t *testing.T) {
	d := startDemo(t)
	if out, code := d.run(goodPassword+"\n", "users", "create", "alice@example.com", "--name", "Alice", "--group", "staff", "--verified", "--password-stdin"); code != 0 {
		t.Fatal(out)
	}
	c := d.client()

	if a := c.get("/"); a.status != 200 {
		t.Fatalf("open page: %d", a.status)
	}
	a := c.get("/api/payments")
	if a.status != 401 || a.json["error_type"] != "sign_in_required" || a.header.Get("Stepgate-Response") != "sign_in" ||
		a.header.Get("WWW-Authenticate") != `Bearer realm="stepgate"` {
		t.Fatalf("anonymous: %d %v %v", a.status, a.header, a.json)
	}
	if a := c.get("/payments", "Accept", "text/html"); a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), "/.stepgate/sign-in?flow=") {
		t.Fatalf("navigation: %d %v", a.status, a.header)
	}

	c.api(401, http.MethodPost, "passwords/authenticate", map[string]string{"email": "alice@example.com", "password": "wrong"})
	signedIn := c.api(200, http.MethodPost, "passwords/authenticate", map[string]string{"email": " Alice@Example.com", "password": goodPassword})
	session := signedIn.json["session"].(map[string]any)
	factor := session["authentication_factors"].([]any)[0].(map[string]any)
	if factor["type"] != "password" || factor["delivery_method"] != "knowledge" || factor["sequence_order"] != "PRIMARY" {
		t.Fatalf("factor: %v", factor)
	}
	a = c.get("/api/payments", "Remote-User", "admin", "Remote_User", "admin", "X-Forwarded-For", "10.9.8.7")
	if a.status != 200 || a.json["user"] != "alice@example.com" {
		t.Fatalf("signed in: %d %s", a.status, a.body)
	}

	step := c.do(http.MethodPost, "/payments", "application/x-www-form-urlencoded", "to=x&amount=1")
	if step.status != 401 || step.json["error_type"] != "step_up_required" || step.json["rule"] != "making payments" ||
		!strings.Contains(step.header.Get("WWW-Authenticate"), `error="insufficient_user_authentication"`) ||
		!strings.Contains(step.header.Get("WWW-Authenticate"), `max_age="600"`) {
		t.Fatalf("step-up: %d %v %s", step.status, step.header, step.body)
	}
	_, flow, _ := strings.Cut(step.json["challenge_url"].(string), "flow=")
	f := c.api(200, http.MethodGet, "flows/"+flow, nil)
	if f.json["satisfied"] != false || len(f.json["missing"].([]any)) == 0 {
		t.Fatalf("flow: %s", f.body)
	}
	d.client().api(404, http.MethodGet, "flows/"+flow, nil)

	sent := c.api(200, http.MethodPost, "otps/email/send", map[string]string{"email": "alice@example.com"})
	method := sent.json["method_id"].(string)
	unknown := d.client().api(200, http.MethodPost, "otps/email/send", map[string]string{"email": "nobody@example.com"})
	if !strings.HasPrefix(unknown.json["method_id"].(string), "email-") {
		t.Fatalf("unknown address: %s", unknown.body)
	}
	code := d.code("alice@example.com")
	for _, malformed := range []string{"", "12345", "1234567", code + " ", "１２３４５６"} {
		if a := c.api(400, http.MethodPost, "otps/authenticate", map[string]string{"method_id": method, "code": malformed}); a.json["error_type"] != "invalid_code" {
			t.Fatalf("%q: %s", malformed, a.body)
		}
	}
	before := signedIn.json["session"].(map[string]any)["session_id"]
	up := c.api(200, http.MethodPost, "otps/authenticate", map[string]string{"method_id": method, "code": code, "flow": flow})
	if up.json["session"].(map[string]any)["session_id"] == before {
		t.Fatal("the session id did not change with the added factor")
	}
	if a := c.api(401, http.MethodPost, "otps/authenticate", map[string]string{"method_id": method, "code": code}); a.json["error_type"] != "otp_code_used" {
		t.Fatalf("used code: %s", a.body)
	}
	if a := c.do(http.MethodPost, "/payments", "application/x-www-form-urlencoded", "to=x&amount=1"); a.status != 303 {
		t.Fatalf("after step-up: %d %s", a.status, a.body)
	}

	enrol := c.api(200, http.MethodPost, "totps", nil)
	secret := enrol.json["secret"].(string)
	now := time.Now()
	confirmed := c.api(200, http.MethodPost, "totps/authenticate", map[string]string{"code": totpCode(t, secret, now)})
	codes := confirmed.json["recovery_codes"].([]any)
	if len(codes) != 10 {
		t.Fatalf("recovery codes: %v", codes)
	}
	if a := c.api(401, http.MethodPost, "totps/authenticate", map[string]string{"code": totpCode(t, secret, now)}); a.json["error_type"] != "totp_code_already_authenticated" {
		t.Fatalf("replay: %s", a.body)
	}
	if a := c.get("/admin/"); a.status != 401 || a.json["error_type"] != "step_up_required" {
		t.Fatalf("an authenticator app opened what wants a passkey: %d %s", a.status, a.body)
	}
	c.api(200, http.MethodPost, "recovery_codes/authenticate", map[string]string{"code": codes[3].(string)})
	c.api(401, http.MethodPost, "recovery_codes/authenticate", map[string]string{"code": codes[3].(string)})

	c.api(200, http.MethodDelete, "session", nil)
	c.api(401, http.MethodGet, "session", nil)
	if a := c.get("/api/payments"); a.status != 401 {
		t.Fatalf("after sign-out: %d", a.status)
	}
}

// TestBadBodies sends what no endpoint may take.
func TestBadBodies(t *testing.T) {
	d := startDemo(t)
	c := d.client()
	for _, path := range []string{"passwords/authenticate", "otps/email/send", "otps/authenticate", "totps/authenticate", "passwords/reset", "passwords/reset/start", "emails"} {
		for name, body := range map[string]string{
			"empty": "", "null": "null", "array": "[]", "text": `"x"`, "wrong types": `{"email":1,"code":[],"token":{},"method_id":2,"password":3}`,
			"not JSON": "email=x", "two": "{}{}", "cut off": `{"email":`,
		} {
			if path == "emails" && name == "wrong types" {
				body = `{"email":[]}`
			}
			a := c.do(http.MethodPost, "/.stepgate/api/v1/"+path, "application/json", body)
			if a.status != 400 || a.json["error_type"] == nil {
				t.Errorf("%s %s: %d %s", path, name, a.status, a.body)
			}
		}
		if a := c.do(http.MethodPost, "/.stepgate/api/v1/"+path, "application/json", `{"email":"`+strings.Repeat("a", 1<<20)+`"}`); a.status != 413 || a.json["error_type"] == nil {
			t.Errorf("%s too large: %d %s", path, a.status, a.body)
		}
		if a := c.do(http.MethodPost, "/.stepgate/api/v1/"+path, "application/json", "{}", "Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site"); a.status != 403 || a.json["error_type"] != "cross_origin" {
			t.Errorf("%s cross-site: %d %s", path, a.status, a.body)
		}
		if a := c.get("/.stepgate/api/v1/" + path); a.status != 405 {
			t.Errorf("GET %s: %d", path, a.status)
		}
	}
}

// TestAmbiguousTargets sends spellings that programs read in different ways. None may pass.
func TestAmbiguousTargets(t *testing.T) {
	d := startDemo(t)
	c := d.client()
	for _, target := range []string{"/about%2f..%2fadmin", "/about;x=1", "/admin%2fx", "//admin", "/about%5c..%5cadmin", "/x%00", "/x%25", "/admin.", "/admin%20"} {
		a := c.get(target)
		if a.status != 400 || a.json["error_type"] != "ambiguous_target" {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
	}
	if a := c.do(http.MethodTrace, "/", "", ""); a.status != 405 {
		t.Errorf("TRACE: %d", a.status)
	}
}
