package gate

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/problem"
	"github.com/stepgate/stepgate/ui"
)

// maxRepeat bounds a form that asks to have a request sent on: the longest id of a flow and what
// stands around it.
const maxRepeat = 9 << 10

// repeats recognises the form by which a browser asks, at the address of a held request, to have
// that request sent on, and gives the request the headers of the held one, by which it is then
// judged. The form itself goes no further, whatever is decided. It returns false when it has
// answered; every other request it leaves as it was.
func (g *Gate) repeats(q *request) bool {
	id, ours := repeatForm(q.r)
	if !ours {
		return true
	}
	setBody(q.r, nil)
	q.subject = g.subject(q) // who is told of in the log, should no policy be asked
	switch {
	case !navigation(q.r) || sentFrom(q) != here:
		q.held = heldCrossSite
		g.refuse(q, g.early(q, "cross_site_form"), http.StatusForbidden, markDenied, problem.Problem{
			ErrorType: "cross_site_form", Detail: "Only the page at the end of a challenge sends this form.",
		}, ui.Error{Back: "/"})
		return false
	case q.unknown != nil:
		g.unavailable(q)
		return false
	case q.session == nil:
		g.gone(q, "/")
		return false
	}
	p, err := g.Flows.Pending(flow.Visitor{Session: q.session}, q.host.display(!q.plain), id)
	if err != nil {
		g.gone(q, "/")
		return false
	}
	h, err := g.Held.Peek(q.r.Context(), p.Held, q.owner())
	if err != nil && !errors.Is(err, held.ErrGone) {
		q.unknown = err
		g.unavailable(q)
		return false
	}
	if err != nil || h.Method != q.r.Method || h.Target != q.original.uri {
		g.gone(q, p.Return)
		return false
	}
	q.heldID, q.back = p.Held, p.Return
	for _, name := range keptHeaders {
		delete(q.r.Header, name)
	}
	maps.Copy(q.r.Header, h.Header)
	return true
}

// repeatForm returns the id in a form that asks to have a request sent on; ours is false for
// every other request, whose body is then as it was. Nothing but the beginning of a short text is
// looked at.
func repeatForm(r *http.Request) (id string, ours bool) {
	const begin = held.Field + "="
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if r.Method != http.MethodPost || r.Body == nil || !strings.EqualFold(strings.TrimSpace(kind), "text/plain") ||
		r.ContentLength < int64(len(begin)) || r.ContentLength > maxRepeat {
		return "", false
	}
	start := make([]byte, len(begin))
	n, err := io.ReadFull(r.Body, start)
	if err != nil || string(start) != begin {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(start[:n]), r.Body), r.Body}
		return "", false
	}
	rest, err := io.ReadAll(io.LimitReader(r.Body, maxRepeat))
	if err != nil {
		return "", true // an id that opens nothing
	}
	return strings.TrimSuffix(string(rest), "\r\n"), true
}

// send puts the held request in the place of the one that asks for it, which the policy allows.
// It returns false when it has answered: somebody was faster, or it cannot be told.
func (g *Gate) send(q *request) bool {
	if q.heldID == "" {
		return true
	}
	_, body, err := g.Held.Take(q.r.Context(), q.heldID, q.owner())
	switch {
	case errors.Is(err, held.ErrGone):
		g.gone(q, q.back)
		return false
	case err != nil:
		q.unknown = err
		g.unavailable(q)
		return false
	}
	setBody(q.r, body)
	q.held = heldSent
	return true
}

// setBody makes body that of a request.
func setBody(r *http.Request, body []byte) {
	r.Body, r.GetBody, r.TransferEncoding = http.NoBody, nil, nil
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.ContentLength = int64(len(body))
	r.Header["Content-Length"] = []string{strconv.Itoa(len(body))}
}

// gone says that there is nothing to send. back is the document to go on with.
func (g *Gate) gone(q *request, back string) {
	q.held = heldGone
	g.refuse(q, g.early(q, "held_request_gone"), http.StatusGone, markError, problem.Problem{
		ErrorType: "held_request_gone", Detail: "This request was sent already, or waited for more than 10 minutes. Nothing was sent now.",
	}, ui.Expired{Reason: "held", Target: ui.Target{Host: q.host.display(!q.plain), Path: q.original.path}, Next: back})
}
