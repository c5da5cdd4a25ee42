package caddymodule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCheck walks configurations in which a gate is easily believed to be where it is not.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, site string
		want       []string
	}{
		{"a gate", "stepgate\nreverse_proxy app:80", []string{"yes a.test reverse_proxy app:80"}},
		{"none", "reverse_proxy app:80", []string{"NO a.test reverse_proxy app:80: no gate"}},
		{"written after, ordered before", "reverse_proxy app:80\nstepgate", []string{"yes a.test reverse_proxy app:80"}},
		{"a sibling", "handle /api/* {\nreverse_proxy api:80\n}\nhandle {\nstepgate\nreverse_proxy app:80\n}",
			[]string{"NO a.test /api/* reverse_proxy api:80: no gate", "yes a.test reverse_proxy app:80"}},
		{"every sibling", "handle /api/* {\nstepgate\nreverse_proxy api:80\n}\nhandle {\nstepgate\nreverse_proxy app:80\n}",
			[]string{"yes a.test /api/* reverse_proxy api:80", "yes a.test reverse_proxy app:80"}},
		{"in front of siblings", "stepgate\nhandle /api/* {\nreverse_proxy api:80\n}\nhandle {\nreverse_proxy app:80\n}",
			[]string{"yes a.test /api/* reverse_proxy api:80", "yes a.test reverse_proxy app:80"}},
		{"under a matcher", "stepgate /app/*\nreverse_proxy app:80", []string{"NO a.test reverse_proxy app:80: a gate stands under a matcher"}},
		{"a rule for one path", "stepgate /app/* {\nrequire mfa\n}\nreverse_proxy app:80", []string{"NO a.test reverse_proxy app:80: a gate stands under a matcher"}},
		{"a rule on top", "stepgate\nstepgate /app/* {\nrequire mfa\n}\nreverse_proxy app:80", []string{"yes a.test reverse_proxy app:80"}},
		{"errors", "stepgate\nreverse_proxy app:80\nhandle_errors {\nreverse_proxy fallback:80\n}",
			[]string{"yes a.test reverse_proxy app:80", "NO errors a.test reverse_proxy fallback:80: routes for errors"}},
		{"files", "file_server {\nroot /srv\n}", []string{"NO a.test file_server /srv: no gate"}},
		{"a fixed text", "respond /secret \"the text\"", []string{"NO a.test /secret static_response a fixed text: no gate"}},
		{"nothing given away", "redir /old /new\nrespond /gone 410", nil},
		{"in a route block, too late", "route {\nreverse_proxy /early app:80\nstepgate\nreverse_proxy app:80\n}",
			[]string{"NO a.test /early reverse_proxy app:80: the gate stands behind it", "yes a.test reverse_proxy app:80"}},
		{"a rule that allows everything", "stepgate {\nallow\n}\nreverse_proxy app:80", []string{"NO a.test reverse_proxy app:80: the gate in front of it allows everything"}},
		{"a proxy that only resembles that", "reverse_proxy app:80 {\nmethod GET\nrewrite /x\nhandle_response {\ncopy_response\n}\n}", []string{"NO a.test reverse_proxy app:80: no gate"}},
		{"another server is asked first", "forward_auth auth:80 {\nuri /verify\n}\nstepgate\nreverse_proxy app:80", []string{"yes a.test reverse_proxy app:80"}},
		{"a named route", "stepgate\ninvoke shared", []string{"yes a.test reverse_proxy shared:80"}},
		{"a named route without", "invoke shared", []string{"NO a.test reverse_proxy shared:80: no gate"}},
		{"a gate in a named route", "invoke gated\nreverse_proxy app:80", []string{"yes a.test reverse_proxy app:80"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, err := adapt(t, "Caddyfile", fmt.Sprintf(
				"{\nstepgate {\npolicy policy.yaml\n}\n}\n&(shared) {\nreverse_proxy shared:80\n}\n&(gated) {\nstepgate\n}\na.test {\n%s\n}\n", c.site))
			if err != nil {
				t.Fatal(err)
			}
			found, err := Check(raw)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range found.Endpoints {
				line := "yes"
				if !e.Gated {
					line = "NO"
				}
				line += " " + e.Match + " " + e.Handler + " " + e.Target
				if e.Why != "" {
					line += ": " + e.Why
				}
				got = append(got, line)
			}
			if len(got) == len(c.want) {
				for i := range got { // the reasons are compared by their beginning
					if strings.HasPrefix(got[i], c.want[i]) {
						got[i] = c.want[i]
					}
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckWarns(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                                 "localhost:2019",
		`{"admin":{"listen":":2019"}}`:       "on :2019",
		`{"admin":{"remote":{"listen":""}}}`: "remote administration",
		`{"apps":{"http":{"servers":{"s":{"trusted_proxies":{"source":"static"}}}}}}`:                                                                        "trusted_proxies_strict",
		`{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"cache"},{"handler":"stepgate"}]}]}}}}}`:                                           "“cache” runs in front of the gate",
		`{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"headers","request":{"set":{"remote_user":["x"]}}},{"handler":"stepgate"}]}]}}}}}`: "Remote_user is set on requests in front of the gate",
	} {
		found, err := Check([]byte(config))
		if err != nil || !strings.Contains(strings.Join(found.Warnings, "\n"), want) {
			t.Errorf("%s: %v %v", config, found, err)
		}
	}
	found, err := Check([]byte(`{"admin":{"listen":"unix//run/x.sock"},"apps":{"http":{"servers":{"s":{"trusted_proxies":{"source":"static"},"trusted_proxies_strict":1}}}}}`))
	if err != nil || len(found.Warnings) > 0 {
		t.Error(found, err)
	}
	for _, bad := range []string{``, `[]`, `{"apps":{"http":{"servers":{"s":{"routes":[{"handle":["x"]}]}}}}}`,
		`{"apps":{"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"invoke","name":"a"}]}],"named_routes":{"a":{"handle":[{"handler":"invoke","name":"a"}]}}}}}}}`} {
		if _, err := Check([]byte(bad)); err == nil {
			t.Errorf("%q was walked", bad)
		}
	}
}
