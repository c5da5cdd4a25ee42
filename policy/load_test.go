package policy

import (
	"errors"
	"strings"
	"testing"
)

// oneMistake are files with one mistake each, and what is said of it.
var oneMistake = func() []struct{ name, text, want string } {
	const head, tail = "version: 1\n", "default: {require: signed_in}\n"
	return []struct{ name, text, want string }{
		{"empty", "", "1:1: the file is empty"},
		{"comment only", "# nothing\n", "1:1: the file is empty"},
		{"a list", "- a\n", "1:1: expected a policy"},
		{"no version", tail, "1:1: version is missing"},
		{"other version", "version: 2\n" + tail, `1:10: version must be 1`},
		{"version as text", "version: \"1\"\n" + tail, `1:10: version must be 1`},
		{"no default", head, "1:1: default is missing"},
		{"unknown key", head + "rulez: []\n" + tail, `2:1: unknown key "rulez"; expected default, minimum, requirements, rules, version`},
		{"repeated key", head + tail + tail, `3:1: "default" was given on line 2 already`},
		{"second document", head + tail + "---\n" + head, "the file has a second document"},
		{"alias", head + "rules: &a []\n" + tail, "2:8: anchors and aliases are not allowed"},
		{"broken YAML", head + "rules: [\n", "not valid YAML"},
		{"empty rules", head + "rules: []\n" + tail, "2:8: rules must be a list of at least one rule"},
		{"rule is a text", head + "rules: [x]\n" + tail, "2:9: a rule is a map"},
		{"no name", head + "rules: [{allow: true}]\n" + tail, "2:9: the rule has no name"},
		{"name default", head + "rules: [{name: default, allow: true}]\n" + tail, "no rule can be named “default”"},
		{"repeated name", head + "rules:\n  - {name: a, match: {path: /a}, allow: true}\n  - {name: a, deny: true}\n" + tail, `4:12: the name "a" is taken by the rule on line 3`},
		{"no outcome", head + "rules: [{name: a}]\n" + tail, "expected exactly one of “allow: true”, “deny: true”, “require: …”, found 0"},
		{"two outcomes", head + "rules: [{name: a, allow: true, deny: true}]\n" + tail, "found 2"},
		{"allow false", head + "rules: [{name: a, allow: false}]\n" + tail, "allow can only be true"},
		{"unknown requirement", head + "rules: [{name: a, require: yubikey}]\n" + tail, `2:28: unknown requirement "yubikey"; expected one of aal2`},
		{"unknown factor", head + "rules: [{name: a, require: {factor: mfa}}]\n" + tail, "factor takes the name of one factor"},
		{"circle", head + "requirements:\n  a: {all_of: [b]}\n  b: {all_of: [a]}\n" + tail, "refers to itself"},
		{"named like a factor", head + "requirements: {totp: {factors: 2}}\n" + tail, `2:16: "totp" is the name of a factor or a built-in`},
		{"named like a built-in", head + "requirements: {mfa: {factors: 2}}\n" + tail, `"mfa" is the name of a factor or a built-in`},
		{"factors 0", head + "rules: [{name: a, require: {factors: 0}}]\n" + tail, "factors must be a number from 1 to 4"},
		{"factors 5", head + "rules: [{name: a, require: {factors: 5}}]\n" + tail, "factors must be a number from 1 to 4"},
		{"factors text", head + "rules: [{name: a, require: {factors: two}}]\n" + tail, "factors must be a number from 1 to 4"},
		{"max_age 0", head + "rules: [{name: a, require: {factors: 2, max_age: 0s}}]\n" + tail, "max_age must be at least 1s"},
		{"max_age negative", head + "rules: [{name: a, require: {factors: 2, max_age: -5m}}]\n" + tail, "expected a duration"},
		{"max_age number", head + "rules: [{name: a, require: {factors: 2, max_age: 5}}]\n" + tail, "expected a duration"},
		{"empty all_of", head + "rules: [{name: a, require: {all_of: []}}]\n" + tail, "all_of must be a list of at least one requirement"},
		{"two kinds", head + "rules: [{name: a, require: {factors: 2, factor: totp}}]\n" + tail, "expected exactly one of factor, all_of, any_of, factors, found 2"},
		{"a list as requirement", head + "rules: [{name: a, require: [totp]}]\n" + tail, "write all_of or any_of before the list"},
		{"attachment on totp", head + "rules: [{name: a, require: {factor: totp, attachment: platform}}]\n" + tail, "attachment belongs to “factor: webauthn”"},
		{"aaguid", head + "rules: [{name: a, require: {factor: passkey, aaguid: [x]}}]\n" + tail, `"x" is not a UUID`},
		{"bad provider", head + "rules: [{name: a, require: 'oauth:'}]\n" + tail, `unknown requirement "oauth:"`},
		{"bad chain", head + "rules: [{name: a, require: 'crypto_wallet:doge'}]\n" + tail, `unknown requirement "crypto_wallet:doge"`},
		{"unknown match", head + "rules: [{name: a, match: {agent: x}, deny: true}]\n" + tail, `unknown key "agent"; expected client_ip`},
		{"empty list", head + "rules: [{name: a, match: {path: []}, deny: true}]\n" + tail, "expected a text or a list of at least one"},
		{"header on allow", head + "rules: [{name: a, match: {header: {X: y}}, allow: true}]\n" + tail, "match.header cannot stand beside allow"},
		{"host with port", head + "rules: [{name: a, match: {host: 'a.test:80'}, deny: true}]\n" + tail, "is not a host name"},
		{"host with scheme", head + "rules: [{name: a, match: {host: 'https://a.test'}, deny: true}]\n" + tail, "is not a host name"},
		{"relative path", head + "rules: [{name: a, match: {path: admin}, deny: true}]\n" + tail, `path "admin" must begin with “/”`},
		{"star inside", head + "rules: [{name: a, match: {path: /a*/b}, deny: true}]\n" + tail, "has a “*” that is not at the end"},
		{"escape", head + "rules: [{name: a, match: {path: /a%20b}, deny: true}]\n" + tail, "has an escape"},
		{"dot segment", head + "rules: [{name: a, match: {path: /a/../b}, deny: true}]\n" + tail, "has an empty or dot segment"},
		{"trailing slash", head + "rules: [{name: a, match: {path: /a/}, deny: true}]\n" + tail, "ends in “/”"},
		{"own path", head + "rules: [{name: a, match: {path: /.Stepgate/admin/*}, deny: true}]\n" + tail, "one of the gateway's own"},
		{"own prefix", head + "minimum: [{match: {path: /.stepgate/*}, require: mfa}]\n" + tail, "one of the gateway's own"},
		{"query in path", head + "rules: [{name: a, match: {path: '/a?b'}, deny: true}]\n" + tail, "use match.query"},
		{"bad regexp", head + "rules: [{name: a, match: {path_regexp: '('}, deny: true}]\n" + tail, "not a regular expression"},
		{"lower-case method", head + "rules: [{name: a, match: {method: get}, deny: true}]\n" + tail, `methods are compared exactly; write "GET"`},
		{"bad network", head + "rules: [{name: a, match: {client_ip: 10.0.0}, deny: true}]\n" + tail, "is not an address or network"},
		{"host bits", head + "rules: [{name: a, match: {client_ip: 10.0.0.1/8}, deny: true}]\n" + tail, `"10.0.0.1/8" has host bits set; did you mean 10.0.0.0/8?`},
		{"never reached", head + "rules:\n  - {name: all, match: {path: /*}, allow: true}\n  - {name: admin, match: {path: /admin/*}, require: mfa}\n" + tail, `4:5: rule "admin" can never match: rule "all" on line 3 takes all its requests`},
		{"never reached, no match", head + "rules:\n  - {name: all, deny: true}\n  - {name: admin, match: {path: /admin/*}, require: mfa}\n" + tail, `rule "admin" can never match`},
		{"never reached, other case", head + "rules:\n  - {name: a, match: {path: /a/*}, deny: true}\n  - {name: b, match: {path: /A/b}, require: mfa}\n" + tail, `rule "b" can never match`},
		{"never reached, wildcard", head + "rules:\n  - {name: a, match: {host: '*.x.test'}, deny: true}\n  - {name: b, match: {host: '*.y.x.test', method: GET}, require: mfa}\n" + tail, `rule "b" can never match`},
		{"never reached, network", head + "rules:\n  - {name: a, match: {client_ip: 10.0.0.0/8}, deny: true}\n  - {name: b, match: {client_ip: 10.1.0.0/16}, require: mfa}\n" + tail, `rule "b" can never match`},
	}
}()

