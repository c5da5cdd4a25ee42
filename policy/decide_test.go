package policy

import (
	"fmt"
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
			if SecureCombination(pair) != want || mfa.Met(pair, noon) != want {
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

// hwk is said of a key whose hardware was proven, once, and mfa stays last.
func TestHardwareKeyInAMR(t *testing.T) {
	key := Factor{Name: "webauthn", At: noon, HardwareKey: true}
	verified := key
	verified.UserVerified = true
	for want, fs := range map[string][]Factor{
		"pop user hwk":         {key},
		"pop user hwk mfa":     {verified, key},
		"pwd pop user hwk mfa": {{Name: "password", At: noon}, key},
		"pop user":             {{Name: "webauthn", At: noon}},
	} {
		if got := strings.Join(AMR(fs), " "); got != want {
			t.Errorf("%s, expected %s", got, want)
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
