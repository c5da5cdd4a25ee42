package policy

// raise checks the floors on top of what was decided. A floor can only ask for more: a deny
// and a refusal stay what they are.
func (p *Policy) raise(d *Decision, q *question) {
	if len(p.floors) == 0 || d.outcome == Deny || d.outcome == Refuse {
		return
	}
	var w walk
	p.floorIndex.start(&w, q.r.Host, q.folded)
	for i := w.next(); i >= 0 && d.outcome != Refuse; i = w.next() {
		floor := p.floors[i]
		d.lift(floor, floor.match.judge(q))
	}
}

// lift applies one floor about which the conditions say something.
func (d *Decision) lift(floor *rule, h held) {
	missing := true
	switch h {
	case no:
		return
	case ambiguous:
		d.outcome, d.reason, d.floor = Refuse, reasonRepeatedKey, ""
	case nameless:
		d.ask(signedIn)
	default:
		missing = !d.ask(floor.required)
	}
	if missing && d.floor == "" {
		d.floor = floor.name
	}
}
