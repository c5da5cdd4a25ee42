package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func load(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Load("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ask reads a request as the tables write it: "POST https://host/path?query from ADDRESS".
func ask(t testing.TB, text string) *Request {
	t.Helper()
	words := strings.Fields(text)
	r := &Request{Method: words[0], Header: map[string][]string{}}
	rest := strings.TrimPrefix(words[1], "https://")
	r.Host, rest, _ = strings.Cut(rest, "/")
	r.Path, r.RawQuery, _ = strings.Cut("/"+rest, "?")
	if len(words) > 3 && words[2] == "from" && words[3] != "unknown" {
		r.ClientIP = netip.MustParseAddr(words[3])
	}
	return r
}

// who reads a visitor as the tables write one: "nobody", or "USER [GROUP…] with FACTORS".
func who(t testing.TB, text string) *Subject {
	t.Helper()
	if text == "nobody" {
		return nil
	}
	left, factors, _ := strings.Cut(text, " with ")
	words := strings.Fields(left)
	proven, err := ParseFactors(factors, noon)
	if err != nil {
		t.Fatal(err)
	}
	return &Subject{ID: words[0], Email: words[0], Groups: words[1:], Factors: proven}
}

const tablePolicy = `
version: 1
requirements:
  sudo:
    all_of:
      - password
      - any_of: [passkey, webauthn]
        max_age: 5m
  fresh mfa: {factors: 2, max_age: 10m}
rules:
  - {name: health, match: {path: /healthz}, allow: true}
  - {name: assets, match: {host: "*.example.com", path: /assets/*, method: [GET, HEAD]}, allow: true}
  - {name: office only, match: {path: /intranet/*, client_ip: [10.0.0.0/8, "2001:db8::/32"]}, require: signed_in}
  - {name: intranet elsewhere, match: {path: /intranet/*}, deny: true}
  - {name: admin writes, match: {host: erp.example.com, path: /admin/*, method: [POST, PUT, PATCH, DELETE]}, require: sudo}
  - {name: exports, match: {path: /export, query: {format: [csv, xlsx]}}, require: fresh mfa}
  - {name: boss, match: {path: /boss/*, user: Boss@Example.com}, require: signed_in}
  - {name: finance people, match: {path: /finance/*, group: finance}, require: aal2}
  - {name: finance, match: {path: /finance/*}, deny: true}
  - {name: beta, match: {path: /beta, header: {X-Beta: "on"}}, require: mfa}
  - {name: reports, match: {path_regexp: '/reports/\d{4}'}, require: {factor: totp, max_age: 1m}}
  - {name: vault, match: {path: /vault/*}, require: {factor: totp, recovery: false}}
  - {name: keys, match: {path: /keys/*}, require: phishing_resistant}
  - {name: top, match: {path: /top/*}, require: aal3}
  - {name: corp, match: {path: /corp/*}, require: {factor: oauth, provider: corp}}
  - {name: debug, match: {path: /debug, query: {trace: true}}, deny: true}
default: {require: signed_in}
`

// TestDecisions is the table of decisions: request, visitor, outcome, rule.
func TestDecisions(t *testing.T) {
	p := load(t, tablePolicy)
	for _, row := range strings.Split(strings.TrimSpace(decisions), "\n") {
		row = strings.TrimSpace(row)
		if row == "" || strings.HasPrefix(row, "#") {
			continue
		}
		parts := strings.Split(row, "|")
		if len(parts) != 4 {
			t.Fatalf("bad row %q", row)
		}
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		r := ask(t, parts[0])
		if strings.Contains(parts[0], "beta on") {
			r.Header["X-Beta"] = []string{"off", "on"}
		}
		d := p.Decide(r, who(t, parts[1]), noon)
		if got := d.Outcome().String(); got != parts[2] || d.Rule() != parts[3] {
			t.Errorf("%s\n\tgot %s by %q", row, got, d.Rule())
		}
		if e := p.Explain(r, who(t, parts[1]), noon); e.Outcome != parts[2] || e.Rule != parts[3] {
			t.Errorf("%s\n\texplain says %s by %q", row, e.Outcome, e.Rule)
		}
	}
}

const decisions = `
# exemptions are exact
GET https://a.test/healthz | nobody | allow | health
HEAD https://a.test/healthz | nobody | allow | health
POST https://a.test/healthz | nobody | allow | health
GET https://a.test/Healthz | nobody | sign_in | default
GET https://a.test/healthz/ | nobody | sign_in | default
GET https://a.test/healthzX | nobody | sign_in | default
GET https://a.test/healthz/x | nobody | sign_in | default
GET https://a.test/healthz?x=1 | nobody | allow | health
GET https://www.example.com/assets/a.css | nobody | allow | assets
GET https://a.b.c.example.com/assets/a.css | nobody | allow | assets
GET https://www.example.com/assets | nobody | allow | assets
GET https://www.example.com/assets/ | nobody | allow | assets
HEAD https://www.example.com/assets/a.css | nobody | allow | assets
POST https://www.example.com/assets/a.css | nobody | sign_in | default
get https://www.example.com/assets/a.css | nobody | sign_in | default
GET https://www.example.com/Assets/a.css | nobody | sign_in | default
GET https://www.example.com/assetsX/a.css | nobody | sign_in | default
GET https://example.com/assets/a.css | nobody | sign_in | default
GET https://badexample.com/assets/a.css | nobody | sign_in | default
GET https://www.example.com.evil.test/assets/a.css | nobody | sign_in | default
# the default
GET https://a.test/ | nobody | sign_in | default
GET https://a.test/ | u with password | allow | default
GET https://a.test/ | u with email_otp | allow | default
GET https://a.test/ | u | step_up | default
DELETE https://a.test/anything/at/all | nobody | sign_in | default
PROPFIND https://a.test/x | nobody | sign_in | default
# addresses
GET https://a.test/intranet/x from 10.1.2.3 | nobody | sign_in | office only
GET https://a.test/intranet/x from 10.1.2.3 | u with password | allow | office only
GET https://a.test/intranet/x from ::ffff:10.1.2.3 | u with password | allow | office only
GET https://a.test/intranet/x from 2001:db8::1 | u with password | allow | office only
GET https://a.test/intranet/x from 11.1.2.3 | u with password | deny | intranet elsewhere
GET https://a.test/intranet/x from 2001:db9::1 | u with password | deny | intranet elsewhere
GET https://a.test/intranet/x from unknown | u with password | allow | office only
GET https://a.test/INTRANET/x from 11.1.2.3 | u with password | deny | intranet elsewhere
GET https://a.test/intranet from 11.1.2.3 | nobody | deny | intranet elsewhere
# protection matches broadly
POST https://erp.example.com/admin/users | nobody | sign_in | admin writes
POST https://erp.example.com/ADMIN/users | nobody | sign_in | admin writes
POST https://erp.example.com/Admin | nobody | sign_in | admin writes
POST https://erp.example.com/admin/ | nobody | sign_in | admin writes
PUT https://erp.example.com/admin/a/b/c | nobody | sign_in | admin writes
POST https://erp.example.com/administrator | u with password | allow | default
GET https://erp.example.com/admin/users | u with password | allow | default
POST https://wiki.example.com/admin/users | u with password | allow | default
POST https://erp.example.com/admin/users | u with password | step_up | admin writes
POST https://erp.example.com/admin/users | u with passkey | step_up | admin writes
POST https://erp.example.com/admin/users | u with password,passkey | allow | admin writes
POST https://erp.example.com/admin/users | u with password,webauthn | allow | admin writes
POST https://erp.example.com/admin/users | u with password@20h,passkey@5m | allow | admin writes
POST https://erp.example.com/admin/users | u with password@20h,passkey@5m1s | step_up | admin writes
POST https://erp.example.com/admin/users | u with password,totp | step_up | admin writes
DELETE https://erp.example.com/admin/users | u with password,webauthn@6m | step_up | admin writes
# query
GET https://a.test/export?format=csv | u with password | step_up | exports
GET https://a.test/export?format=csv | u with password,totp | allow | exports
GET https://a.test/export?format=csv | u with password,totp@11m | step_up | exports
GET https://a.test/export?format=csv | u with password@11m,totp | step_up | exports
GET https://a.test/export?format=csv | u with password@11m,totp@11m,sms_otp,crypto_wallet | allow | exports
GET https://a.test/export?format=xlsx&x=1 | u with password | step_up | exports
GET https://a.test/export?format=pdf | u with password | allow | default
GET https://a.test/export | u with password | allow | default
GET https://a.test/export/?format=csv | u with password | step_up | exports
GET https://a.test/EXPORT?format=csv | u with password | step_up | exports
GET https://a.test/export?Format=csv | u with password | allow | default
GET https://a.test/export?f%6frmat=c%73v | u with password | step_up | exports
GET https://a.test/export?format=csv&format=pdf | u with password | refused | exports
GET https://a.test/export?format=pdf&format=csv | u with password,totp | refused | exports
GET https://a.test/export?format=pdf&f%6frmat=csv | nobody | refused | exports
GET https://a.test/export?format=pdf;format=csv | nobody | refused | exports
GET https://a.test/export?%zz=1 | nobody | refused | exports
GET https://a.test/other?format=csv&format=pdf | u with password | allow | default
GET https://a.test/debug?trace=1 | u with password | deny | debug
GET https://a.test/debug?trace | u with password | deny | debug
GET https://a.test/debug?trace= | u with password | deny | debug
GET https://a.test/debug?traces=1 | u with password | allow | default
# identity: a visitor who is not known signs in first
GET https://a.test/boss/x | nobody | sign_in | boss
GET https://a.test/boss/x | boss@example.com with password | allow | boss
GET https://a.test/boss/x | BOSS@example.COM with password | allow | boss
GET https://a.test/boss/x | other@example.com with password | allow | default
GET https://a.test/finance/x | nobody | sign_in | finance people
GET https://a.test/finance/x | u finance with password | step_up | finance people
GET https://a.test/finance/x | u finance with password,totp | allow | finance people
GET https://a.test/finance/x | u finance with password,sms_otp | allow | finance people
GET https://a.test/finance/x | u finance with password,webauthn | allow | finance people
GET https://a.test/finance/x | u finance with passkey | allow | finance people
GET https://a.test/finance/x | u finance with webauthn | step_up | finance people
GET https://a.test/finance/x | u finance with password,email_otp | step_up | finance people
GET https://a.test/finance/x | u finance with magic_link,totp | step_up | finance people
GET https://a.test/finance/x | u finance with password@25h,totp | step_up | finance people
GET https://a.test/finance/x | u finance with password@24h,totp@24h | allow | finance people
GET https://a.test/finance/x | u Finance with password,totp | deny | finance
GET https://a.test/finance/x | u sales finance with password,totp | allow | finance people
GET https://a.test/finance/x | u sales with password,totp | deny | finance
# headers
GET https://a.test/beta | u with password | allow | default
GET https://a.test/beta beta on | u with password | step_up | beta
GET https://a.test/beta beta on | u with password,totp | allow | beta
GET https://a.test/beta beta on | u with password,email_otp | step_up | beta
# regular expressions are anchored
GET https://a.test/reports/2026 | u with password | step_up | reports
GET https://a.test/Reports/2026 | u with password | step_up | reports
GET https://a.test/reports/2026/x | u with password | allow | default
GET https://a.test/x/reports/2026 | u with password | allow | default
GET https://a.test/reports/2026 | u with password,totp@1m | allow | reports
GET https://a.test/reports/2026 | u with password,totp@61s | step_up | reports
GET https://a.test/reports/2026 | u with password,recovery_code@10s | allow | reports
GET https://a.test/vault/x | u with password,recovery_code | step_up | vault
GET https://a.test/vault/x | u with password,totp@30d | allow | vault
# built-ins
GET https://a.test/keys/x | u with password,totp | step_up | keys
GET https://a.test/keys/x | u with webauthn | allow | keys
GET https://a.test/keys/x | u with passkey | allow | keys
GET https://a.test/keys/x | u with password,recovery_code | step_up | keys
GET https://a.test/top/x | u with passkey | allow | top
GET https://a.test/top/x | u with passkey@13h | step_up | top
GET https://a.test/top/x | u with password,webauthn | allow | top
GET https://a.test/top/x | u with password,totp | step_up | top
GET https://a.test/corp/x | u with oauth:corp | allow | corp
GET https://a.test/corp/x | u with oauth:other | step_up | corp
GET https://a.test/corp/x | u with oauth | step_up | corp
`

// Freshness is at most max_age, in whole milliseconds, and a proof from the future is none.
func TestFreshness(t *testing.T) {
	r := &Requirement{kind: kindFactor, factor: factorSpec{name: "totp"}, maxAge: time.Minute}
	for age, want := range map[time.Duration]bool{
		0: true, time.Minute: true, time.Minute + time.Millisecond: false,
		-time.Millisecond: false, 24 * time.Hour: false,
	} {
		if got := r.Met([]Factor{{Name: "totp", At: noon.Add(-age)}}, noon); got != want {
			t.Errorf("age %s: %v", age, got)
		}
	}
}

// Nothing that is missing, zero or nil lets anybody pass.
func TestZeroValuesDeny(t *testing.T) {
	var p *Policy
	d := p.Decide(&Request{}, nil, noon)
	var zero Decision
	var empty Policy
	for name, d := range map[string]Decision{"nil policy": d, "zero decision": zero, "empty policy": empty.Decide(&Request{Path: "/"}, &Subject{}, noon)} {
		if d.Outcome() != Deny {
			t.Errorf("%s: %s", name, d.Outcome())
		}
	}
	var r *Requirement
	if r.Met([]Factor{{Name: "passkey", At: noon}}, noon) || (&Requirement{}).Met([]Factor{{Name: "totp", At: noon}}, noon) || (&Requirement{kind: kindAll}).Met(nil, noon) {
		t.Error("an empty requirement is met")
	}
}

// TestSecureCombinations goes through all pairs of factors.
func TestSecureCombinations(t *testing.T) {
	insecure := map[string]bool{}
	for _, group := range [][]string{
		{"password"}, {"magic_link", "email_otp", "oauth"}, {"sms_otp", "whatsapp_otp"},
		{"totp", "recovery_code", "webauthn", "passkey"}, {"crypto_wallet"},
		{"password", "magic_link"}, {"password", "email_otp"}, {"password", "oauth"},
	} {
		for _, a := range group {
			for _, b := range group {
				insecure[a+b], insecure[b+a] = true, true
			}
		}
	}
	for _, a := range names {
		for _, b := range names {
			pair := []Factor{{Name: a, At: noon}, {Name: b, At: noon}}
			want := !insecure[a+b]
			if Secure(pair[0], pair[1]) != want || SecureCombination(pair) != want || mfa.Met(pair, noon) != want {
				t.Errorf("%s and %s: expected %v", a, b, want)
			}
		}
	}
	if SecureCombination([]Factor{{Name: "unknown"}, {Name: "password"}}) {
		t.Error("an unknown factor counts")
	}
}

// Every set that Missing names, once proven, meets the requirement.
func TestMissingLeadsToTheEnd(t *testing.T) {
	p := load(t, tablePolicy)
	for _, name := range []string{"sudo", "fresh mfa", "mfa", "aal2", "aal3", "phishing_resistant", "signed_in", "totp", "oauth:corp"} {
		r := p.Requirement(name)
		for _, have := range []string{"", "password", "password@1h", "email_otp,sms_otp", "totp@3d,password@3d"} {
			fs, err := ParseFactors(have, noon)
			if err != nil {
				t.Fatal(err)
			}
			sets := r.Missing(fs, noon)
			if (len(sets) == 0) != r.Met(fs, noon) {
				t.Errorf("%s with %q: missing %v", name, have, sets)
			}
			for _, set := range sets {
				after := append([]Factor{}, fs...)
				for _, n := range set {
					base, variant, _ := strings.Cut(n.Factor, ":")
					f := Factor{Name: base, Variant: variant, At: noon, UserVerified: n.UserVerified}
					if base == "passkey" {
						f = Factor{Name: "webauthn", At: noon, Discoverable: true, UserVerified: true}
					}
					after = append(after, f)
				}
				if !r.Met(after, noon) {
					t.Errorf("%s with %q: proving %v is not enough", name, have, set)
				}
			}
		}
	}
}

func TestRequirementText(t *testing.T) {
	p := load(t, tablePolicy)
	for _, name := range []string{"sudo", "fresh mfa", "mfa", "aal2", "aal3", "signed_in", "totp", "crypto_wallet:solana"} {
		text := p.Requirement(name).String()
		again, err := ParseRequirement(text)
		if err != nil || again.String() != text {
			t.Errorf("%s: %s: %v", name, text, err)
		}
	}
	for _, bad := range []string{"", "null", "[]", "nonsense", `{"factors":9}`, `{"all_of":[]}`, `"sudo"`} {
		if r, err := ParseRequirement(bad); err == nil || r.Met([]Factor{{Name: "totp", At: noon}}, noon) {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestAMRAndACR(t *testing.T) {
	for have, want := range map[string]string{
		"password":             "pwd urn:stepgate:aal1",
		"password,email_otp":   "pwd otp email urn:stepgate:aal1",
		"password,totp":        "pwd otp mfa urn:stepgate:aal2",
		"passkey":              "pop user mfa urn:stepgate:aal3",
		"sms_otp,whatsapp_otp": "otp sms whatsapp urn:stepgate:aal1",
		"magic_link,totp":      "otp email mfa urn:stepgate:aal1",
		"oauth":                "fed urn:stepgate:aal1",
		"crypto_wallet":        "pop wallet urn:stepgate:aal1",
	} {
		fs, err := ParseFactors(have, noon)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(AMR(fs), " ") + " " + ACR(fs, noon); got != want {
			t.Errorf("%s: %s, expected %s", have, got, want)
		}
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	small, large := benchPolicy(t, 20), benchPolicy(t, 10_000)
	s := who(t, "u staff with password,totp")
	for name, p := range map[string]*Policy{"20 rules": small, "10000 rules": large} {
		r := ask(t, "GET https://app7.example.com/area7/page")
		if n := testing.AllocsPerRun(100, func() {
			if d := p.Decide(r, s, noon); d.Outcome() != Allow {
				t.Error(d.Outcome())
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func benchPolicy(t testing.TB, rules int) *Policy {
	t.Helper()
	var b strings.Builder
	b.WriteString("version: 1\nrules:\n")
	for i := range rules {
		fmt.Fprintf(&b, "  - {name: r%d, match: {host: app%d.example.com, path: /area%d/*}, require: mfa}\n", i, i%100, i)
	}
	b.WriteString("default: {require: signed_in}\n")
	return load(t, b.String())
}

func BenchmarkDecide(b *testing.B) {
	for _, rules := range []int{20, 10_000} {
		b.Run(fmt.Sprint(rules), func(b *testing.B) {
			p := benchPolicy(b, rules)
			r, s := ask(b, "GET https://app7.example.com/area7/page"), who(b, "u staff with password,totp")
			b.ReportAllocs()
			for b.Loop() {
				if d := p.Decide(r, s, noon); d.Outcome() != Allow {
					b.Fatal(d.Outcome())
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		benchPolicy(b, 10_000)
	}
}
