package policy

import "time"

// question is one request while it is judged. It lives on the stack; only a condition that
// is evaluated makes a copy of the request that does not.
type question struct {
	r      Request  // a copy: what a condition keeps of it would otherwise move every request to the heap
	s      *Subject // nil for an anonymous visitor
	now    time.Time
	folded string // the path
	// vars is what conditions read, made when the first one is evaluated.
	vars *variables
}

// judge tells whether all conditions hold. What depends on who the visitor is cannot be told
// for nobody, unless the rest does not hold already.
func (m *match) judge(q *question) held {
	if h := m.request(&q.r, q.folded); h != yes {
		return h
	}
	if q.s != nil && !m.subject(q.s) {
		return no
	}
	if m.when != nil && !m.when.holds(q, m.exact) {
		return no
	}
	if q.s == nil && m.identity() {
		return nameless
	}
	return yes
}
