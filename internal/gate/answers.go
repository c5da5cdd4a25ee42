package gate

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/problem"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/ui"
)

// The marks of answers that the gateway made itself.
const (
	markSignIn = "sign_in"
	markStepUp = "step_up"
	markDenied = "denied"
	markError  = "error"
)

// answer is the one place where a decision that does not allow becomes a response.
func (g *Gate) answer(q *request, d *policy.Decision) {
	if q.unknown != nil && d.Outcome() != policy.Refuse {
		g.unavailable(q)
		return
	}
	if g.Policy() == nil {
		g.fail(q, http.StatusServiceUnavailable, "policy_unavailable", "there is no policy in force")
		return
	}
	if d.Outcome() == policy.StepUp {
		if q.unknown = g.hold(q); q.unknown != nil {
			g.unavailable(q)
			return
		}
	}
	id := g.requestID()
	q.judged(d, id)
	g.keep(g.observe(q, d), id)
	switch d.Outcome() {
	case policy.SignIn:
		g.challenge(q, d, id, markSignIn, "sign-in")
	case policy.StepUp:
		g.stepUp(q, d, id)
	case policy.Refuse:
		g.refuse(q, id, http.StatusBadRequest, markError, problem.Problem{
			ErrorType: d.Reason(), Rule: d.Rule(), Detail: "The query repeats a key that a rule reads. Send it once.",
		}, ui.Error{Detail: "The query repeats a key that a rule reads. Open the address with the key once."})
	default:
		g.denied(q, d, id)
	}
}

// begin begins the flow of a page that asks for what is missing, and returns the path of the page
// and what is required. It answers and returns false when it cannot.
func (g *Gate) begin(q *request, d *policy.Decision, id, page string) (path string, required *policy.Requirement, ok bool) {
	p := flow.Pending{Host: q.host.display(!q.plain), Return: g.returnTo(q), Rule: d.Rule(), RequestID: id, Held: q.heldID}
	required = q.everything()
	if q.demanded != nil {
		required = q.demanded
	}
	required = required.Carried(q.subject, q.now)
	if required != nil {
		p.Required = required.String()
	}
	if q.session != nil {
		p.Family = q.session.Family
	}
	flowID, err := g.Flows.Begin(p)
	if err != nil {
		g.Log(q.r.Context(), "begin a flow", err)
		g.unavailable(q)
		return "", nil, false
	}
	return Prefix + page + "?flow=" + flowID, required, true
}

// challenge leads a person to a page, and tells a program what is missing.
func (g *Gate) challenge(q *request, d *policy.Decision, id, mark, page string) {
	path, required, ok := g.begin(q, d, id, page)
	if !ok {
		return
	}
	g.mark(q, id, mark)
	if navigation(q.r) {
		q.w.Header().Set("Location", path)
		q.w.WriteHeader(http.StatusSeeOther)
		return
	}
	out := problem.Problem{
		Status: http.StatusUnauthorized, Title: "Sign-in required", ErrorType: "sign_in_required", RequestID: id, Rule: d.Rule(), Floor: d.Floor(),
		Detail: "Sign in to use this address.", ChallengeURL: g.origin(q) + path,
	}
	var c *problem.Challenge
	if required != nil {
		out.Required = json.RawMessage(required.String())
	}
	if mark == markStepUp {
		out.Title, out.ErrorType = "Step-up required", "step_up_required"
		out.Detail = "A further or more recent proof of identity is required for this address."
		out.Missing = required.MissingAhead(q.subject, q.now, q.now, nil)
		c = &problem.Challenge{ACRValues: required.ACRValues(), MaxAge: required.MaxAge()}
	}
	g.write(q, out, c)
}

func (g *Gate) denied(q *request, d *policy.Decision, id string) {
	var who ui.Identity
	family := ""
	if q.session != nil {
		who = ui.Identity{Email: q.session.User.Email, Name: q.session.User.Name}
		family = q.session.Family
	}
	shown := q.host.display(!q.plain)
	g.refuse(q, id, http.StatusForbidden, markDenied, problem.Problem{
		Title: "Denied", ErrorType: "denied", Rule: d.Rule(), Detail: "The policy of this site does not allow this request.",
	}, ui.Denied{
		Common: ui.Common{CSRF: g.Flows.FormToken(shown, family)}, Target: ui.Target{Host: shown, Path: q.original.path},
		Identity: who, Rule: d.Rule(), Reference: id,
	})
}

