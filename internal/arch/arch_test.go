package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/stepgate/stepgate/"

// table says which packages of this module a package may import. A "*" at the end stands for
// every package below. The most specific entry holds.
var table = map[string][]string{
	"policy":                   {},
	"ui":                       {},
	"factors":                  {},
	"factors/*":                {"factors", "policy"},
	"internal/arch":            {},
	"internal/audit":           {},
	"internal/problem":         {},
	"internal/store":           {},
	"internal/store/*":         {"internal/store", "internal/store/*"},
	"internal/delivery":        {"internal/store"},
	"internal/delivery/*":      {"internal/store", "internal/delivery"},
	"internal/session":         {"internal/store", "policy", "factors"},
	"internal/visit":           {"internal/session"},
	"internal/account":         {"internal/store", "policy", "factors", "factors/*"},
	"internal/flow":            {"internal/account", "internal/session", "factors", "factors/*", "policy", "internal/store", "internal/delivery", "internal/audit"},
	"internal/portal":          {"internal/flow", "internal/account", "internal/session", "internal/visit", "internal/problem", "policy", "factors", "ui", "internal/delivery", "internal/store"},
	"internal/gate":            {"policy", "internal/session", "internal/flow", "internal/store", "internal/visit", "internal/problem", "ui"},
	"internal/e2e":             {},
	"caddymodule":              {"*"},
	"caddymodule/*":            {"*"},
	"cmd/stepgate":             {"caddymodule", "cmd/stepgate/demo"},
	"cmd/stepgate/demo":        {"caddymodule"},
	"bench":                    {"*"},
	"bench/*":                  {"*"},
	"examples/*":               {},
	"internal/store/boltstore": {"internal/store"},
}

// foreign says which packages may import what others write. Each library that shapes a design
// or draws an attack stays behind the one package that wraps it.
var foreign = map[string][]string{
	"github.com/caddyserver/":      {"caddymodule", "caddymodule/*", "cmd/*", "bench", "bench/*"},
	"go.etcd.io/bbolt":             {"internal/store/boltstore"},
	"github.com/fxamacker/cbor":    {"internal/store", "internal/flow"},
	"github.com/wneessen/go-mail":  {"internal/delivery"},
	"github.com/go-jose/":          {"internal/gate"},
	"github.com/go-crypt/":         {"factors/password"},
	"github.com/pquerna/otp":       {"factors/totp"},
	"github.com/spf13/cobra":       {"caddymodule", "cmd/*"},
	"go.yaml.in/yaml":              {"policy"},
	"github.com/go-webauthn/":      {"factors/webauthn"},
	"github.com/nyaruka/":          {"internal/account"},
	"net/http/pprof":               {},
	"expvar":                       {},
	"unsafe":                       {},
	"github.com/gorilla/csrf":      {},
	"github.com/boombuler/barcode": {"factors/totp", "ui"},
}

// pure packages touch neither files nor network.
var pure = map[string][]string{
	"policy": {"os", "net", "net/http", "math/rand", "math/rand/v2", "crypto/rand", "io/ioutil"},
	"ui":     {"os", "net", "math/rand", "math/rand/v2"},
}

// packages lists the imports of each package's own code, without its tests.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]string)
	err = filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		if out[dir] == nil {
			out[dir] = []string{}
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if !slices.Contains(out[dir], name) {
				out[dir] = append(out[dir], name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// covers tells whether a pattern of the tables stands for a package.
func covers(pattern, pkg string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(pkg, prefix)
	}
	return pattern == pkg
}

// allowed finds the most specific entry for a package.
func allowed(pkg string) (list []string, ok bool) {
	if list, ok = table[pkg]; ok {
		return list, true
	}
	for dir := path.Dir(pkg); dir != "."; dir = path.Dir(dir) {
		if list, ok = table[dir+"/*"]; ok {
			return list, true
		}
	}
	return nil, false
}

func oneOf(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return covers(p, pkg) })
}

func TestImportsPointDownward(t *testing.T) {
	for pkg, imports := range packages(t) {
		list, known := allowed(pkg)
		if !known {
			t.Errorf("%s is not in the table: say which packages it may import", pkg)
			continue
		}
		for _, name := range imports {
			if own, ok := strings.CutPrefix(name, module); ok && !oneOf(list, own) {
				t.Errorf("%s imports %s, which it may not: %v", pkg, own, list)
			}
		}
	}
}

func TestLibrariesStayBehindOnePackage(t *testing.T) {
	for pkg, imports := range packages(t) {
		for _, name := range imports {
			for library, users := range foreign {
				if strings.HasPrefix(name+"/", strings.TrimSuffix(library, "/")+"/") && !oneOf(users, pkg) {
					t.Errorf("%s imports %s; only %v may", pkg, name, users)
				}
			}
		}
	}
}

func TestPurePackagesTouchNothing(t *testing.T) {
	all := packages(t)
	for pkg, banned := range pure {
		for _, name := range all[pkg] {
			if slices.Contains(banned, name) {
				t.Errorf("%s imports %s and would no longer be a function of its arguments", pkg, name)
			}
		}
	}
}

func TestTheTableHasNoLooseEnds(t *testing.T) {
	all := packages(t)
	for pkg := range table {
		if strings.HasSuffix(pkg, "*") || strings.HasPrefix(pkg, "bench") || pkg == "internal/e2e" {
			continue
		}
		if _, ok := all[pkg]; !ok {
			t.Errorf("the table names %s, which does not exist", pkg)
		}
	}
}
