package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Load reads a policy. name is the file's name for messages. The error is a *LoadError that
// lists every mistake found; then there is no policy.
func Load(name string, data []byte) (*Policy, error) {
	l := &loader{
		problems: problems{file: name}, named: make(map[string]*node), done: make(map[string]*Requirement),
		taken: make(map[string]int), used: make(map[string]bool), conditions: make(map[string]*condition), source: data,
	}
	root, problem := parseYAML(data)
	if problem != nil {
		l.report(*problem)
		return nil, l.err()
	}
	p := l.policy(root)
	if err := l.err(); err != nil {
		return nil, err
	}
	p.index, p.reports = newIndex(p.rules, false), newIndex(p.rules, true)
	p.floorIndex = newIndex(p.floors, false)
	for _, r := range slices.Concat(p.rules, p.floors) {
		p.reads.match(&r.match)
	}
	l.unreachable(p)
	if err := l.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// loader turns nodes into a policy and collects what is wrong.
type loader struct {
	problems
	named map[string]*node        // bodies of named requirements
	done  map[string]*Requirement // finished ones
	open  []string                // those being read, to find circles
	rules []*node                 // names of the rules, for messages
	taken map[string]int          // names of rules and floors, with their lines
	used  map[string]bool         // named requirements that something refers to
	// conditions are those read so far, by their text; source is the file, for their places.
	conditions map[string]*condition
	source     []byte
	// bound is set when “once” may name its rule, as String writes it.
	bound bool
}

func (l *loader) policy(root *node) *Policy {
	if root.kind != mapNode {
		l.add(root, "expected a policy: version, requirements, rules, minimum, default")
		return nil
	}
	top := l.fields(root, topKeys)
	p := &Policy{requirements: make(map[string]*Requirement)}
	if v := top["version"]; v == nil {
		l.add(root, "version is missing; write “version: 1”")
	} else if v.tag != "!!int" || v.text != "1" {
		l.add(v, "version must be 1")
	}
	l.requirements(top["requirements"], p)
	l.readRules(top["rules"], p)
	l.readFloors(top["minimum"], p)
	d := top["default"]
	if d == nil {
		l.add(root, "default is missing; it says what happens when no rule matches, for example “default: {require: signed_in}”")
		return p
	}
	p.fallback = rule{name: "default", line: d.line}
	l.outcome(d, l.fields(d, outcomeKeys), &p.fallback)
	p.fallback.required = p.fallback.required.bind(p.fallback.name)
	p.lines = make(map[string]int)
	for name, n := range l.named {
		p.lines[name] = n.line
		if !l.used[name] {
			p.unused = append(p.unused, name)
		}
	}
	slices.Sort(p.unused)
	return p
}

func (l *loader) requirements(n *node, p *Policy) {
	if n == nil {
		return
	}
	if n.kind != mapNode || len(n.items) == 0 {
		l.add(n, "requirements must name at least one requirement")
		return
	}
	l.pairs(n, func(key, value *node) {
		if _, factor := parseFactorName(key.text); factor || builtins[key.text] != nil {
			l.add(key, "%q is the name of a factor or a built-in and cannot be given another meaning", key.text)
			return
		}
		if !plainName(key.text) {
			l.add(key, "a requirement's name has letters, digits, “_”, “-” and spaces")
			return
		}
		l.named[key.text] = value
	})
	for name := range l.named {
		p.requirements[name] = l.resolve(name)
	}
}

func plainName(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, " ") == s &&
		strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == ':' || r == '"' || r == 0x7f }) < 0
}

// resolve reads a named requirement once, wherever it is first used.
func (l *loader) resolve(name string) *Requirement {
	if r, ok := l.done[name]; ok {
		return r
	}
	body := l.named[name]
	if slices.Contains(l.open, name) {
		l.add(body, "requirement %q refers to itself (%s)", name, strings.Join(append(l.open, name), " → "))
		return nil
	}
	l.open = append(l.open, name)
	r := l.requirement(body)
	l.open = l.open[:len(l.open)-1]
	l.done[name] = r
	return r
}

func (l *loader) readRules(n *node, p *Policy) {
	if n == nil {
		return
	}
	if n.kind != listNode || len(n.items) == 0 {
		l.add(n, "rules must be a list of at least one rule")
		return
	}
	for _, item := range n.items {
		if item.kind != mapNode {
			l.add(item, "a rule is a map with name, match, and one of allow, deny, require")
			continue
		}
		f := l.fields(item, ruleKeys)
		r := &rule{line: item.line}
		if name := f["name"]; name == nil {
			l.add(item, "the rule has no name; every rule needs one of its own")
		} else {
			l.name(name, r)
		}
		l.outcome(item, f, r)
		r.match.exact = r.outcome == Allow
		l.conditionsOf(f, r)
		r.required = r.required.bind(r.name)
		p.rules = append(p.rules, r)
		l.rules = append(l.rules, item)
		p.hasReports = p.hasReports || r.reportOnly
	}
}

