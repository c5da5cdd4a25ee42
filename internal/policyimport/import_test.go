package policyimport

import (
	"flag"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/stepgate/stepgate/internal/userimport"
	"github.com/stepgate/stepgate/policy"
)

var update = flag.Bool("update", false, "write what is imported now")

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

var people = map[string]string{"john": "john@example.com", "fred": "fred@example.com", "adam": "adam@example.com"}

// decided is what a policy makes of the same request and visitor.
func decided(p *policy.Policy, method, rawURL string, ip netip.Addr, v *visitor) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		panic(err)
	}
	r := &policy.Request{Method: method, Host: strings.ToLower(u.Hostname()), Path: u.Path, RawQuery: u.RawQuery, ClientIP: ip}
	var s *policy.Subject
	if v.factors > 0 {
		s = &policy.Subject{ID: "id-" + v.name, Email: v.email, Groups: v.groups, StartedAt: noon}
		for _, name := range []string{"password", "totp"}[:v.factors] {
			s.Factors = append(s.Factors, policy.Factor{Name: name, At: noon})
		}
	}
	d := p.Decide(r, s, noon)
	return d.Outcome().String()
}

// row is one line of requests: METHOD URL [from ADDRESS] | VISITOR | what happened | what
// happens now, where that is something else. A visitor is nobody, or NAME, groups, and “with 2
// factors” (else one).
type row struct {
	method, url string
	ip          netip.Addr
	visitor     visitor
	was, now    string
}

func readRow(t *testing.T, line string) row {
	t.Helper()
	parts := strings.Split(line, "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	if len(parts) < 3 {
		t.Fatalf("bad row %q", line)
	}
	words := strings.Fields(parts[0])
	r := row{method: words[0], url: words[1], was: parts[2], now: parts[2], ip: netip.MustParseAddr("203.0.113.1")}
	if len(words) == 4 {
		r.ip = netip.MustParseAddr(words[3])
	}
	if len(parts) > 3 {
		r.now = parts[3]
	}
	if parts[1] != "nobody" {
		who, two := strings.CutSuffix(parts[1], " with 2 factors")
		words := strings.Fields(who)
		r.visitor = visitor{name: words[0], email: words[0], groups: words[1:], factors: 1}
		if email, ok := people[words[0]]; ok {
			r.visitor.email = email
		}
		if two {
			r.visitor.factors = 2
		}
	}
	return r
}

// Each file of testdata has a configuration, the policy made of it, what differs, and requests
// with what the other gateway does according to its documentation.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	rows := 0
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := make(map[string]string)
			for _, f := range archive.Files {
				parts[f.Name] = string(f.Data)
			}
			var result Result
			var config *autheliaConfig
			if text, ok := parts["configuration.yml"]; ok {
				users := map[string]string(nil)
				if parts["users.yml"] != "" {
					users = make(map[string]string)
					people, err := userimport.Read(userimport.FormatAuthelia, "users.yml", []byte(parts["users.yml"]))
					if err != nil {
						t.Fatal(err)
					}
					for _, p := range people {
						users[p.Login] = p.Email
					}
				}
				if config, err = readAuthelia("configuration.yml", []byte(text)); err != nil {
					t.Fatal(err)
				}
				result, err = Authelia("configuration.yml", []byte(text), users)
			} else {
				result, err = OAuth2Proxy("oauth2-proxy.cfg", []byte(parts["oauth2-proxy.cfg"]), func(path string) ([]byte, error) {
					if text, ok := parts[path]; ok {
						return []byte(text), nil
					}
					return nil, os.ErrNotExist
				})
			}
			if err != nil {
				t.Fatal(err)
			}
			differs := strings.Join(append(result.Differs, ""), "\n")
			if *update {
				for i := range archive.Files {
					switch archive.Files[i].Name {
					case "policy.yaml":
						archive.Files[i].Data = []byte(result.Policy)
					case "differs":
						archive.Files[i].Data = []byte(differs)
					}
				}
				if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if parts["policy.yaml"] != result.Policy || parts["differs"] != differs {
				t.Errorf("made\n%s\ndiffers:\n%s", result.Policy, differs)
			}
			p, err := policy.Load("policy.yaml", []byte(result.Policy))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(parts["requests"]) {
				if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
					continue
				}
				rows++
				r := readRow(t, line)
				if config != nil {
					if got := config.decide(r.method, r.url, r.ip, &r.visitor); got != r.was {
						t.Errorf("%s\n\tthe model of the other gateway says %s", line, got)
					}
				}
				if got := decided(p, r.method, r.url, r.ip, &r.visitor); got != r.now {
					t.Errorf("%s\n\tthe policy says %s", line, got)
				}
				if r.now != r.was && len(result.Differs) == 0 {
					t.Errorf("%s\n\tdiffers, and nothing says so", line)
				}
			}
		})
	}
	if rows < 100 {
		t.Errorf("only %d requests", rows)
	}
}
