package policy

import "fmt"

func (l *loader) readFloors(n *node, p *Policy) {
	if n == nil {
		return
	}
	if n.kind != listNode || len(n.items) == 0 {
		l.add(n, "minimum must be a list of at least one floor")
		return
	}
	for i, item := range n.items {
		if item.kind != mapNode {
			l.add(item, "a floor is a map with require, and name, match, when, report_only as needed")
			continue
		}
		f := l.fields(item, floorKeys)
		r := &rule{line: item.line, outcome: StepUp}
		if name := f["name"]; name != nil {
			l.name(name, r)
		} else {
			l.number(item, r, i+1)
		}
		if require := f["require"]; require != nil {
			r.required = l.requirement(require)
		} else {
			l.add(item, "the floor has no require; it says what must be met")
		}
		l.conditionsOf(f, r)
		r.required = r.required.bind(r.name)
		p.floors = append(p.floors, r)
		p.hasReports = p.hasReports || r.reportOnly
	}
}

// number names a floor that has no name by its place in the list.
func (l *loader) number(item *node, r *rule, place int) {
	r.name = fmt.Sprintf("minimum %d", place)
	if line := l.taken[r.name]; line != 0 {
		l.add(item, "the floor has no name and would be called %q, as the rule on line %d is; give it a name", r.name, line)
	}
	l.taken[r.name] = item.line
}
