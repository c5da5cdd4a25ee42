package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the files of expected results anew")

func adapt(t testing.TB, name, text string) ([]byte, error) {
	t.Helper()
	out, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": name})
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			t.Errorf("%s:%d: %s: %s", name, w.Line, w.Directive, w.Message)
		}
	}
	return out, err
}

// TestAdapt compares what Caddyfiles become with the files beside them.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.Caddyfile")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if formatted := caddyfile.Format(text); !bytes.Equal(formatted, text) {
				t.Errorf("not formatted:\n%s", cmp.Diff(string(formatted), string(text)))
			}
			raw, err := adapt(t, file, string(text))
			if err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, raw, "", "\t"); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			golden := strings.TrimSuffix(file, ".Caddyfile") + ".json"
			if *update {
				if err := os.WriteFile(golden, pretty.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
				t.Errorf("differs from %s:\n%s", golden, diff)
			}
		})
	}
}

// TestMistakes loads configurations with one mistake each. The first line says what the error
// must tell: for a mistake in the Caddyfile its file and line, for one in a policy file that
// file with line and column.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.Caddyfile")
	if err != nil || len(files) < 30 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			want, ok := strings.CutPrefix(first, "# want: ")
			if !ok {
				t.Fatal("the first line does not say what is wanted")
			}
			err = load(t, filepath.Base(file), string(text))
			if err == nil {
				t.Fatalf("it was loaded; wanted %q", want)
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error:  %v\nwanted: %s", err, want)
			}
		})
	}
}

// load does what “stepgate validate” does, in a directory of its own.
func load(t *testing.T, name, text string) error {
	t.Helper()
	policies, err := filepath.Abs("testdata/policy")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.CopyFS(".", os.DirFS(policies)); err != nil {
		t.Fatal(err)
	}
	raw, err := adapt(t, name, text)
	if err != nil {
		return err
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(raw, &config); err != nil {
		return err
	}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "PANIC"}}}}
	err = caddy.Validate(&config)
	if _, statErr := os.Stat("stepgate.db"); statErr == nil {
		t.Error("validation opened the store")
	}
	return err
}

// TestTheExampleIsValid keeps Caddyfile.example what an operator can start from.
func TestTheExampleIsValid(t *testing.T) {
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if formatted := caddyfile.Format(text); !bytes.Equal(formatted, text) {
		t.Errorf("not formatted:\n%s", cmp.Diff(string(formatted), string(text)))
	}
	raw, err := adapt(t, "Caddyfile.example", string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"{file./etc/stepgate/secret}", "{file./run/secrets/smtp}"} {
		if !bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%s was resolved while adapting", secret)
		}
	}
}

// FuzzCaddyfile feeds the parsers what no operator would write. They must not panic, an error
// must name a line, and what they accept must be configuration that loads strictly.
func FuzzCaddyfile(f *testing.F) {
	for _, pattern := range []string{"testdata/adapt/*.Caddyfile", "testdata/bad/*.Caddyfile"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Add("stepgate {\n\tstore bolt {\n\t\tx\n\t}\n}")
	f.Add("stepgate {\n\tfactors {\n\t\temail_otp {\n\t\t\tlife 5m\n\t\t}\n\t}\n}")
	f.Add("stepgate policy.yaml {\n\trequire password totp within 5m\n}")
	f.Add("stepgate {\n\tmail smtp a:1 {\n\t\tfrom \"a <b@c>\"\n\t}\n\tsession {\n\t\tidle 1h\n\t}\n}")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "fuzz")
		if err != nil || len(tokens) == 0 {
			return
		}
		value, err := parseGlobal(caddyfile.NewDispenser(tokens), nil)
		if err == nil {
			raw := caddyconfig.JSON(value, nil)
			var wrapped struct {
				Name  string
				Value json.RawMessage
			}
			if err := json.Unmarshal(raw, &wrapped); err != nil {
				t.Fatal(err)
			}
			if err := caddy.StrictUnmarshalJSON(wrapped.Value, new(App)); err != nil {
				t.Fatalf("%s: %v", wrapped.Value, err)
			}
		} else if !strings.Contains(err.Error(), "fuzz:") {
			t.Errorf("no place in %q", err)
		}
		h := new(Handler)
		if err := h.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err == nil {
			if err := caddy.StrictUnmarshalJSON(caddyconfig.JSON(h, nil), new(Handler)); err != nil {
				t.Fatal(err)
			}
		} else if !strings.Contains(err.Error(), "fuzz:") {
			t.Errorf("no place in %q", err)
		}
	})
}
