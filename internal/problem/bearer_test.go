package problem

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBearer(t *testing.T) {
	type params = map[string]string
	for header, want := range map[string]params{
		`Bearer error="insufficient_user_authentication", acr_values="a b", max_age=5`: {"error": "insufficient_user_authentication", "acr_values": "a b", "max_age": "5"},
		`bearer Realm = "a, \"b\" = c" ,, error=x`:                                     {"realm": `a, "b" = c`, "error": "x"},
		`Bearer error=x, Basic realm="y"`:                                              {"error": "x"},
		"Bearer":                                                                       {},
		`Basic realm="x"`:                                                              nil,
		`Bearer error="x`:                                                              nil,
		`Bearer error="x\`:                                                             nil,
		`Bearer error="x" acr_values="y"`:                                              nil,
		`Bearer error="x", error="y"`:                                                  nil,
		`Bearer error=a;b`:                                                             nil,
		"":                                                                             nil,
		"Bearerror=x":                                                                  nil,
		`Bearer abc.def`:                                                               nil,
	} {
		got, ok := Bearer(header)
		if !ok {
			got = nil
		}
		if diff := cmp.Diff(want, got); diff != "" || ok != (want != nil) {
			t.Errorf("%s: %v\n%s", header, ok, diff)
		}
	}
}

// What is written is read again.
func TestChallengeIsReadAgain(t *testing.T) {
	c := &Challenge{ACRValues: []string{"urn:stepgate:mfa", "phr"}, MaxAge: 5 * time.Minute}
	got, ok := Bearer(c.header())
	if !ok || got["error"] != "insufficient_user_authentication" || got["acr_values"] != "urn:stepgate:mfa phr" || got["max_age"] != "300" {
		t.Errorf("%v %v", got, ok)
	}
}

func FuzzBearer(f *testing.F) {
	f.Add(`Bearer error="x", a=b`)
	f.Fuzz(func(t *testing.T, s string) {
		if params, ok := Bearer(s); ok && len(params) > maxParams {
			t.Fatal(len(params))
		}
	})
}
