package policy

import (
	"fmt"
	"net/netip"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// chapter is one part of testdata/decisions.yaml, which says at its top how to read it.
type chapter struct {
	About  string
	Policy string
	Rows   []string
}

func chapters(t testing.TB) []chapter {
	t.Helper()
	data, err := os.ReadFile("testdata/decisions.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []chapter
	if err := yaml.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// row is one line of the table.
type row struct {
	text    string
	request *Request
	subject *Subject
	now     time.Time
	outcome string
	rule    string
	floor   string
	missing []string // alternatives; nil when the row does not say
	spends  string
	reports []string
}

func readRow(t testing.TB, text string) row {
	t.Helper()
	parts := strings.Split(text, "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	if len(parts) < 4 {
		t.Fatalf("bad row %q", text)
	}
	out := row{text: text, request: ask(t, parts[0]), subject: who(t, parts[1]), now: noon, outcome: parts[2], rule: parts[3]}
	if _, at, ok := strings.Cut(parts[0], " at "); ok {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if out.subject != nil {
			for i := range out.subject.Factors {
				out.subject.Factors[i].At = out.subject.Factors[i].At.Add(now.Sub(noon))
			}
		}
		out.now = now
	}
	for _, p := range parts[4:] {
		key, value, _ := strings.Cut(p, " ")
		switch key {
		case "floor":
			out.floor = value
		case "missing":
			out.missing = strings.Split(value, " or ")
			slices.Sort(out.missing)
		case "spends":
			out.spends = value
		case "report":
			out.reports = append(out.reports, value)
		default:
			t.Fatalf("bad row %q", text)
		}
	}
	return out
}

// ask reads a request as the tables write it.
func ask(t testing.TB, text string) *Request {
	t.Helper()
	words := strings.Fields(text)
	r := &Request{Method: words[0], Header: map[string][]string{}}
	rest := strings.TrimPrefix(words[1], "https://")
	r.Host, rest, _ = strings.Cut(rest, "/")
	r.Path, r.RawQuery, _ = strings.Cut("/"+rest, "?")
	for i := 2; i+1 < len(words); i += 2 {
		switch words[i] {
		case "from":
			if words[i+1] != "unknown" {
				r.ClientIP = netip.MustParseAddr(words[i+1])
			}
		case "header":
			name, value, _ := strings.Cut(words[i+1], "=")
			name = textproto.CanonicalMIMEHeaderKey(name)
			r.Header[name] = append(r.Header[name], value)
		case "at":
		default:
			t.Fatalf("bad request %q", text)
		}
	}
	return r
}

// who reads a visitor as the tables write one.
func who(t testing.TB, text string) *Subject {
	t.Helper()
	if text == "nobody" {
		return nil
	}
	s := &Subject{StartedAt: noon.Add(-10 * time.Minute)}
	text, remembered, ok := strings.Cut(text, " remembered ")
	if ok {
		age, _ := parseDuration(remembered)
		s.RememberedAt = noon.Add(-age)
	}
	left, proven, _ := strings.Cut(text, " with ")
	for one := range strings.SplitSeq(proven, ",") {
		one, rule, _ := strings.Cut(one, "/")
		fs, err := ParseFactors(one, noon)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fs {
			f.ForRule = rule
			s.Factors = append(s.Factors, f)
		}
	}
	left, claim, ok := strings.Cut(left, " claim ")
	if ok {
		name, value, _ := strings.Cut(claim, "=")
		s.CustomClaims = map[string]any{name: value}
	}
	words := strings.Fields(left)
	s.ID, s.Email, s.Groups = words[0], words[0], words[1:]
	return s
}

// TestDecisions is the table of decisions.
func TestDecisions(t *testing.T) {
	n := 0
	for _, b := range chapters(t) {
		t.Run(b.About, func(t *testing.T) {
			p := load(t, b.Policy)
			for _, text := range b.Rows {
				n++
				readRow(t, text).check(t, p)
			}
		})
	}
	if n < 300 {
		t.Errorf("only %d rows", n)
	}
}

func (r row) check(t *testing.T, p *Policy) {
	t.Helper()
	d := p.Decide(r.request, r.subject, r.now)
	if got := d.Outcome().String(); got != r.outcome || d.Rule() != r.rule || d.Floor() != r.floor {
		t.Errorf("%s\n\tgot %s by %q, floor %q", r.text, got, d.Rule(), d.Floor())
	}
	if got := alternatives(d.Missing()); r.missing != nil && !slices.Equal(got, r.missing) {
		t.Errorf("%s\n\tmissing %s", r.text, strings.Join(got, " or "))
	}
	var spent []string
	for _, f := range d.Spends() {
		spent = append(spent, f.Name)
	}
	if got := strings.Join(spent, "+"); got != r.spends {
		t.Errorf("%s\n\tspends %q", r.text, got)
	}
	var reports []string
	for _, one := range p.Report(r.request, r.subject, r.now) {
		reports = append(reports, one.Rule+" "+one.Outcome.String())
	}
	if !slices.Equal(reports, r.reports) {
		t.Errorf("%s\n\treports %q", r.text, reports)
	}
	e := p.Explain(r.request, r.subject, r.now)
	if why := disagreement(p, e, d); why != "" {
		t.Errorf("%s\n\texplain: %s", r.text, why)
	}
}

// alternatives writes what is missing as the table does.
func alternatives(sets [][]Need) []string {
	out := []string{}
	for _, set := range sets {
		var names []string
		for _, n := range set {
			names = append(names, n.Factor)
		}
		out = append(out, strings.Join(names, "+"))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// disagreement says where an explanation tells something else than the decision.
func disagreement(p *Policy, e Explanation, d Decision) string {
	if e.Outcome != d.Outcome().String() || e.Rule != d.Rule() || e.Floor != d.Floor() {
		return fmt.Sprintf("%s by %q, floor %q", e.Outcome, e.Rule, e.Floor)
	}
	var hits []string
	for _, r := range e.Rules {
		if r.Why == "" {
			return "no reason for " + r.Name
		}
		if r.Hit && !r.ReportOnly {
			hits = append(hits, r.Name)
		}
		if (r.Would != "") != (r.Hit && r.ReportOnly) {
			return "the report of " + r.Name
		}
	}
	if !slices.Equal(hits, []string{d.Rule()}) {
		return fmt.Sprintf("hits %q", hits)
	}
	for _, f := range e.Floors {
		if f.Name == d.Floor() && !f.Hit {
			return "the floor " + f.Name + " is no hit"
		}
	}
	if len(e.Rules) != len(p.rules)+1 || len(e.Floors) != len(p.floors) {
		return "something is left out"
	}
	return ""
}
