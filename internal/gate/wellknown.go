package gate

import (
	"net/http"

	"github.com/stepgate/stepgate/policy"
)

// WellKnown tells whether the portal serves a path below /.well-known/ of a host (RFC 8615):
// ours when the application behind the gate does not, always when it is not even asked.
type WellKnown func(host, path string) (ours, always bool)

// wellKnown asks about the request. Only reading is served.
func (g *Gate) wellKnown(q *request) (ours, always bool) {
	if g.WellKnown == nil || q.r.Method != http.MethodGet && q.r.Method != http.MethodHead || longLived(q.r) {
		return false, false
	}
	return g.WellKnown(q.host.name, q.original.path)
}

// takesOver tells whether the portal serves what the policy does not let through to the
// application. What it denies stays denied.
func takesOver(d *policy.Decision) bool {
	return d.Outcome() == policy.SignIn || d.Outcome() == policy.StepUp
}

// forwardFirst hands the request on and has the portal answer when the application has nothing
// at its address.
func (g *Gate) forwardFirst(q *request, d *policy.Decision, next Next) error {
	w := &finding{header: make(http.Header), to: answerOf(q, d)}
	err := next(w, q.r)
	switch {
	case w.found || err != nil && (q.arrival.Absent == nil || !q.arrival.Absent(err)):
		return err
	case q.unknown != nil:
		g.unavailable(q)
	default:
		g.serve(q, g.visit(q))
	}
	return nil
}

// finding passes an answer on, unless it says that there is nothing: then it swallows it.
type finding struct {
	to     http.ResponseWriter
	header http.Header
	// found and absent tell what the answer said; neither is set before there is one.
	found, absent bool
}

// Header implements http.ResponseWriter.
func (w *finding) Header() http.Header {
	if w.found {
		return w.to.Header()
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter.
func (w *finding) WriteHeader(status int) {
	switch {
	case w.found || w.absent || status < http.StatusOK: // an interim answer is of no use here
	case status == http.StatusNotFound:
		w.absent = true
	default:
		w.found = true
		for name, lines := range w.header {
			w.to.Header()[name] = lines
		}
		w.to.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter.
func (w *finding) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.absent {
		return len(b), nil
	}
	return w.to.Write(b)
}
