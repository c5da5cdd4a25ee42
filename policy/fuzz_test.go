package policy

import (
	"errors"
	"testing"
)

func FuzzLoad(f *testing.F) {
	for _, c := range chapters(f) {
		f.Add([]byte(c.Policy))
	}
	for _, text := range []string{
		tablePolicy, "version: 1\ndefault: {deny: true}\n", "a: &a [*a]", "version: 1\nminimum: [{require: {factor: totp, once: true}}]\ndefault: {allow: true}\n",
		"version: 1\nrules: [{name: a, when: !!str user.id == 'x', deny: true}]\ndefault: {deny: true}\n",
		"version: 1\nrules: [{name: a, when: \"\\x41\\u0042 \\\n  ==\", deny: true}]\ndefault: {deny: true}\n",
	} {
		f.Add([]byte(text))
	}
	r := ask(f, "GET https://a.test/admin/x?k=v")
	s := who(f, "u g with password,totp@1m")
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Load("p", data)
		if (err == nil) != (p != nil) {
			t.Fatal("neither a policy nor a mistake, or both")
		}
		if err != nil {
			var bad *LoadError
			if !errors.As(err, &bad) {
				t.Fatal(err)
			}
			for _, m := range bad.Problems {
				if m.Line < 1 || m.Column < 1 || m.Message == "" {
					t.Fatalf("%+v", m)
				}
			}
			return
		}
		for _, s := range []*Subject{nil, s} {
			d := p.Decide(r, s, noon)
			if d.Outcome() == Allow && d.Rule() == "" {
				t.Fatal("allowed by nothing")
			}
			if why := disagreement(p, p.Explain(r, s, noon), d); why != "" {
				t.Fatal(why)
			}
		}
	})
}

func FuzzParseRequirement(f *testing.F) {
	for _, text := range []string{
		`"mfa"`, `{"factors":2}`, `{"all_of":["password",{"any_of":["passkey","webauthn"],"max_age":"5m0s"}]}`, `{"factor":"totp","once":true,"rule":"a"}`,
		`{"factors":2,"remember_device":"720h0m0s"}`, `{"aaguid":["00000000-0000-0000-0000-000000000000"],"factor":"webauthn","user_verification":"required"}`,
		`{"factor":"oauth:corp"}`, `null`, `[]`, `x`, `{factor: totp, recovery: false}`,
	} {
		f.Add(text)
	}
	all, err := ParseFactors("password,passkey,totp,sms_otp", noon)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRequirement(text)
		if err != nil {
			if r.Met(all, noon) {
				t.Fatal("met, and not understood")
			}
			return
		}
		again, err := ParseRequirement(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("%s became %s: %v", r, again, err)
		}
		if r.Met(nil, noon) {
			t.Fatal("met by nothing")
		}
		if missing := r.Missing(all, noon); r.Met(all, noon) != (len(missing) == 0) {
			t.Fatalf("met %v, missing %v", r.Met(all, noon), missing)
		}
	})
}
