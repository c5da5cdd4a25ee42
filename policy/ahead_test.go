package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A proof from before the challenge that lapses within a minute is asked for again; one that was
// made in the challenge counts to its end. The decision itself looks at neither.
func TestAChallengeAsksAhead(t *testing.T) {
	for _, c := range []struct {
		required, proven string
		began            time.Duration // before now
		missing          string
	}{
		{`{"factor":"totp","max_age":"5m"}`, "totp@4m", 0, ""},
		{`{"factor":"totp","max_age":"5m"}`, "totp@4m1s", 0, "totp"},
		{`{"factor":"totp","max_age":"5m"}`, "totp@4m1s", 10 * time.Minute, ""},
		{`{"factor":"totp","max_age":"5m"}`, "totp@5m1s", 10 * time.Minute, "totp"},
		{`"totp"`, "totp@240h", 0, ""},
		{`{"all_of":["password","totp"],"max_age":"10m"}`, "password@9m30s,totp@11m", 0, "password+totp"},
		{`{"all_of":["password","totp"],"max_age":"10m"}`, "password@9m,totp@11m", 0, "totp"},
		{`{"factors":2,"max_age":"1m"}`, "password@2s", time.Second, "passkey+password"},
		// A limit of less than a minute can be met in the challenge.
		{`{"factor":"totp","max_age":"30s"}`, "totp@29s", 29 * time.Second, ""},
		{`{"factor":"totp","max_age":"30s"}`, "totp@1s", 0, "totp"},
		{`{"factors":2,"remember_device":"1h"}`, "password", 0, ""},
	} {
		fs, err := ParseFactors(c.proven, noon)
		if err != nil {
			t.Fatal(err)
		}
		s := &Subject{ID: "u", Factors: fs}
		if strings.Contains(c.required, "remember") {
			s.RememberedAt = noon.Add(-59 * time.Minute)
		}
		got := setsOf(parse(t, c.required).MissingAhead(s, noon, noon.Add(-c.began), nil))
		if c.missing == "" && len(got) > 0 || c.missing != "" && !slices.Contains(got, c.missing) {
			t.Errorf("%s with %s, begun %s ago: missing %v, expected %q", c.required, c.proven, c.began, got, c.missing)
		}
	}
	// A remembered device that is forgotten within a minute does not stand in any more.
	s := &Subject{ID: "u", Factors: []Factor{{Name: "password", At: noon}}, RememberedAt: noon.Add(-59*time.Minute - time.Second)}
	if r := parse(t, `{"factors":2,"remember_device":"1h"}`); len(r.MissingAhead(s, noon, noon, nil)) == 0 || !r.MetBy(s, noon) {
		t.Error("a remembered device that lapses")
	}
}

func setsOf(missing [][]Need) []string {
	var out []string
	for _, set := range missing {
		var names []string
		for _, n := range set {
			names = append(names, n.Factor)
		}
		out = append(out, strings.Join(names, "+"))
	}
	return out
}

// Parts of a requirement that one proof meets are one need, as fresh as the strictest asks.
func TestOneProofIsAskedForOnce(t *testing.T) {
	for required, want := range map[string]string{
		`{"all_of":[{"factor":"totp","max_age":"10m"},{"factor":"totp","max_age":"5m"}]}`:                                     "totp 5m0s",
		`{"all_of":["webauthn",{"factor":"passkey","max_age":"5m"}]}`:                                                         "passkey 5m0s",
		`{"all_of":[{"factor":"webauthn","max_age":"1m"},"passkey"]}`:                                                         "passkey 1m0s",
		`{"all_of":["oauth","oauth:corp"]}`:                                                                                   "oauth:corp 0s",
		`{"all_of":["oauth:other","oauth:corp"]}`:                                                                             "oauth:other 0s, oauth:corp 0s",
		`{"all_of":["totp",{"factor":"totp","recovery":false,"max_age":"1h"}]}`:                                               "totp 1h0m0s",
		`{"all_of":[{"factor":"webauthn","attachment":"cross-platform"},"passkey"]}`:                                          "webauthn 0s, passkey 0s",
		`{"all_of":[{"factor":"webauthn","aaguid":["00000000-0000-0000-0000-000000000001"]},"webauthn"]}`:                     "webauthn 0s",
		`{"all_of":["totp",{"factor":"totp","once":true,"rule":"a"}]}`:                                                        "totp 0s once",
		`{"all_of":[{"factor":"totp","once":true,"rule":"b"},{"factor":"totp","once":true,"rule":"a"}]}`:                      "totp 0s once, totp 0s once",
		`{"all_of":["password",{"all_of":[{"factor":"totp","max_age":"2m"},"password"],"max_age":"10m"}]}`:                    "password 10m0s, totp 2m0s",
		`{"all_of":[{"factor":"webauthn","user_verification":"required"},{"factor":"webauthn"},"phishing_resistant"]}`:        "webauthn 0s",
		`{"all_of":[{"any_of":["totp","password"]},{"factor":"totp","max_age":"5m"}]}`:                                        "totp 5m0s",
		`{"all_of":[{"factors":1,"max_age":"5m"},{"factor":"totp","max_age":"1h"},{"all_of":["signed_in"],"max_age":"10m"}]}`: "totp 5m0s",
	} {
		r := parse(t, required)
		missing := r.Missing(nil, noon)
		if len(missing) == 0 {
			t.Errorf("%s: nothing is missing", required)
			continue
		}
		var parts []string
		for _, n := range missing[0] {
			part := fmt.Sprint(n.Factor, " ", n.MaxAge)
			if n.Once {
				part += " once"
			}
			parts = append(parts, part)
		}
		if got := strings.Join(parts, ", "); got != want {
			t.Errorf("%s: missing %s, expected %s", required, got, want)
		}
		if !r.Met(proofs(missing[0], noon), noon) {
			t.Errorf("%s: not met by what is missing", required)
		}
	}
}

// Whatever is asked ahead is enough for the decision, at once and for a minute.
func TestWhatIsAskedAheadLastsAMinute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := rapidDice(t)
		r, err := ParseRequirement(d.requirement(3))
		if err != nil {
			return
		}
		s := &Subject{ID: "u", Factors: d.factors()}
		for i := range s.Factors {
			s.Factors[i].At = s.Factors[i].At.Add(-[]time.Duration{0, time.Hour, 119*time.Minute + 30*time.Second}[d(3)])
		}
		for _, set := range r.MissingAhead(s, noon, noon, nil) {
			after := *s
			after.Factors = append(slices.Clone(s.Factors), proofs(set, noon)...)
			for _, later := range []time.Duration{0, askAhead} {
				if !r.MetBy(&after, noon.Add(later)) {
					t.Fatalf("%s: not met %s after proving %v beside %v", r, later, set, s.Factors)
				}
			}
		}
	})
}
