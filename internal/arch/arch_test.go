// Package arch holds the import table of the project: which package may know which.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/stepgate/stepgate/"

// allowed says what each package may import of the project. A package that is not named may
// not exist; "…" stands for anything.
var allowed = map[string][]string{
	"policy":                        {},
	"ui":                            {},
	"factors":                       {},
	"factors/password":              {"factors"},
	"factors/totp":                  {"factors"},
	"factors/otp":                   {"factors"},
	"factors/recovery":              {"factors"},
	"factors/webauthn":              {"factors"},
	"factors/webauthn/webauthntest": {},
	"factors/magiclink":             {"factors"},
	"factors/oauth":                 {"factors"},
	"factors/oauth/oidctest":        {},
	"factors/wallet":                {"factors"},
	"internal/store":                {},
	"internal/store/boltstore":      {"internal/store"},
	"internal/store/storetest":      {"internal/store", "internal/store/boltstore"},
	"internal/held":                 {"internal/store"},
	"internal/audit":                {"internal/store"},
	"internal/problem":              {},
	"internal/decisions":            {"policy"},
	"internal/policyimport":         {"policy"},
	"internal/userimport":           {},
	"internal/delivery":             {"internal/store"},
	"internal/session":              {"internal/store", "policy", "factors"},
	"internal/account":              {"internal/store", "policy", "factors", "factors/password", "factors/totp", "factors/recovery", "factors/webauthn"},
	"internal/visit":                {"internal/session"},
	"internal/flow":                 {"internal/account", "internal/session", "internal/store", "internal/delivery", "internal/audit", "policy", "factors", "factors/password", "factors/totp", "factors/otp", "factors/recovery", "factors/webauthn", "factors/magiclink", "factors/oauth", "factors/wallet"},
	"internal/portal":               {"internal/audit", "internal/decisions", "internal/flow", "internal/held", "internal/account", "internal/session", "internal/delivery", "internal/problem", "internal/visit", "policy", "factors", "ui"},
	"internal/gate":                 {"internal/decisions", "internal/flow", "internal/held", "internal/session", "internal/store", "internal/problem", "internal/visit", "policy", "ui"},
	"caddymodule":                   {"…"},
	"cmd/stepgate":                  {"caddymodule", "cmd/stepgate/demo"},
	"cmd/stepgate/demo":             {},
	"internal/arch":                 {},
	"internal/e2e":                  {"internal/browsertest"},
	"internal/browsertest":          {},
}

// caddy may be known by these only.
var caddy = []string{"caddymodule", "cmd/stepgate", "cmd/stepgate/demo"}

func TestImports(t *testing.T) {
	root := filepath.Join("..", "..")
	found := make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		may, known := allowed[name]
		if !known {
			t.Errorf("%s: package %q is not in the import table", path, name)
			return nil
		}
		found[name] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			what, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if strings.HasPrefix(what, "github.com/caddyserver/") && !slices.Contains(caddy, name) {
				t.Errorf("%s knows Caddy", path)
			}
			if what == "math/rand" || what == "math/rand/v2" && name != "internal/delivery" { // which spreads load by it
				t.Errorf("%s imports %s", path, what)
			}
			ours, ok := strings.CutPrefix(what, module)
			if ok && !slices.Contains(may, ours) && !slices.Contains(may, "…") {
				t.Errorf("%s: %s may not import %s", path, name, ours)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range allowed {
		if !found[name] && name != "internal/arch" && name != "internal/e2e" {
			t.Errorf("the table names %q, which does not exist", name)
		}
	}
}

// Sessions are made and upgraded at one place only.
func TestOneDoorToASession(t *testing.T) {
	doors := map[string]string{".sessions.Start(": "internal/flow/addproof.go", ".sessions.Upgrade(": "internal/flow/addproof.go"}
	for call, where := range doors {
		for _, path := range callers(t, call) {
			if path != where {
				t.Errorf("%s is called in %s", call, path)
			}
		}
	}
}
