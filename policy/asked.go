package policy

import "slices"

// asked are the requirements that stand for one request: of the rule, and of the floors that
// matched. The first few take no memory of their own.
type asked struct {
	few  [3]*Requirement
	n    int
	more []*Requirement
}

// add takes one more requirement, unless it is there already. Whoever meets another one is
// signed in, so that plain requirement counts only alone.
func (a *asked) add(r *Requirement) {
	switch {
	case r == nil, a.n > 0 && r == signedIn:
		return
	case a.n == 1 && a.few[0] == signedIn:
		a.few[0] = r
		return
	}
	for i := range a.n {
		if a.few[i] == r {
			return
		}
	}
	if a.n < len(a.few) {
		a.few[a.n] = r
		a.n++
		return
	}
	a.more = append(a.more[:len(a.more):len(a.more)], r)
}

// together is the requirement that meets all of them; nil when there is none.
func (a *asked) together() *Requirement {
	switch a.n {
	case 0:
		return nil
	case 1:
		return a.few[0]
	}
	return allOf(append(append([]*Requirement{}, a.few[:a.n]...), a.more...)...)
}

// once tells whether any of them asks for a proof of its own.
func (a *asked) once() bool {
	return slices.ContainsFunc(a.few[:a.n], (*Requirement).hasOnce) || slices.ContainsFunc(a.more, (*Requirement).hasOnce)
}
