package policy

import (
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// reads names what conditions look at beyond host, path, method, address, user, groups and
// proven factors. The value of a name is true when what stands under it is compared, false when
// it only counts whether anything does.
type reads struct {
	query, headers, claims map[string]bool
	// computed is set when a condition goes through names that the file does not tell, rawQuery
	// when one reads the query as it was sent.
	computed, rawQuery bool
}

func (r *reads) add(list *map[string]bool, name string, compared bool) {
	if *list == nil {
		*list = make(map[string]bool)
	}
	(*list)[name] = (*list)[name] || compared
}

// match adds what the conditions of a rule or floor read.
func (r *reads) match(m *match) {
	for _, c := range m.query {
		r.add(&r.query, c.key, len(c.values) > 0)
	}
	for _, c := range m.headers {
		r.add(&r.headers, c.name, true)
	}
	if m.when == nil {
		return
	}
	for name, compared := range m.when.reads.query {
		r.add(&r.query, name, compared)
	}
	for name, compared := range m.when.reads.headers {
		r.add(&r.headers, name, compared)
	}
	for name, compared := range m.when.reads.claims {
		r.add(&r.claims, name, compared)
	}
	r.computed = r.computed || m.when.reads.computed
	r.rawQuery = r.rawQuery || m.when.reads.rawQuery
}

// readsOf finds what an expression reads.
func readsOf(checked *cel.Ast) reads {
	var out reads
	for _, e := range ast.MatchDescendants(ast.NavigateAST(checked.NativeRep()), ast.AllMatcher()) {
		var list *map[string]bool
		named := func(s string) string { return s }
		switch {
		case selects(e, "request", "query"):
			list = &out.query
		case selects(e, "request", "raw_query"):
			out.rawQuery = true
			continue
		case selects(e, "request", "headers"):
			list, named = &out.headers, headerName
		case selects(e, "user", "custom_claims"), e.Kind() == ast.IdentKind && strings.TrimPrefix(e.AsIdent(), ".") == "claims":
			list = &out.claims
		default:
			continue
		}
		name, compared, ok := entryRead(e)
		if !ok {
			out.computed = true
			continue
		}
		out.add(list, named(name), compared)
	}
	return out
}

// selects tells whether an expression is a field of a variable.
func selects(e ast.Expr, variable, field string) bool {
	if e.Kind() != ast.SelectKind || e.AsSelect().FieldName() != field {
		return false
	}
	o := e.AsSelect().Operand()
	return o.Kind() == ast.IdentKind && strings.TrimPrefix(o.AsIdent(), ".") == variable
}

// entryRead is the name under which the expression around a map looks into it; ok is false when
// it is computed, or when all of them are looked at.
func entryRead(e ast.NavigableExpr) (name string, compared, ok bool) {
	parent, has := e.Parent()
	if !has {
		return "", false, false
	}
	switch parent.Kind() {
	case ast.SelectKind:
		return parent.AsSelect().FieldName(), !parent.AsSelect().IsTestOnly(), true
	case ast.CallKind:
		args := parent.AsCall().Args()
		if len(args) != 2 {
			return "", false, false
		}
		switch f := parent.AsCall().FunctionName(); {
		case f == operators.Index && args[0].ID() == e.ID():
			name, ok = literal(args[1])
			return name, true, ok
		case f == operators.In && args[1].ID() == e.ID():
			name, ok = literal(args[0])
			return name, false, ok
		}
	}
	return "", false, false
}

// The bounds of what is told of a request.
const (
	maxTold       = 256 // bytes of a value
	maxToldValues = 4   // values of a name
)

// secretHeaders are those whose values nobody may keep, whatever a condition reads.
var secretHeaders = []string{"Authorization", "Cookie", "Proxy-Authorization"}

// QueryRead is the part of a query that any rule or floor reads, decoded: values that are
// compared, and “” for a key of which only the presence counts. Whole is false when something
// is left out: values that are long or many, parts that cannot be decoded, keys that conditions
// compute, or all of it where one reads it as it was sent.
func (p *Policy) QueryRead(raw string) (query map[string][]string, whole bool) {
	if p == nil || raw == "" {
		return nil, true
	}
	whole = !p.reads.computed && !p.reads.rawQuery
	for raw != "" && len(p.reads.query) > 0 {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		name, text, _ := strings.Cut(part, "=")
		key, keyOK := unescape(name)
		value, valueOK := unescape(text)
		compared, read := p.reads.query[key]
		if !keyOK || read && !valueOK {
			whole = false
			continue
		}
		if read {
			query, whole = tell(query, key, value, compared, whole)
		}
	}
	return query, whole
}

// HeaderRead is likewise the part of the headers that any rule or floor reads. Values of
// Authorization, Cookie and Proxy-Authorization are left out.
func (p *Policy) HeaderRead(h map[string][]string) (header map[string][]string, whole bool) {
	if p == nil {
		return nil, true
	}
	whole = !p.reads.computed
	for name, compared := range p.reads.headers {
		secret := compared && slices.Contains(secretHeaders, name)
		for _, value := range h[name] {
			header, whole = tell(header, name, value, compared && !secret, whole && !secret)
		}
	}
	return header, whole
}

// tell adds one value to what is told.
func tell(out map[string][]string, name, value string, compared, whole bool) (map[string][]string, bool) {
	if !compared {
		value = ""
	}
	if len(value) > maxTold || len(out[name]) == maxToldValues {
		return out, false
	}
	if out == nil {
		out = make(map[string][]string)
	}
	out[name] = append(out[name], strings.Clone(value))
	return out, whole
}

// ClaimsRead is the part of a user's claims that any condition reads; nil when none does.
func (p *Policy) ClaimsRead(claims map[string]any) map[string]any {
	if p == nil || len(p.reads.claims) == 0 {
		return nil
	}
	out := maps.Clone(claims)
	maps.DeleteFunc(out, func(name string, _ any) bool { _, read := p.reads.claims[name]; return !read })
	return out
}

// Reads lists, sorted, what any rule or floor reads of queries, headers and claims, each as
// “query format”, “header X-Beta”, “claim level”.
func (p *Policy) Reads() []string {
	var out []string
	for kind, list := range map[string]map[string]bool{"query": p.reads.query, "header": p.reads.headers, "claim": p.reads.claims} {
		for name := range list {
			out = append(out, kind+" "+name)
		}
	}
	slices.Sort(out)
	return out
}

func headerName(s string) string { return textproto.CanonicalMIMEHeaderKey(s) }
