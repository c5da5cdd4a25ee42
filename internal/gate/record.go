package gate

import (
	"strings"

	"github.com/stepgate/stepgate/internal/decisions"
	"github.com/stepgate/stepgate/policy"
)

// readings are the targets that were judged, each once: as received and, after a rewrite or with
// an encoded slash, in its other readings too.
func (q *request) readings() []decisions.Target {
	out := []decisions.Target{{Path: q.original.path, RawQuery: q.original.query}}
	for _, t := range q.further() {
		if t != out[len(out)-1] {
			out = append(out, t)
		}
	}
	return out
}

// further are the readings that a request must pass in beside the first. Most are the same.
func (q *request) further() [3]decisions.Target {
	return [3]decisions.Target{
		{Path: q.original.flat, RawQuery: q.original.query},
		{Path: q.target.path, RawQuery: q.target.query},
		{Path: q.target.flat, RawQuery: q.target.query},
	}
}

// observe is a decision as it is kept; nil when nobody keeps it. It reads the headers that the
// policy read, before the gate sets its own.
func (g *Gate) observe(q *request, d *policy.Decision) *decisions.Event {
	if !g.Decisions.Wants(d.Outcome() == policy.Allow) {
		return nil
	}
	ev := &decisions.Event{
		Time: q.now, Asked: q.asked, Policy: g.PolicyName, Decision: *d,
		Method: q.method(), Host: q.host.name, Targets: q.readings(),
		ClientIP: q.arrival.ClientIP, Subject: q.subject, Reports: q.reports, Held: q.held,
	}
	ev.Headers, ev.HeadersWhole = q.asked.HeaderRead(q.r.Header)
	if q.arrival.Allowed.Outcome() == policy.Allow {
		ev.AllowedBy = q.arrival.Allowed.Rule()
	}
	return ev
}

// keep hands an observed decision over under the reference that its answer carries.
func (g *Gate) keep(ev *decisions.Event, id string) {
	if ev != nil {
		ev.RequestID = id
		g.Decisions.Record(ev)
	}
}

// early tells of a request that is refused before any policy is asked, and returns the reference
// for its answer.
func (g *Gate) early(q *request, reason string) (id string) {
	id = g.requestID()
	if q.arrival.Judged != nil {
		q.arrival.Judged(Verdict{Outcome: policy.Refuse.String(), Reason: reason, Session: q.session, Held: q.held, RequestID: id})
	}
	if g.Decisions.Wants(false) {
		g.Decisions.Record(&decisions.Event{
			Time: q.now, RequestID: id, Refusal: reason, Method: decisions.Excerpt(q.method()), Host: decisions.Excerpt(q.host.name),
			Targets: []decisions.Target{{Path: decisions.Excerpt(tellable(q.r.RequestURI))}}, ClientIP: q.arrival.ClientIP, Subject: q.subject, Held: q.held,
		})
	}
	return id
}

// tellable is what may be kept of a target that nobody has read: its path, and of one of our own
// paths no more than the first segment, for links to them hold tokens.
func tellable(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	if i := strings.Index(path, Prefix); i >= 0 {
		first := path[i+len(Prefix):]
		if end := strings.IndexAny(first, `/\%`); end >= 0 {
			first = first[:end]
		}
		path = path[:i+len(Prefix)+len(first)]
	}
	return path
}