func (g *Gate) badTarget(q *request, item Item) {
	option := ""
	detail := "The request target contains " + string(item) + ", which programs read in different ways. It was not forwarded."
	if slices.Contains(Loosenable, item) {
		option = "allow_target " + string(item)
		detail += " An operator can allow it for a route with “" + option + "”."
	}
	id := g.early(q, string(item))
	g.Log(q.r.Context(), "request target refused", nil, "request_id", id, "item", string(item), "option", option)
	g.refuse(q, id, http.StatusBadRequest, markError, problem.Problem{
		ErrorType: "ambiguous_target", Detail: detail,
	}, ui.Error{Item: string(item), Option: option})
}

func (g *Gate) misdirected(q *request) {
	g.refuse(q, g.early(q, "misdirected"), http.StatusMisdirectedRequest, markError, problem.Problem{
		ErrorType: "misdirected", Detail: "This site does not serve the host that was asked for.",
	}, ui.Error{Host: q.host.display(!q.plain)})
}

func (g *Gate) unavailable(q *request) {
	g.Log(q.r.Context(), "the session could not be looked up", q.unknown)
	g.fail(q, http.StatusServiceUnavailable, "store_unavailable", "The gateway cannot tell who is asking right now. Try again in a moment.")
}

// fail refuses a request for a reason that is nobody's decision.
func (g *Gate) fail(q *request, status int, kind, detail string) {
	g.refuse(q, g.early(q, kind), status, markError, problem.Problem{ErrorType: kind, Detail: detail}, ui.Error{Detail: ""})
}

// refuse answers with a page to a person and with a problem to a program.
func (g *Gate) refuse(q *request, id string, status int, mark string, p problem.Problem, page ui.Page) {
	g.mark(q, id, mark)
	if navigation(q.r) {
		if e, ok := page.(ui.Error); ok {
			e.Status, e.Reference = status, id
			page = e
		}
		if err := g.Pages.Render(q.w, status, page); err != nil {
			g.Log(q.r.Context(), "render a page", err)
		}
		return
	}
	p.Status, p.RequestID = status, id
	g.write(q, p, nil)
}

func (g *Gate) write(q *request, p problem.Problem, c *problem.Challenge) {
	if err := problem.Write(q.w, p, c); err != nil {
		g.Log(q.r.Context(), "write an answer", err)
	}
}

func (g *Gate) mark(q *request, id, mark string) {
	own(q.w)
	h := q.w.Header()
	h.Set("Stepgate-Response", mark)
	h.Set("Stepgate-Request-Id", id)
	h.Set("Cache-Control", "no-store")
}

// requestID draws the reference that pages, problems and logs share.
func (g *Gate) requestID() string {
	var b [15]byte
	if _, err := io.ReadFull(g.Rand, b[:]); err != nil {
		g.Log(context.Background(), "draw a request id", err)
		return "request-unknown"
	}
	return "request-" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// navigation tells whether a person is waiting for a page: the browser says so (Fetch
// Metadata), or it says nothing and prefers HTML.
func navigation(r *http.Request) bool {
	if longLived(r) {
		return false
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	if r.Header["Sec-Fetch-Site"] != nil || r.Header["Sec-Fetch-Dest"] != nil {
		return false
	}
	return prefersHTML(r.Header["Accept"])
}

// prefersHTML tells whether text/html has the highest weight among what is accepted by name.
func prefersHTML(accept []string) bool {
	best, html := -1.0, -1.0
	for _, line := range accept {
		for part := range strings.SplitSeq(line, ",") {
			kind, params, _ := strings.Cut(part, ";")
			q := weight(params)
			switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
			case "", "*/*":
				continue
			case "text/html", "application/xhtml+xml":
				html = max(html, q)
			}
			best = max(best, q)
		}
	}
	return html > 0 && html >= best
}

func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		if value, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(p), " ", ""), "q="); ok {
			if q, err := strconv.ParseFloat(value, 64); err == nil {
				return q
			}
		}
	}
	return 1
}

// returnTo is the document to go back to: the target of a navigation by GET; else the page
// of this host that sent the request; else, for a form, its target. A background request's
// own address is never one.
func (g *Gate) returnTo(q *request) string {
	person := navigation(q.r)
	if person && (q.r.Method == http.MethodGet || q.r.Method == http.MethodHead) {
		return q.original.uri
	}
	if page := g.referer(q); page != "" {
		return page
	}
	if person {
		return q.original.uri
	}
	return "/"
}

// referer is the page of the same host that sent the request; empty when that is not known.
func (g *Gate) referer(q *request) string {
	if site := q.r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return ""
	}
	u, err := url.Parse(q.r.Header.Get("Referer"))
	if err != nil || u.Host == "" {
		return ""
	}
	h, ok := parseHost(u.Host)
	if !ok || h != q.host {
		return ""
	}
	t, item := parseTarget(u.RequestURI(), g.Loosened)
	if item != "" || strings.HasPrefix(t.path, Prefix) {
		return ""
	}
	return t.uri
}
