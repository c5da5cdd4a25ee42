package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestLint says what a valid policy probably does not mean.
func TestLint(t *testing.T) {
	for _, c := range []struct {
		name, text string
		enabled    []string
		want       []string // LINE CODE RULE
	}{
		{name: "nothing", text: "rules:\n  - {name: a, match: {path: /a/*}, require: {all_of: [password, totp]}}\ndefault: {require: signed_in}\n"},
		{name: "unused", text: "requirements:\n  spare: mfa\n  used: mfa\ndefault: {require: used}\n", want: []string{"3 unused_requirement spare"}},
		{name: "used by another", text: "requirements:\n  inner: totp\n  outer: {all_of: [inner, password]}\ndefault: {require: outer}\n"},
		{name: "open default", text: "default: {allow: true}\n", want: []string{"2 open_default default"}},
		{name: "only reported", text: "rules:\n  - {name: a, report_only: true, deny: true}\nminimum:\n  - {name: f, report_only: true, require: mfa}\ndefault: {require: signed_in}\n", want: []string{"3 report_only a", "5 report_only f"}},

		{name: "link and mail", text: "default: {require: {all_of: [magic_link, email_otp]}}\n", want: []string{"2 insecure_combination default"}},
		{name: "password and mail", text: "default: {require: {all_of: [password, email_otp]}}\n", want: []string{"2 insecure_combination default"}},
		{name: "texts", text: "default: {require: {all_of: [sms_otp, whatsapp_otp]}}\n", want: []string{"2 insecure_combination default"}},
		{name: "provider and mail", text: "default: {require: {all_of: ['oauth:google', magic_link]}}\n", want: []string{"2 insecure_combination default"}},
		{name: "one of its alternatives", text: "default: {require: {all_of: [password, {any_of: [totp, email_otp]}]}}\n", want: []string{"2 insecure_combination default"}},
		{name: "deep inside", text: "default: {require: {any_of: [passkey, {all_of: [password, magic_link]}]}}\n", want: []string{"2 insecure_combination default"}},
		{name: "in a named one, once", text: "requirements:\n  two: {all_of: [totp, passkey]}\nrules:\n  - {name: a, match: {path: /a}, require: two}\ndefault: {require: two}\n", want: []string{"3 insecure_combination two"}},
		{name: "three of two kinds", text: "default: {require: {all_of: [password, magic_link, totp]}}\n"},
		{name: "in a floor", text: "minimum:\n  - {require: {all_of: [password, oauth]}}\ndefault: {require: signed_in}\n", want: []string{"3 insecure_combination minimum 1"}},

		{name: "not enabled", enabled: []string{"password", "totp"}, text: "rules:\n  - {name: keys, match: {path: /k}, require: passkey}\n  - {name: texts, match: {path: /t}, require: {any_of: [sms_otp, totp]}}\ndefault: {require: signed_in}\n", want: []string{"3 unmeetable keys"}},
		{name: "a provider that is not enabled", enabled: []string{"password", "oauth:corp"}, text: "rules:\n  - {name: g, match: {path: /g}, require: 'oauth:google'}\n  - {name: any, match: {path: /o}, require: oauth}\ndefault: {require: signed_in}\n", want: []string{"3 unmeetable g"}},
		{name: "recovery codes come with the app", enabled: []string{"password", "totp"}, text: "default: {require: recovery_code}\n"},
		{name: "passkeys are enough for webauthn", enabled: []string{"passkey"}, text: "default: {require: phishing_resistant}\n"},
		{name: "unknown what is enabled", text: "default: {require: passkey}\n"},

		{name: "a wide opening first", text: "rules:\n  - {name: reading, match: {path: /app/*, method: GET}, allow: true}\n  - {name: admin, match: {path: /app/admin/*}, require: mfa}\ndefault: {require: signed_in}\n", want: []string{"4 overlap admin"}},
		{name: "an exception first", text: "rules:\n  - {name: logo, match: {path: /app/logo.svg}, allow: true}\n  - {name: app, match: {path: /app/*}, require: mfa}\ndefault: {require: signed_in}\n"},
		{name: "other methods", text: "rules:\n  - {name: reading, match: {path: /app/*, method: GET}, allow: true}\n  - {name: writing, match: {path: /app/admin/*, method: POST}, require: mfa}\ndefault: {require: signed_in}\n"},
		{name: "other hosts", text: "rules:\n  - {name: a, match: {host: a.test, method: GET}, allow: true}\n  - {name: b, match: {host: b.test}, require: mfa}\ndefault: {require: signed_in}\n"},
		{name: "a stricter one first", text: "rules:\n  - {name: reading, match: {path: /app/*, method: GET}, require: mfa}\n  - {name: admin, match: {path: /app/admin/*}, require: signed_in}\ndefault: {require: signed_in}\n"},
		{name: "a longer age first", text: "rules:\n  - {name: old, match: {path: /app/*, method: GET}, require: {factor: totp, max_age: 1h}}\n  - {name: new, match: {path: /app/admin/*}, require: {factor: totp, max_age: 5m}}\ndefault: {require: signed_in}\n", want: []string{"4 overlap new"}},
		{name: "a reported one takes nothing", text: "rules:\n  - {name: trial, match: {path: /app/*, method: GET}, report_only: true, require: signed_in}\n  - {name: admin, match: {path: /app/admin/*}, require: mfa}\ndefault: {require: signed_in}\n", want: []string{"3 report_only trial"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, f := range load(t, "version: 1\n"+c.text).Lint(c.enabled) {
				got = append(got, fmt.Sprintf("%d %s %s", f.Line, f.Code, f.Rule))
				if f.Message == "" || f.Advice == "" || !strings.Contains(f.Message, f.Rule) && f.Rule != "default" {
					t.Errorf("%+v", f)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %q", got)
			}
		})
	}
}

// However many rules overlap, few are listed.
func TestLintIsBounded(t *testing.T) {
	var text strings.Builder
	text.WriteString("version: 1\nrules:\n")
	for i := range 40 {
		fmt.Fprintf(&text, "  - {name: open %d, match: {path: /a/*, client_ip: 10.0.%d.0/24}, allow: true}\n", i, i)
	}
	for i := range 40 {
		fmt.Fprintf(&text, "  - {name: closed %d, match: {path: /a/*, query: {k: v%d}}, require: mfa}\n", i, i)
	}
	text.WriteString("default: {require: signed_in}\n")
	if n := len(load(t, text.String()).Lint(nil)); n != 100 {
		t.Errorf("%d findings", n)
	}
}
