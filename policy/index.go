package policy

import "strings"

// index finds the rules that can match a host and a path, in the order of the file, without
// looking at the others. Paths are folded; the rule itself judges exactly.
type index struct {
	hosts    map[string]*pathIndex // exact hosts
	below    map[string]*pathIndex // hosts below a domain
	anywhere *pathIndex
}

type pathIndex struct {
	exact map[string][]int32
	root  *segment
	// other are the rules that no path pattern narrows.
	other []int32
}

// segment is a node of the trie of prefix patterns.
type segment struct {
	below map[string]*segment
	rules []int32
}

func newPathIndex() *pathIndex {
	return &pathIndex{exact: make(map[string][]int32), root: &segment{}}
}

// newIndex is the index of the rules that are only reported, or of those that are not.
func newIndex(rules []*rule, reportOnly bool) index {
	x := index{hosts: make(map[string]*pathIndex), below: make(map[string]*pathIndex), anywhere: newPathIndex()}
	for i, r := range rules {
		if r.reportOnly != reportOnly {
			continue
		}
		for _, p := range x.places(r) {
			p.add(r, int32(i))
		}
	}
	return x
}

func (x *index) places(r *rule) []*pathIndex {
	if len(r.match.hosts) == 0 {
		return []*pathIndex{x.anywhere}
	}
	var out []*pathIndex
	for _, h := range r.match.hosts {
		m := x.hosts
		if h.wildcard {
			m = x.below
		}
		if m[h.host] == nil {
			m[h.host] = newPathIndex()
		}
		out = append(out, m[h.host])
	}
	return out
}

func (p *pathIndex) add(r *rule, i int32) {
	if len(r.match.paths) == 0 || len(r.match.regexps) > 0 {
		p.other = add(p.other, i)
		return
	}
	for _, pattern := range r.match.paths {
		if !pattern.prefix {
			p.exact[pattern.folded] = add(p.exact[pattern.folded], i)
			continue
		}
		node := p.root
		for part := range strings.SplitSeq(strings.TrimPrefix(pattern.folded, "/"), "/") {
			if part == "" {
				continue
			}
			if node.below == nil {
				node.below = make(map[string]*segment)
			}
			if node.below[part] == nil {
				node.below[part] = &segment{}
			}
			node = node.below[part]
		}
		node.rules = add(node.rules, i)
	}
}

// add appends a rule that is not the last one already; rules come in ascending order.
func add(list []int32, i int32) []int32 {
	if len(list) > 0 && list[len(list)-1] == i {
		return list
	}
	return append(list, i)
}

// maxLists bounds the lists that one walk merges without allocating. Deeper paths and hosts
// spill into a slice.
const maxLists = 24

// walk merges ascending lists of rules.
type walk struct {
	lists [maxLists][]int32
	n     int
	more  [][]int32
}

func (w *walk) add(list []int32) {
	switch {
	case len(list) == 0:
	case w.n < maxLists:
		w.lists[w.n] = list
		w.n++
	default:
		w.more = append(w.more, list)
	}
}

// next returns the least rule of all lists and takes it out of them; -1 when none is left.
func (w *walk) next() int {
	least := int32(-1)
	for i := range w.n {
		if l := w.lists[i]; len(l) > 0 && (least < 0 || l[0] < least) {
			least = l[0]
		}
	}
	for _, l := range w.more {
		if len(l) > 0 && (least < 0 || l[0] < least) {
			least = l[0]
		}
	}
	if least < 0 {
		return -1
	}
	for i := range w.n {
		if l := w.lists[i]; len(l) > 0 && l[0] == least {
			w.lists[i] = l[1:]
		}
	}
	for i, l := range w.more {
		if len(l) > 0 && l[0] == least {
			w.more[i] = l[1:]
		}
	}
	return int(least)
}

func (x *index) start(w *walk, host, folded string) {
	x.anywhere.start(w, folded) // nil in a policy that was not loaded
	if len(x.hosts) > 0 {
		x.hosts[host].start(w, folded)
	}
	if len(x.below) > 0 {
		for rest := host; rest != ""; {
			_, rest, _ = strings.Cut(rest, ".")
			x.below[rest].start(w, folded)
		}
	}
}

func (p *pathIndex) start(w *walk, folded string) {
	if p == nil {
		return
	}
	w.add(p.other)
	w.add(p.exact[folded])
	if trimmed := strings.TrimSuffix(folded, "/"); trimmed != folded && trimmed != "" {
		w.add(p.exact[trimmed])
	}
	node := p.root
	w.add(node.rules)
	for rest := strings.TrimPrefix(folded, "/"); rest != "" && node.below != nil; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if node = node.below[part]; node == nil {
			return
		}
		w.add(node.rules)
	}
}
