package policyimport

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"github.com/stepgate/stepgate/policy"
)

var (
	someDomains   = []string{"a.test", "*.a.test", "b.a.test", "*.test", "{user}.a.test", "{group}.a.test", "not a host"}
	someRegexes   = []string{`^b\.`, `a\.test$`, `^(?P<User>\w+)\.a\.test$`, `^(?P<Group>\w+)\.a\.test$`}
	someMethods   = []string{"GET", "post", "OPTIONS"}
	someNetworks  = []string{"10.0.0.0/8", "203.0.113.1", "office", "unknown", "10.1.2.3/16"}
	someSubjects  = []string{"user:john", "user:stranger", "group:g", "group:h", "[group:g, user:john]", "[group:g, group:h]", "[user:stranger, group:h]", "oauth2:client:x"}
	someResources = []string{`^/p`, `^/p$`, `^/p/.*$`, `^/p/.*`, `/p`, `p$`, `^/p([/?].*)?$`, `^/(p|q)(/|$)`, `^/p|q$`, `^z|q.*$`, `^/p\?k=v$`, `^/p/[^q]+$`, `^/P`, `(?i)^/p`, `^(?i)/q$`, `^/p/?$`, `^/.*\.css$`, `^/(?P<User>\w+)/`}
	someQueries   = []string{"{key: k}", "{key: k, value: v}", "{operator: absent, key: k}", "{operator: not equal, key: k, value: v}", "{operator: pattern, key: k, value: '^v'}", "{operator: not pattern, key: k, value: '^$'}", "{operator: equal, key: k, value: ''}", "{operator: odd, key: k}"}
	somePolicies  = []string{"bypass", "one_factor", "two_factor", "deny"}

	askedHosts    = []string{"a.test", "b.a.test", "john.a.test", "g.a.test", "c.test", "else.example"}
	askedTargets  = []string{"/", "/p", "/p/", "/p/x", "/p/q.css", "/P", "/q", "/Q", "/john/x", "/p?k=v", "/p?k", "/p/x?k=v", "/z?x=/p", "/z?p", "/z?x=q", "/q?k=w", "/p?k=v&k=w", "/p/x?y=.css", "/pq"}
	askedMethods  = []string{"GET", "POST", "OPTIONS"}
	askedAdresses = []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("10.1.9.9"), netip.MustParseAddr("10.200.0.1"), netip.MustParseAddr("192.0.2.9")}
	askedVisitors = []visitor{
		{}, {name: "john", email: "john@example.com", factors: 1}, {name: "john", email: "john@example.com", factors: 2, groups: []string{"g"}},
		{name: "stranger", email: "s@example.com", factors: 2}, {name: "stranger", email: "s@example.com", factors: 1, groups: []string{"h", "g"}},
	}
)

// drawn is a random list of a key, or nothing.
func drawn(t *rapid.T, key string, from []string, quoted bool) string {
	n := rapid.IntRange(-1, 2).Draw(t, key)
	if n < 1 {
		return ""
	}
	list := make([]string, n)
	for i := range list {
		list[i] = rapid.SampledFrom(from).Draw(t, key)
		if quoted {
			list[i] = "'" + strings.ReplaceAll(list[i], "'", "''") + "'"
		}
	}
	return fmt.Sprintf("      %s: [%s]\n", key, strings.Join(list, ", "))
}

// A policy decides as Authelia does where nothing is said to differ, and never lets anybody in
// whom Authelia does not.
func TestImportedPoliciesOpenNothing(t *testing.T) {
	same, strict := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text := "definitions: {network: {office: [192.0.2.0/24]}}\naccess_control:\n  default_policy: " + rapid.SampledFrom(somePolicies).Draw(t, "default") + "\n  rules:\n"
		for range rapid.IntRange(1, 4).Draw(t, "rules") {
			text += "    - policy: " + rapid.SampledFrom(somePolicies).Draw(t, "policy") + "\n" +
				drawn(t, "domain", someDomains, true) + drawn(t, "domain_regex", someRegexes, true) + drawn(t, "methods", someMethods, true) +
				drawn(t, "networks", someNetworks, true) + drawn(t, "subject", someSubjects, false) + drawn(t, "resources", someResources, true) +
				drawn(t, "query", someQueries, false)
		}
		config, err := readAuthelia("c", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		result, err := Authelia("c", []byte(text), people)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		p, err := policy.Load("p", []byte(result.Policy))
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Differs) == 0 {
			same++
		} else {
			strict++
		}
		method := rapid.SampledFrom(askedMethods).Draw(t, "method")
		ip := rapid.SampledFrom(askedAdresses).Draw(t, "address")
		for _, host := range askedHosts {
			for _, target := range askedTargets {
				for i := range askedVisitors {
					v := &askedVisitors[i]
					was := config.decide(method, "https://"+host+target, ip, v)
					now := decided(p, method, "https://"+host+target, ip, v)
					if was != now && (len(result.Differs) == 0 || now == "allow") {
						t.Fatalf("%s https://%s%s from %s by %+v: was %s, is %s\n%s\n%s", method, host, target, ip, *v, was, now, text, result.Policy)
					}
				}
			}
		}
	})
	if same == 0 || strict == 0 {
		t.Errorf("%d alike, %d stricter", same, strict)
	}
}

func corpus(f *testing.F, name string) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range archive.Files {
			if part.Name == name {
				f.Add(part.Data)
			}
		}
	}
}

// whatever is imported loads; whatever is not is an ErrInput.
func loads(t *testing.T, r Result, err error) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, ErrInput) {
			t.Fatal(err)
		}
		return
	}
	if _, err := policy.Load("p", []byte(r.Policy)); err != nil {
		t.Fatal(err)
	}
}

func FuzzAuthelia(f *testing.F) {
	corpus(f, "configuration.yml")
	f.Add([]byte("a: &a [1]\nb: &b [*a, *a]\naccess_control: {rules: [*b, *b]}"))
	f.Add([]byte("access_control: {rules: [{domain: \"a\\n# b\", resources: \"\\n\", policy: bypass}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Authelia("c", data, people)
		loads(t, r, err)
	})
}

func FuzzOAuth2Proxy(f *testing.F) {
	corpus(f, "oauth2-proxy.cfg")
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := OAuth2Proxy("c", data, func(string) ([]byte, error) { return []byte("a@x.test\n\x00,\n"), nil })
		loads(t, r, err)
	})
}

// Files that are too much are refused, and quickly.
func TestHostileFiles(t *testing.T) {
	bomb := "a0: &a0 [x]\n"
	for i := range 30 {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	for name, text := range map[string]string{
		"large":          strings.Repeat("#", MaxFile+1),
		"aliases":        bomb + "access_control: {rules: [{domain: a.test, policy: deny, subject: *a30, query: *a30}]}",
		"many rules":     "access_control: {rules: [" + strings.Repeat("{domain: [a.test, a.test]},", maxEntries) + "]}",
		"rules are text": "access_control: {rules: all}",
		"empty":          "",
		"no section":     "server: {}",
		"self":           "access_control: &a {rules: [*a]}",
	} {
		if _, err := Authelia("c", []byte(text), nil); name != "self" && !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"large": strings.Repeat("#", MaxFile+1), "no TOML": "a", "numbers": "email_domains = [1]", "a number": "github_org = 5", "tables": "[trusted_ips]\na = 1",
	} {
		if _, err := OAuth2Proxy("c", []byte(text), os.ReadFile); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
