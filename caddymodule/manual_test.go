package caddymodule

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// docs/configuration.md says what the comments of the modules and of their fields say.
func TestManualOfTheConfiguration(t *testing.T) {
	const file = "../docs/configuration.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	intro, _, found := strings.Cut(string(text), manualBegins)
	if !found {
		t.Fatalf("%s has no line %q", file, manualBegins)
	}
	c := readComments(t)
	now := intro + manualBegins
	for _, m := range ownModules() {
		now += c.section(t, m)
	}
	if *update {
		if err := os.WriteFile(file, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if now != string(text) {
		t.Error("the manual is out of date: go test ./caddymodule -run Manual -update")
	}
}

// The syntax that the manual shows has the options that the Caddyfile takes, and no other.
func TestManualShowsEveryOption(t *testing.T) {
	c := readComments(t)
	const unknown = "no_such_option"
	blocks := 0
	for _, m := range ownModules() {
		syntax, _ := c.syntax(m)
		shown := optionsOf(syntax)
		if len(shown) == 0 {
			continue
		}
		blocks++
		input := caddyfile.NewTestDispenser(exampleOf(syntax) + " {\n" + unknown + "\n}")
		var err error
		if m.ID == "stepgate" {
			_, err = parseGlobal(input, nil)
		} else {
			err = m.New().(caddyfile.Unmarshaler).UnmarshalCaddyfile(input)
		}
		if err == nil || !strings.Contains(err.Error(), unknown) {
			t.Errorf("%s: an unknown option is answered with %v", m.ID, err)
			continue
		}
		_, list, _ := strings.Cut(err.Error(), "; expected ")
		list, _, _ = strings.Cut(list, " at ")
		list, _, _ = strings.Cut(list, ", at ")
		taken := strings.FieldsFunc(strings.ReplaceAll(list, " or ", ", "), func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(taken)
		if !slices.Equal(shown, taken) {
			t.Errorf("%s: the manual shows %v, the Caddyfile takes %v", m.ID, shown, taken)
		}
	}
	if blocks < 10 {
		t.Errorf("only %d modules have options", blocks)
	}
}

const manualBegins = "<!-- From here on: go test ./caddymodule -run Manual -update -->\n"

// namespaces are those of our modules, in the order of the manual, with what people call them.
var namespaces = []struct{ prefix, title string }{
	{"stepgate", "Global option"},
	{"http.handlers.stepgate", "Directive"},
	{"http.matchers.stepgate", "Request matcher"},
	{"stepgate.stores.", "Store"},
	{"stepgate.senders.", "Sender"},
	{"stepgate.factors.", "Factor"},
}

func ownModules() []caddy.ModuleInfo {
	var out []caddy.ModuleInfo
	for _, n := range namespaces {
		for _, id := range caddy.Modules() {
			if id == n.prefix || strings.HasSuffix(n.prefix, ".") && strings.HasPrefix(id, n.prefix) {
				m, err := caddy.GetModule(id)
				if err != nil {
					panic(err)
				}
				out = append(out, m)
			}
		}
	}
	return out
}

func titleOf(id caddy.ModuleID) string {
	for _, n := range namespaces {
		if string(id) == n.prefix || strings.HasSuffix(n.prefix, ".") && strings.HasPrefix(string(id), n.prefix) {
			return fmt.Sprintf("%s `%s`", n.title, id.Name())
		}
	}
	return string(id)
}

// section is what the manual says of one module.
func (c comments) section(t *testing.T, m caddy.ModuleInfo) string {
	of := reflect.TypeOf(m.New()).Elem()
	about := c[of.Name()]
	if about == "" {
		t.Errorf("%s has no comment", of)
	}
	about = strings.Replace(about, of.Name()+" ", "`"+m.ID.Name()+"` ", 1)
	out := "\n## " + titleOf(m.ID) + "\n\n" + plain(about)
	if page := "factors/" + m.ID.Name() + ".md"; exists("../docs/" + page) {
		out += "\nMore in [" + page + "](" + page + ").\n"
	}
	syntax, remarks := c.syntax(m)
	if syntax == "" {
		t.Errorf("%s: its comment shows no syntax", m.ID)
	}
	out += "\n```\n" + syntax + "```\n" + plain(remarks)
	if rows := c.rows(t, of, ""); rows != "" {
		out += "\nIn JSON, `" + string(m.ID) + "`:\n\n| field | type | meaning | default |\n|---|---|---|---|\n" + rows
	}
	return out
}

// syntax is what the comment of whatever reads the Caddyfile shows, and what it says after that.
func (c comments) syntax(m caddy.ModuleInfo) (syntax, remarks string) {
	of := reflect.TypeOf(m.New()).Elem()
	reader := of.Name() + ".UnmarshalCaddyfile"
	switch m.ID {
	case "stepgate":
		reader = "parseGlobal"
	case "http.handlers.stepgate":
		reader = "parseDirective"
	}
	if c[reader] == "" && of.NumField() > 0 && of.Field(0).Anonymous {
		reader = of.Field(0).Type.Name() + ".UnmarshalCaddyfile"
	}
	_, rest, _ := strings.Cut(c[reader], "Syntax:\n\n")
	rest = strings.ReplaceAll(rest, "webauthn|passkey", m.ID.Name())
	read := 0
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "\t") {
			break
		}
		syntax += line[1:]
		read += len(line)
	}
	return syntax, rest[read:]
}

// rows describe the fields of a struct, each with all that lead to it.
func (c comments) rows(t *testing.T, of reflect.Type, path string) string {
	var out string
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Anonymous {
			out += c.rows(t, f.Type, path)
			continue
		}
		key, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "" {
			continue
		}
		meaning, standard, optional := strings.Cut(c[of.Name()+"."+f.Name], "Default: ")
		if meaning == "" {
			t.Errorf("%s.%s has no comment", of, f.Name)
		}
		inner, list := structOf(f.Type)
		if strings.Contains(rest, "omitempty") && !optional {
			t.Errorf("the comment of %s.%s does not end with its default", of, f.Name)
		}
		if standard = strings.TrimSuffix(cell(of, standard), "."); !strings.Contains(rest, "omit") {
			standard = "required"
		}
		meaning = strings.Replace(meaning, f.Name+" ", "`"+key+"` ", 1)
		out += fmt.Sprintf("| `%s` | %s | %s | %s |\n", path+key, typeOf(f), cell(of, meaning), standard)
		if inner != nil {
			if list {
				key += "[]"
			}
			out += c.rows(t, inner, path+key+".")
		}
	}
	return out
}

