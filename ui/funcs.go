package ui

import (
	"errors"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"
)

// funcs are the functions of the templates.
var funcs = template.FuncMap{
	"args":             args,
	"icon":             icon,
	"problem":          problem,
	"problems":         problems,
	"problemsAtFields": func(v view) bool { return len(problems(v)) < len(form(v.M).Problems) },
	"nb":               together,
	"form":             form,
	"local":            localURL,
	"qr":               qrCode,
	"otpauth":          otpauth,
	"weblink":          weblink,
	"outside":          outside,
	"duration":         duration,
	"date":             date,
	"size":             bytesText,
	"iso":              func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"ago":              func(v view, t time.Time) string { return v.ago(t) },
	"left":             func(v view, t time.Time) string { return duration(t.Sub(v.now)) },
	"seconds":          func(v view, t time.Time) int { return max(0, int(t.Sub(v.now)/time.Second)) },
	"lines":            func(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") },
	"join":             func(s []string) string { return strings.Join(s, ", ") },
	"noun":             func(factor string) string { return methods[factor].Noun },
	"picture":          func(factor string) string { return methods[factor].Icon },
	"outcome":          OutcomeText,
	"chainName":        chainName,
	"parts":            func(address string) []string { return strings.SplitAfter(address, "@") },
	"factorName":       factorName,
	"factor":           func(f string) Method { return Method{Factor: f} },
}

// args makes a map of the pairs, so that a shared template takes several values.
func args(kv ...any) (map[string]any, error) {
	if len(kv)%2 != 0 {
		return nil, errors.New("ui: args: a key without a value")
	}
	m := make(map[string]any, len(kv)/2)
	for i := 0; i < len(kv); i += 2 {
		k, ok := kv[i].(string)
		if !ok {
			return nil, fmt.Errorf("ui: args: key %v is no text", kv[i])
		}
		m[k] = kv[i+1]
	}
	return m, nil
}

// form is the common part of a page; pages without one have an empty one.
func form(m Page) Common {
	if f, ok := m.(withCommon); ok {
		return f.common()
	}
	return Common{}
}

// problem is the text for one field, "" when it is fine.
func problem(v view, field string) string {
	v.fields[field] = true
	for _, p := range form(v.M).Problems {
		if p.Field == field {
			return p.Text
		}
	}
	return ""
}

// problems are those that stand at no field of the page.
func problems(v view) []Problem {
	var out []Problem
	for _, p := range form(v.M).Problems {
		if !v.fields[p.Field] {
			out = append(out, p)
		}
	}
	return out
}

// together keeps "e-mail" on one line: browsers break at its hyphen.
func together(s string) template.HTML {
	//nolint:gosec // G203: escaped first, then a constant element is put around a constant word
	return template.HTML(strings.NewReplacer("e-mail", `<span class="nb">e-mail</span>`, "E-mail", `<span class="nb">E-mail</span>`).Replace(template.HTMLEscapeString(s)))
}

// otpauth passes an otpauth URI of a TOTP key; html/template knows no such
// scheme. Anything else becomes empty.
func otpauth(u string) template.URL {
	p, err := url.Parse(u)
	if err != nil || p.Scheme != "otpauth" || p.Host != "totp" {
		return ""
	}
	//nolint:gosec // G203: scheme and host are checked above, the rest is escaped again
	return template.URL(p.String())
}

// outside is weblink for a link that the page cannot do without.
func outside(u string) (string, error) {
	if l := weblink(u); l != "" {
		return l, nil
	}
	return "", errors.New("ui: the address to go on to is no web address")
}

// weblink returns u when it is an absolute http or https address, else "".
func weblink(u string) string {
	p, err := url.Parse(u)
	if err != nil || p.Host == "" || (p.Scheme != "http" && p.Scheme != "https") {
		return ""
	}
	return p.String()
}
