package policy

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write what is said now")

type mistake struct {
	Policy string
	Says   []string `yaml:",omitempty"`
}

// The texts and places of mistakes stay as they are.
func TestGoldenMistakes(t *testing.T) {
	const file = "testdata/mistakes.yaml"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []mistake
	if err := yaml.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for i, m := range all {
		p, err := Load("p", []byte(m.Policy))
		if p != nil && err != nil {
			t.Error("a policy with mistakes was loaded")
		}
		var says []string
		if err != nil {
			says = strings.Split(err.Error(), "\n")
		}
		if !slices.Equal(says, m.Says) && !*update {
			t.Errorf("%s\nsays:\n%s\nexpected:\n%s", m.Policy, strings.Join(says, "\n"), strings.Join(m.Says, "\n"))
		}
		all[i].Says = says
	}
	if *update {
		head, _, _ := bytes.Cut(data, []byte("- policy"))
		text, err := yaml.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(head, text...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
