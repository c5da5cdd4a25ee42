package gate

import (
	"errors"
	"net/http"
	"time"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/problem"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/ui"
)

// What became of a request that carries what somebody entered, for logs and metrics.
const (
	heldKept       = "held"
	heldSent       = "sent"
	heldGone       = "gone"
	heldTooLarge   = "too_large"
	heldBusy       = "busy"
	heldUnreadable = "unreadable"
	heldCrossSite  = "cross_site"
)

// readTime bounds how long the body of a request is read that will wait.
const readTime = time.Minute

// keptHeaders are the headers that say what a body is and what the application checks about the
// page that it came from. Everything else, cookies and addresses above all, is that of the
// request that repeats it.
var keptHeaders = []string{
	"Accept", "Accept-Language", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type",
	"Origin", "Referer", "X-Requested-With",
}

// hold keeps the form of a step-up, so that it need not be filled in again, and notes what became
// of it in q.held. Requests of scripts are not kept: whoever sent them still has them. The error
// means that the store cannot tell.
func (g *Gate) hold(q *request) error {
	if q.heldID != "" || q.r.Method != http.MethodPost || !navigation(q.r) {
		return nil
	}
	origin := sentFrom(q)
	if origin == elsewhere {
		q.held = heldCrossSite
		return nil
	}
	if origin == unknown || g.HoldLimit == 0 || !formTarget(q.original.uri) {
		return nil
	}
	return g.holdBody(q, func(h held.Head) (string, error) {
		return g.Held.Receive(q.r.Context(), h, q.r.Body, q.r.ContentLength, g.HoldLimit)
	})
}

// holdBody keeps a form, to whose head keep adds the body, and notes what became of it.
func (g *Gate) holdBody(q *request, keep func(held.Head) (id string, err error)) error {
	if err := g.nameBrowser(q); err != nil {
		return err
	}
	timed := http.NewResponseController(q.w)
	_ = timed.SetReadDeadline(g.Now().Add(readTime)) // a server that cannot has limits of its own
	id, err := keep(q.head())
	switch {
	case err == nil:
		_ = timed.SetReadDeadline(time.Time{}) // else the server reads what is left, which takes no longer either
		q.heldID, q.held = id, heldKept
	case errors.Is(err, held.ErrTooLarge):
		q.held = heldTooLarge
	case errors.Is(err, held.ErrBusy):
		q.held = heldBusy
	case errors.Is(err, held.ErrUnreadable):
		q.held = heldUnreadable
	default:
		return err
	}
	return nil
}

// head is what is kept of a request beside the body.
func (q *request) head() held.Head {
	h := held.Head{Owner: q.owner(), Method: q.r.Method, Target: q.original.uri, Header: make(map[string][]string)}
	for _, name := range keptHeaders {
		if lines := q.r.Header[name]; len(lines) > 0 {
			h.Header[name] = lines
		}
	}
	return h
}

// nameBrowser gives a browser that has no id one, because what waits is bound to it.
func (g *Gate) nameBrowser(q *request) error {
	if flow.WellFormedBrowser(q.cookies.Browser) {
		return nil
	}
	id, err := g.Flows.NewBrowser()
	if err != nil {
		return err
	}
	v := g.visit(q)
	v.NameBrowser(id)
	v.SetBrowser(q.w)
	q.cookies.Browser = id
	return nil
}

// owner is whom a request belongs to that waits.
func (q *request) owner() held.Owner {
	return held.Owner{UserID: q.session.UserID, Family: q.session.Family, Browser: q.cookies.Browser, Host: q.host.display(!q.plain)}
}

// formTarget tells whether the action of a form can name a target as one of the same site.
func formTarget(uri string) bool { return len(uri) < 2 || uri[1] != '/' && uri[1] != '\\' }

// sender tells where a form was sent from.
type sender int

const (
	unknown sender = iota
	here
	elsewhere
)

// sentFrom tells whether a page of the same origin sent a request, by Fetch Metadata or else by
// Origin. A page that hides its origin may be anybody's.
func sentFrom(q *request) sender {
	if site, ok := q.r.Header["Sec-Fetch-Site"]; ok {
		switch {
		case len(site) == 1 && site[0] == "same-origin":
			return here
		case len(site) == 1 && site[0] == "none": // a person, with the browser's own means
			return unknown
		}
		return elsewhere
	}
	origin, ok := q.r.Header["Origin"]
	if !ok {
		return unknown
	}
	scheme := "https://"
	if q.plain {
		scheme = "http://"
	}
	if len(origin) == 1 && origin[0] == scheme+q.host.display(!q.plain) {
		return here
	}
	return elsewhere
}

// stepUp asks for what is missing, after hold.
func (g *Gate) stepUp(q *request, d *policy.Decision, id string) {
	switch q.held {
	case heldCrossSite:
		g.refuse(q, id, http.StatusForbidden, markDenied, problem.Problem{
			Title: "Denied", ErrorType: "cross_site_form", Rule: d.Rule(),
			Detail: "Another site sent this form, and the policy asks for a further proof of identity first. Send it from a page of this site.",
		}, ui.Error{Back: "/"})
	case heldUnreadable:
		g.refuse(q, id, http.StatusBadRequest, markError, problem.Problem{
			ErrorType: "body_unreadable", Detail: "The body of the request could not be read to its end.",
		}, ui.Error{})
	case heldBusy:
		q.w.Header().Set("Retry-After", "5")
		g.refuse(q, id, http.StatusServiceUnavailable, markError, problem.Problem{
			ErrorType: "too_many_held_requests", Detail: "Too many forms are being sent at once. Try again in a moment.",
		}, ui.Error{RetryAfter: 5 * time.Second})
	case heldTooLarge:
		g.tooLarge(q, d, id)
	default:
		g.challenge(q, d, id, markStepUp, "challenge")
	}
}

// tooLarge says that a form cannot wait for the challenge, before anybody proves anything.
func (g *Gate) tooLarge(q *request, d *policy.Decision, id string) {
	path, _, ok := g.begin(q, d, id, "challenge")
	if !ok {
		return
	}
	g.refuse(q, id, http.StatusRequestEntityTooLarge, markStepUp, problem.Problem{}, ui.TooLarge{
		Target: ui.Target{Host: q.host.display(!q.plain), Path: q.original.path}, Limit: g.HoldLimit, Next: path,
	})
}
