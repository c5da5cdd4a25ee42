package policy

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

// The schemas that ship are those of the loader.
func TestSchemaFilesAreCurrent(t *testing.T) {
	for file, now := range map[string][]byte{"policy.schema.json": Schema(), "cases.schema.json": CasesSchema()} {
		if *update {
			if err := os.WriteFile(file, now, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if shipped, err := os.ReadFile(file); err != nil || !bytes.Equal(shipped, now) {
			t.Errorf("%s is out of date (%v): go test ./policy -run Schema -update", file, err)
		}
	}
}

func compileSchema(t testing.TB, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value is a file as an editor's validator sees it.
func value(n *node) any {
	switch n.kind {
	case listNode:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = value(item)
		}
		return out
	case mapNode:
		out := make(map[string]any)
		for i := 0; i+1 < len(n.items); i += 2 {
			out[n.items[i].text] = value(n.items[i+1])
		}
		return out
	}
	switch n.tag {
	case "!!null":
		return nil
	case "!!bool":
		return isTrue(n.text)
	case "!!int", "!!float":
		if json.Valid([]byte(n.text)) {
			return json.Number(n.text)
		}
	}
	return n.text
}

// judged is what the schema says of a text that is valid YAML.
func judged(s *jsonschema.Schema, text []byte) error {
	n, problem := parseYAML(text)
	if problem != nil {
		return &LoadError{Problems: []Problem{*problem}}
	}
	return s.Validate(value(n))
}

// corpus is every policy, and every file of cases, that the project has.
func corpus(t testing.TB) (policies, cases map[string][]byte) {
	t.Helper()
	policies, cases = make(map[string][]byte), make(map[string][]byte)
	for _, c := range chapters(t) {
		policies[c.About] = []byte(c.Policy)
	}
	for _, pattern := range []string{"../examples/*/*.yaml", "../cmd/stepgate/demo/*.yaml", "../cmd/stepgate/testdata/script/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: nothing there: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := []txtar.File{{Name: "", Data: text}}
			if filepath.Ext(file) == ".txtar" {
				parts = txtar.Parse(text).Files
			}
			for _, part := range parts {
				if _, err := Load(part.Name, part.Data); err == nil {
					policies[file+part.Name] = part.Data
				} else if _, err := LoadCases(part.Name, part.Data, noon); err == nil {
					cases[file+part.Name] = part.Data
				}
			}
		}
	}
	if len(policies) < 25 || len(cases) < 2 {
		t.Fatalf("only %d policies and %d files of cases", len(policies), len(cases))
	}
	return policies, cases
}

// Whatever the loader takes, the schema takes.
func TestSchemaTakesEveryPolicy(t *testing.T) {
	policies, cases := corpus(t)
	for _, one := range []struct {
		schema []byte
		files  map[string][]byte
	}{{Schema(), policies}, {CasesSchema(), cases}} {
		s := compileSchema(t, one.schema)
		for name, text := range one.files {
			if err := judged(s, text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// beyondSchema are beginnings or parts of what the loader says about mistakes that no schema
// sees: what connects two places of a file, what is written twice, and what needs more than a
// pattern to be understood.
var beyondSchema = []string{
	"was given on line", "is taken by the rule", "would be called", "refers to itself", "can never match", "second document", // two places
	"unknown requirement", "expected one of aal2", // names that the file itself defines
	"when: ",                                                              // expressions
	"not a regular expression",                                            // regular expressions
	"has host bits set",                                                   // arithmetic on addresses
	"is not a host name",                                                  // ports and the letters of labels
	"dot segment",                                                         // parts of a path
	"must be at least 1s", "must be from 1h to 90d", "a max_age under 1h", // arithmetic on durations
	"remember_device cannot stand", "cannot stand around", "can be met with one", // what stands below, by name
	"factor takes the name", // “factor: mfa” is refused by all branches, named by none
}

func seen(message string) bool {
	return !slices.ContainsFunc(beyondSchema, func(s string) bool { return strings.Contains(message, s) })
}

// Each mistake of shape is one for the schema too; what it does not see, beyondSchema lists.
func TestSchemaRefusesMistakes(t *testing.T) {
	s := compileSchema(t, Schema())
	refused := 0
	judge := func(name string, text []byte) {
		_, err := Load("p", text)
		says := judged(s, text)
		switch {
		case err == nil && says != nil:
			t.Errorf("%s: the loader takes it, the schema does not: %v", name, says)
		case err != nil && says == nil && slices.ContainsFunc(strings.Split(err.Error(), "\n"), seen):
			t.Errorf("%s: the schema takes it, the loader says %v\n%s", name, err, text)
		case err != nil && says != nil:
			refused++
		}
	}
	for _, c := range oneMistake {
		judge(c.name, []byte(c.text))
	}
	data, err := os.ReadFile("testdata/mistakes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all []mistake
	if err := yaml.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for i, m := range all {
		for j, part := range apart(t, m.Policy) {
			judge("mistakes.yaml, policy "+strconv.Itoa(i)+", part "+strconv.Itoa(j), part)
		}
	}
	if refused < 60 {
		t.Errorf("only %d mistakes are seen by both", refused)
	}
}

// apart makes of one policy one for each of its rules and floors.
func apart(t *testing.T, text string) [][]byte {
	t.Helper()
	n, problem := parseYAML([]byte(text))
	if problem != nil {
		t.Fatal(problem)
	}
	whole := value(n).(map[string]any)
	var out [][]byte
	for _, list := range []string{"rules", "minimum"} {
		items, _ := whole[list].([]any)
		for _, item := range items {
			part := map[string]any{list: []any{item}}
			for key, v := range whole {
				if key != "rules" && key != "minimum" {
					part[key] = v
				}
			}
			one, err := json.Marshal(part)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, one)
		}
	}
	return append(out, []byte(text))
}

// The mistakes of files of cases.
func TestSchemaRefusesCaseMistakes(t *testing.T) {
	s := compileSchema(t, CasesSchema())
	for _, text := range []string{
		"case: []", "cases: []", "cases: [x]", "cases: [{name: a, request: {url: 'https://a.test/'}}]",
		"cases: [{name: a, request: {url: 'https://a.test/'}, expect: maybe}]",
		"cases: [{name: a, request: {method: GET}, expect: allow}]",
		"cases: [{request: {url: 'https://a.test/'}, expect: allow}]",
		"cases: [{name: a, request: {url: 'https://a.test/'}, expect: allow, factors: [pin]}]",
		"cases: [{name: a, request: {url: 'https://a.test/'}, expect: allow, factors: totp}]",
		"cases: [{name: a, request: {url: 'https://a.test/'}, expect: allow, factors: [{factor: totp, age: 1}]}]",
		"cases: [{name: a, request: {url: 'https://a.test/'}, expect: allow, factors: [{factor: webauthn, user_verification: 'yes'}]}]",
		"cases: [{name: a, request: {url: 'https://a.test/'}, expect: allow, factors: [{factor: webauthn, recovery: false}]}]",
		"cases: [{name: a, request: {url: 'https://a.test/'}, expect: allow, factors: [{factor: webauthn, attachment: usb}]}]",
		"cases: [{name: a, request: {url: 'https://a.test/'}, expect: allow, remembered: 1d}]",
		"now: noon\ncases: [{name: a, request: {url: 'https://a.test/'}, expect: allow}]",
	} {
		if _, err := LoadCases("c", []byte(text), noon); err == nil {
			t.Errorf("%s: loaded", text)
		}
		if judged(s, []byte(text)) == nil {
			t.Errorf("%s: fits the schema", text)
		}
	}
}

// FuzzSchema looks for a policy that the loader takes and the schema does not.
func FuzzSchema(f *testing.F) {
	policies, _ := corpus(f)
	for _, text := range policies {
		f.Add(text)
	}
	s := compileSchema(f, Schema())
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := Load("p", text); err != nil {
			return
		}
		if err := judged(s, text); err != nil {
			t.Fatal(err)
		}
	})
}
