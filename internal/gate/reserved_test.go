package gate

import (
	"testing"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/policy"
)

// No policy locks anybody out of the gateway's own pages, those of administrators among them: it
// is not asked about them, whatever it says and whether or not there is one.
func TestNoPolicyIsAskedAboutTheReservedPath(t *testing.T) {
	y := newYard(t)
	cookie := y.signIn(factors.Password)
	for name, text := range map[string]string{
		"none":                    "",
		"deny by default":         "version: 1\ndefault: {deny: true}",
		"deny everything by rule": "version: 1\nrules: [{name: all, deny: true}]\ndefault: {require: signed_in}",
		"deny by expression":      `{"version":1,"rules":[{"name":"own","match":{"path_regexp":"/.stepgate/.*"},"deny":true},{"name":"c","when":"request.path.startsWith('/.stepgate/') || 'admins' in user.groups","deny":true}],"default":{"require":"signed_in"}}`,
		"a floor nobody meets":    "version: 1\nminimum: [{require: {factors: 4, max_age: 1s}}]\ndefault: {require: aal3}",
		"refuse repeated keys":    "version: 1\nrules: [{name: key, match: {query: {a: true}}, require: mfa}]\ndefault: {deny: true}",
	} {
		var p *policy.Policy
		if text != "" {
			var err error
			if p, err = policy.Load("p", []byte(text)); err != nil {
				t.Fatal(name, err)
			}
		}
		y.policy.Store(p)
		for _, path := range []string{"admin", "admin/users?a=1&a=2", "sign-in", "account", "challenge?flow=x", "api/v1/session"} {
			for _, headers := range [][]string{nil, with(cookie)} {
				if w := y.pass(req("GET", Prefix+path, headers...)); w.Code != 200 || w.Body.String() != "portal" {
					t.Errorf("%s: %s: %d %s", name, path, w.Code, w.Body)
				}
			}
		}
	}
	if len(y.seen) != 0 {
		t.Errorf("%d requests for the reserved path reached the application", len(y.seen))
	}
}