// name reads the name of a rule or floor. Proofs are made for a rule by its name, so that each
// stands once.
func (l *loader) name(n *node, r *rule) {
	switch {
	case n.kind != scalarNode || n.text == "" || n.tag == "!!null" || len(n.text) > 200:
		l.add(n, "a rule's name is a text of 1 to 200 characters")
	case n.text == "default":
		l.add(n, "no rule can be named “default”: that is how the default reports itself")
	case l.taken[n.text] != 0:
		l.add(n, "the name %q is taken by the rule on line %d", n.text, l.taken[n.text])
	default:
		l.taken[n.text], r.name, r.line = n.line, n.text, n.line
	}
}

// conditionsOf reads what rules and floors have in common: match, when and report_only.
func (l *loader) conditionsOf(f map[string]*node, r *rule) {
	if n := f["match"]; n != nil {
		l.match(n, &r.match)
	}
	if n := f["when"]; n != nil {
		r.match.when = l.when(n)
	}
	if n := f["report_only"]; n != nil {
		if n.tag != "!!bool" {
			l.add(n, "report_only is true or false")
		}
		r.reportOnly = isTrue(n.text)
	}
}

// outcome reads exactly one of allow, deny, require.
func (l *loader) outcome(n *node, f map[string]*node, r *rule) {
	count := 0
	for _, key := range outcomeKeys.names() {
		value := f[key]
		if value == nil {
			continue
		}
		count++
		if key == "require" {
			r.outcome, r.required = StepUp, l.requirement(value)
			continue
		}
		if value.tag != "!!bool" || !isTrue(value.text) {
			l.add(value, "%s can only be true; leave it out otherwise", key)
		}
		if key == "allow" {
			r.outcome = Allow
		}
	}
	if count != 1 {
		l.add(n, "expected exactly one of “allow: true”, “deny: true”, “require: …”, found %d", count)
	}
}

func isTrue(s string) bool { return strings.EqualFold(s, "true") }

// pairs calls f for each entry of a map. Repeated keys are mistakes.
func (l *loader) pairs(n *node, f func(key, value *node)) {
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.items); i += 2 {
		key := n.items[i]
		if key.kind != scalarNode {
			l.add(key, "expected a name")
			continue
		}
		if line := seen[key.text]; line != 0 {
			l.add(key, "%q was given on line %d already", key.text, line)
			continue
		}
		seen[key.text] = key.line
		f(key, n.items[i+1])
	}
}

// fields reads a map whose keys are known.
func (l *loader) fields(n *node, known keys) map[string]*node {
	out := make(map[string]*node)
	if n.kind != mapNode {
		l.add(n, "expected a map with %s", choices(known.names()))
		return out
	}
	l.pairs(n, func(key, value *node) {
		if !known.has(key.text) {
			l.add(key, "unknown key %q; expected %s", key.text, choices(known.names()))
			return
		}
		out[key.text] = value
	})
	return out
}

// texts reads one text or a list of texts.
func (l *loader) texts(n *node) []*node {
	if n.kind == scalarNode {
		return l.checkText([]*node{n})
	}
	if n.kind != listNode || len(n.items) == 0 {
		l.add(n, "expected a text or a list of at least one")
		return nil
	}
	return l.checkText(n.items)
}

func (l *loader) checkText(list []*node) []*node {
	var out []*node
	for _, n := range list {
		if n.kind != scalarNode || n.text == "" || n.tag == "!!null" {
			l.add(n, "expected a text")
			continue
		}
		out = append(out, n)
	}
	return out
}

// duration reads a span of time as Go writes it, with "d" for days.
func (l *loader) duration(n *node) (time.Duration, bool) {
	d, ok := parseDuration(n.text)
	if n.kind != scalarNode || !ok {
		l.add(n, "expected a duration such as 90s, 5m, 12h or 30d")
		return 0, false
	}
	return d, true
}

func parseDuration(s string) (time.Duration, bool) {
	if strings.ContainsAny(s, "+-") {
		return 0, false
	}
	if days, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, false
		}
		d := time.Duration(n) * 24 * time.Hour
		if rest == "" {
			return d, true
		}
		more, err := time.ParseDuration(rest)
		return d + more, err == nil
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}