// structOf is the struct of this package that a field holds, and whether it holds a list of them.
func structOf(of reflect.Type) (inner reflect.Type, list bool) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		list = list || of.Kind() == reflect.Slice
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of.PkgPath() != reflect.TypeFor[App]().PkgPath() {
		return nil, false
	}
	return of, list
}

func typeOf(f reflect.StructField) string {
	of := f.Type
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	switch tag := f.Tag.Get("caddy"); {
	case of == reflect.TypeFor[caddy.ModuleMap]():
		return "object, by name"
	case tag != "":
		_, key, _ := strings.Cut(tag, "inline_key=")
		return "object with `" + key + "`"
	case of == reflect.TypeFor[caddy.Duration]():
		return "duration"
	}
	switch of.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Uint32:
		return "number"
	case reflect.Slice:
		if of.Elem().Kind() == reflect.String {
			return "list of texts"
		}
		return "list of objects"
	}
	return "object"
}

var placeholderKinds = regexp.MustCompile(`\{(file|env)\.\*\}`)

// plain makes Markdown of a comment.
func plain(text string) string { return placeholderKinds.ReplaceAllString(text, "`$0`") }

// cell makes one line of a comment, and says fields as JSON does.
func cell(of reflect.Type, text string) string {
	text = strings.Join(strings.Fields(plain(text)), " ")
	for i := range of.NumField() {
		f := of.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key != "" && strings.IndexFunc(f.Name[1:], unicode.IsUpper) >= 0 {
			text = regexp.MustCompile(`(^| )`+f.Name+`\b`).ReplaceAllString(text, "${1}`"+key+"`")
		}
	}
	return strings.ReplaceAll(text, "|", `\|`)
}

// optionsOf lists the options of the block of a syntax.
func optionsOf(syntax string) []string {
	var out []string
	for line := range strings.Lines(syntax) {
		if strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "\t\t") && !strings.HasPrefix(line, "\t}") {
			out = append(out, strings.Fields(line)[0])
		}
	}
	slices.Sort(out)
	return out
}

// exampleOf makes a directive of the first line of a syntax: without what is optional.
func exampleOf(syntax string) string {
	first, _, _ := strings.Cut(syntax, "\n")
	first = regexp.MustCompile(`\[.*?\](\.\.\.)?|\{`).ReplaceAllString(first, "")
	words := strings.Fields(first)
	for i, w := range words {
		words[i], _, _ = strings.Cut(w, "|")
		words[i] = strings.Trim(words[i], "<>.")
	}
	return strings.Join(words, " ")
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
