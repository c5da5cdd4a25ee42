package policy

import (
	"errors"
	"testing"
	"time"
)

func TestRequirementsByName(t *testing.T) {
	p, err := Load("p", []byte(`
version: 1
requirements:
  sudo: {all_of: [password, totp], max_age: 10m}
  single: {factor: totp, once: true}
rules:
  - {name: pay, match: {path: /pay}, require: single}
  - {name: admin, match: {path: /admin}, require: sudo}
default: {require: signed_in}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		age  time.Duration
		want string
	}{
		{"mfa", 0, `"mfa"`}, {"mfa", 5 * time.Minute, `{"all_of":["mfa"],"max_age":"5m0s"}`}, {"totp", time.Second, `{"all_of":["totp"],"max_age":"1m0s"}`},
		{"oauth:corp", 0, `"oauth:corp"`}, {"sudo", 0, `{"all_of":["password","totp"],"max_age":"10m0s"}`},
		{"", 0, ""}, {"nonsense", 0, ""}, {"single", 0, ""}, {"mfa", -1, ""}, {`{"factors": 2}`, 0, ""},
	} {
		check(t, c.want, c.name)(p.ByName(c.name, c.age))
	}
	for _, c := range []struct {
		values []string
		age    time.Duration
		want   string
	}{
		{[]string{"urn:stepgate:mfa"}, 0, `"mfa"`}, {[]string{"phr"}, 0, `"phishing_resistant"`}, {[]string{"urn:stepgate:aal1"}, time.Hour, `{"all_of":["signed_in"],"max_age":"1h0m0s"}`},
		{[]string{"urn:stepgate:factor:totp", "unknown", "phr"}, 2 * time.Minute, `{"all_of":[{"any_of":["totp","phishing_resistant"]}],"max_age":"2m0s"}`},
		{[]string{"aal2"}, 0, `"aal2"`}, {nil, 5 * time.Minute, `{"all_of":["signed_in"],"max_age":"5m0s"}`},
		{nil, 0, ""}, {[]string{"myACR"}, 0, ""}, {[]string{"single"}, 0, ""}, {[]string{"phr"}, -1, ""}, {[]string{""}, 0, ""},
	} {
		check(t, c.want, c.values)(p.ByACR(c.values, c.age))
	}
	// What is told to a program is understood when an application tells it.
	for _, name := range []string{"signed_in", "mfa", "phishing_resistant", "aal2", "aal3", "totp", "crypto_wallet:solana"} {
		told := p.Requirement(name)
		if got, err := p.ByACR(told.ACRValues(), 0); err != nil || got.String() != told.String() {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

func check(t *testing.T, want string, what any) func(*Requirement, error) {
	t.Helper()
	return func(got *Requirement, err error) {
		t.Helper()
		switch {
		case want == "" && !errors.Is(err, ErrNoRequirement):
			t.Errorf("%v: %v %v", what, got, err)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%v: %v %v, expected %s", what, got, err, want)
		}
	}
}