// TestMistakes holds the text of every mistake, with its place.
func TestMistakes(t *testing.T) {
	for _, c := range oneMistake {
		t.Run(c.name, func(t *testing.T) {
			p, err := Load("p.yaml", []byte(c.text))
			var bad *LoadError
			if !errors.As(err, &bad) {
				t.Fatalf("loaded: %v", p)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "p.yaml:") {
				t.Errorf("got %q, expected %q", err, c.want)
			}
		})
	}
}

// Rules that overlap without one taking everything of the other are fine.
func TestReachableRules(t *testing.T) {
	for _, rules := range []string{
		"[{name: a, match: {path: /a}, allow: true}, {name: b, match: {path: /a}, deny: true}]", // the spelling with a slash is left
		"[{name: a, match: {path: /a, method: GET}, allow: true}, {name: b, match: {path: /a}, deny: true}]",
		"[{name: a, match: {host: x.test}, deny: true}, {name: b, match: {path: /a}, deny: true}]",
		"[{name: a, match: {host: '*.x.test'}, deny: true}, {name: b, match: {host: x.test}, deny: true}]",
		"[{name: a, match: {group: g}, deny: true}, {name: b, require: mfa}]",
		"[{name: a, match: {query: {x: y}}, deny: true}, {name: b, match: {query: {x: true}}, require: mfa}]",
		"[{name: a, match: {path: /a/*}, deny: true}, {name: b, match: {path: /ab}, require: mfa}]",
		"[{name: a, when: request.method == 'GET', deny: true}, {name: b, match: {path: /a}, require: mfa}]",
		"[{name: a, when: 1 == 1, deny: true}, {name: b, require: mfa}]",
		"[{name: a, report_only: true, deny: true}, {name: b, match: {path: /a}, require: mfa}]",
	} {
		load(t, "version: 1\nrules: "+rules+"\ndefault: {deny: true}\n")
	}
}

// All mistakes are reported at once, in the order of their places.
func TestAllMistakesAtOnce(t *testing.T) {
	_, err := Load("p.yaml", []byte("version: 3\nrules:\n  - {name: a, match: {path: x}, deny: true}\n  - {name: a, require: nonsense}\ndefault: {allow: 1}\n"))
	var bad *LoadError
	if !errors.As(err, &bad) || len(bad.Problems) != 5 {
		t.Fatalf("%v", err)
	}
	for i := 1; i < len(bad.Problems); i++ {
		if bad.Problems[i].Line < bad.Problems[i-1].Line {
			t.Fatalf("out of order: %v", err)
		}
	}
}
