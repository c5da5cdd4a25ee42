package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/policy"
)

var update = flag.Bool("update", false, "write what the commands of the documentation print now")

// The documents whose every example is tried. A fenced block is
//
//	yaml             a policy or a part of one (see whole), or cases for the policy before
//	yaml invalid     a policy that the loader refuses; what it says is the text block behind it
//	yaml file=NAME   the same as yaml, and a file for the commands below; other kinds of block too
//	yaml other       a file of another program
//	caddyfile        a whole configuration that can be adapted
//	console          commands behind “$ ” and what they print
var documents = []string{"../README.md", "policy.md", "guides/from-authelia.md", "guides/from-oauth2-proxy.md", "factors/webauthn.md"}

// TestDocumentation tries every example.
func TestDocumentation(t *testing.T) {
	for _, name := range documents {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("..", "..", "docs", name)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			d := document{t: t, dir: t.TempDir()}
			now := d.run(string(text))
			if *update && now != string(text) {
				if err := os.WriteFile(path, []byte(now), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if d.blocks == 0 {
				t.Error("no examples")
			}
		})
	}
}

type document struct {
	t   *testing.T
	dir string
	// policy is the last one shown, said what was said of the last invalid one.
	policy, said string
	status       int
	blocks       int
}

var fenced = regexp.MustCompile("(?ms)^```([a-z]+)([^\n]*)\n(.*?)^```$")

// run tries the blocks in order and returns the text with what was printed.
func (d *document) run(text string) string {
	out := text
	for _, m := range fenced.FindAllStringSubmatchIndex(text, -1) {
		kind, words, body := text[m[2]:m[3]], strings.Fields(text[m[4]:m[5]]), text[m[6]:m[7]]
		line := strings.Count(text[:m[0]], "\n") + 1
		d.blocks++
		invalid := false
		for _, w := range words {
			file, ok := strings.CutPrefix(w, "file=")
			switch {
			case ok:
				d.write(file, body)
			case w == "invalid":
				invalid = true
			case w == "other":
				kind = "other"
			default:
				d.t.Fatalf("line %d: unknown word %q", line, w)
			}
		}
		switch kind {
		case "yaml":
			d.yaml(line, body, invalid)
		case "caddyfile":
			d.write("example.Caddyfile", body)
			if got := d.command("stepgate adapt --adapter caddyfile --config example.Caddyfile > adapted.json"); d.status != 0 {
				d.t.Errorf("line %d: %s", line, got)
			}
		case "text":
			if !strings.Contains(d.said, strings.TrimSpace(body)) {
				d.t.Errorf("line %d: the loader says\n%s", line, d.said)
			}
		case "console":
			if got := d.console(body); got != body {
				if !*update {
					d.t.Errorf("line %d: expected\n%s\ngot\n%s", line, body, got)
				}
				out = strings.Replace(out, body, got, 1)
			}
		case "other", "toml", "json":
		default:
			d.t.Errorf("line %d: nobody tries %q", line, kind)
		}
	}
	return out
}

func (d *document) write(name, text string) {
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// whole makes a policy of a part.
func whole(body string) string {
	if strings.HasPrefix(body, "- ") || strings.Contains(body, "\n- ") && !strings.Contains(body, "\nrules:") && !strings.HasPrefix(body, "rules:") {
		body = "rules:\n" + body
	}
	head := ""
	if !strings.Contains("\n"+body, "\nversion:") {
		head = "version: 1\n"
	}
	if !strings.Contains("\n"+body, "\ndefault:") {
		body += "default: {require: signed_in}\n"
	}
	return head + body
}

func (d *document) yaml(line int, body string, invalid bool) {
	isCases := strings.Contains("\n"+body, "\ncases:")
	switch {
	case isCases:
		d.write("shown.policy.yaml", d.policy)
		d.write("shown.cases.yaml", body)
		if got := d.command("stepgate policy test shown.policy.yaml shown.cases.yaml"); d.status != 0 {
			d.t.Errorf("line %d: %s", line, got)
		}
	default:
		d.policy = whole(body)
		if invalid {
			d.policy = body
		}
		d.said = "fine"
		_, err := policy.Load("policy.yaml", []byte(d.policy))
		if err != nil {
			d.said = err.Error()
		}
		if (err != nil) != invalid {
			d.t.Errorf("line %d: the loader says: %s", line, d.said)
		}
	}
}

// console runs each command and puts what it prints behind it.
func (d *document) console(body string) string {
	var out strings.Builder
	command := ""
	for line := range strings.Lines(body) {
		text, first := strings.CutPrefix(line, "$ ")
		switch {
		case first:
			command = text
		case strings.HasSuffix(command, "\\\n"):
			command += line
		default:
			continue
		}
		out.WriteString(line)
		if !strings.HasSuffix(command, "\\\n") {
			out.WriteString(d.command(command))
		}
	}
	return out.String()
}

// command runs one in the directory of the document; “$?” is the status of the one before.
func (d *document) command(text string) string {
	c := exec.CommandContext(d.t.Context(), "sh", "-c", fmt.Sprintf("(exit %d)\n%s", d.status, text))
	c.Dir = d.dir
	c.Env = append(os.Environ(), "HOME="+d.dir, "XDG_DATA_HOME="+d.dir, "XDG_CONFIG_HOME="+d.dir, "NO_COLOR=1")
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	var exit *exec.ExitError
	switch d.status = 0; {
	case errors.As(err, &exit):
		d.status = exit.ExitCode()
	case err != nil:
		d.t.Fatal(err)
	}
	out := b.String()
	if out != "" && !strings.HasSuffix(out, "\n") {
		out += "\n"
	}
	return out
}
