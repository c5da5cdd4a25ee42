package gate

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/problem"
	"github.com/stepgate/stepgate/policy"
)

// requireHeader is by which an application asks for a step-up: a requirement, and after a
// semicolon max_age in seconds.
const requireHeader = "Stepgate-Require"

// maxAsked bounds what is read of an application's demand, in bytes.
const maxAsked = 2 << 10

// demand is a step-up that an application asks for by its answer, which is then withheld.
type demand struct {
	// required is nil for a demand that cannot be read; err tells why.
	required *policy.Requirement
	err      error
}

// demanded reads what an answer asks for: nil when it is nothing, or what the visitor has proven.
// In the latter case the answer is for the visitor, whatever it says: asking again would go on
// for ever.
func (g *Gate) demanded(q *request, status int, h http.Header) *demand {
	required, err := asksFor(q.asked, status, h)
	switch {
	case err != nil:
		return &demand{err: err}
	case required == nil, q.subject != nil && required.MetBy(q.subject, g.Now()):
		return nil
	}
	return &demand{required: required}
}

// asksFor is the requirement that an answer names; nil when it names none.
func asksFor(p *policy.Policy, status int, h http.Header) (*policy.Requirement, error) {
	if lines, ok := h[requireHeader]; ok {
		if len(lines) != 1 || len(lines[0]) > maxAsked {
			return nil, fmt.Errorf("%w: the header stands %d times, or is too long", policy.ErrNoRequirement, len(lines))
		}
		name, param, more := strings.Cut(lines[0], ";")
		key, text, _ := strings.Cut(param, "=")
		if more && strings.TrimSpace(key) != "max_age" {
			return nil, fmt.Errorf("%w: %.80q has a parameter other than max_age", policy.ErrNoRequirement, lines[0])
		}
		age, err := askedAge(text, more)
		if err != nil {
			return nil, err
		}
		return p.ByName(strings.TrimSpace(name), age)
	}
	if status != http.StatusUnauthorized {
		return nil, nil
	}
	for _, line := range h["Www-Authenticate"] {
		if r := byChallenge(p, line); r != nil {
			return r, nil
		}
	}
	return nil, nil
}

// byChallenge is the requirement that a challenge of RFC 9470 names. It is nil for one that names
// nothing known here: that is between the application and its own clients.
func byChallenge(p *policy.Policy, line string) *policy.Requirement {
	if len(line) > maxAsked {
		return nil
	}
	params, ok := problem.Bearer(line)
	if !ok || params["error"] != "insufficient_user_authentication" {
		return nil
	}
	text, given := params["max_age"]
	age, err := askedAge(text, given)
	if err != nil {
		return nil
	}
	r, err := p.ByACR(strings.Fields(params["acr_values"]), age)
	if err != nil {
		return nil
	}
	return r
}

// askedAge reads seconds. 0 asks for a proof that is made now (RFC 9470, section 3).
func askedAge(text string, given bool) (time.Duration, error) {
	if !given {
		return 0, nil
	}
	seconds, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%w: max_age %.40q is no number of seconds", policy.ErrNoRequirement, text)
	}
	return max(time.Duration(seconds)*time.Second, time.Second), nil
}

// copyForm keeps a copy of a form on its way to an application that may ask for a step-up in
// answer to it. It returns nil for every other request.
func (g *Gate) copyForm(q *request) *held.Copy {
	if q.r.Body == nil || !g.mayHold(q) {
		return nil
	}
	c := g.Held.Copy(q.session.UserID, q.r.Body, q.r.ContentLength, g.HoldLimit)
	if c != nil {
		q.r.Body = c
	}
	return c
}

// mayHold tells whether a request is a form that can be held.
func (g *Gate) mayHold(q *request) bool {
	return q.r.Method == http.MethodPost && g.HoldLimit > 0 && q.session != nil && navigation(q.r) && sentFrom(q) == here && formTarget(q.original.uri)
}

// demand asks the visitor for what the application asked for, in the place of its answer. form is
// the copy of what was sent; nil when there is none.
func (g *Gate) demand(q *request, d *policy.Decision, asked *demand, form *held.Copy) {
	own(q.w)
	clearAnswer(q.w.Header())
	if asked.required == nil {
		g.Log(q.r.Context(), "the application asked for a step-up that cannot be read", asked.err, "host", q.host.name, "path", q.target.path)
		g.fail(q, http.StatusBadGateway, "unreadable_step_up", "The application asked for a further proof of identity in a form that cannot be read. Its operator finds the reason in the log.")
		return
	}
	id := g.requestID()
	q.demanded, q.heldID, q.held = asked.required, "", ""
	if q.session == nil {
		g.challenge(q, d, id, markSignIn, "sign-in")
		return
	}
	switch {
	case form == nil && g.mayHold(q) && q.r.ContentLength > g.HoldLimit:
		q.held = heldTooLarge
	case form != nil:
		err := g.holdBody(q, func(h held.Head) (string, error) {
			body, err := form.Whole()
			if err != nil {
				return "", err
			}
			return g.Held.Hold(q.r.Context(), h, body)
		})
		if err != nil {
			q.unknown = err
			g.unavailable(q)
			return
		}
	}
	g.stepUp(q, d, id)
}

// clearAnswer takes out of a header what described the answer of an application, but for the
// cookies that it set, of which none may have a name of ours.
func clearAnswer(h http.Header) {
	keepCookies(h, h["Set-Cookie"])
	for name := range h {
		switch name {
		case "Set-Cookie", "Date", "Server", "Via", "Alt-Svc", "Strict-Transport-Security":
		default:
			delete(h, name)
		}
	}
}
