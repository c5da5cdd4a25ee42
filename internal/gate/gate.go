// Package gate enforces the policy on requests, on plain net/http: it makes one canonical
// request, takes out everything by which a client could speak for the gateway, looks the
// session up, decides, and forwards, challenges or refuses.
package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/stepgate/stepgate/internal/decisions"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/visit"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/ui"
)

// Sessions finds the session of a cookie. The error is store.ErrNotFound when there is none;
// any other means that it cannot be told.
type Sessions interface {
	Lookup(ctx context.Context, cookie string) (*session.Session, error)
	// Follow returns the current session after rotations, for connections that stay open.
	Follow(ctx context.Context, s *session.Session) (*session.Session, error)
	// Spend takes proofs that serve one request out of a session. The error is
	// store.ErrConflict when another request was faster.
	Spend(ctx context.Context, s *session.Session, proofs []policy.Factor) error
}

// Flows begins the flows that answers lead to.
type Flows interface {
	Begin(p flow.Pending) (id string, err error)
	FormToken(host, family string) string
	// RememberedAt is when the device that keeps a value was remembered for the user of a
	// session; the zero time when it is not.
	RememberedAt(s *session.Session, device string) time.Time
	// Pending opens the id of a flow; NewBrowser draws the id of a browser.
	Pending(v flow.Visitor, host, id string) (flow.Pending, error)
	NewBrowser() (string, error)
}

// Engine is what all gates of an installation share.
type Engine struct {
	Sessions Sessions
	Flows    Flows
	Signer   *Signer
	// Portal serves what is below /.stepgate/, and what WellKnown gives it; nil gives nothing.
	Portal    http.Handler
	WellKnown WellKnown
	Pages     *ui.Pages
	Now       func() time.Time
	Rand      io.Reader
	// Tick returns a channel that fires after a time; it paces the watch on open connections.
	Tick func(time.Duration) <-chan time.Time
	// Held keeps forms that wait for a challenge, of up to HoldLimit bytes; a limit of 0 keeps
	// none.
	Held      *held.Requests
	HoldLimit int64
	// Decisions keeps what was decided; nil keeps nothing.
	Decisions *decisions.Recorder
	// Log takes what operators must know. fields are pairs of names and values.
	Log func(ctx context.Context, msg string, err error, fields ...any)
}

// Site is one gated route.
type Site struct {
	// Hosts are the names that the site serves, in lower case; "*." stands for one label.
	// Empty serves any host.
	Hosts []string
	// Known are the host names that the operator configured anywhere. Only they, and loopback
	// hosts, stand in links and assertions; any other name was chosen by the client.
	Known []string
	// Loosened are the items that request targets may contain.
	Loosened []Item
	// Policy returns the policy in force; nil means that there is none, which fails closed.
	Policy func() *policy.Policy
	// PolicyName is what the log of decisions calls the policy: its file, or the inline rule.
	PolicyName string
}

// Gate guards one site.
type Gate struct {
	*Engine
	Site
}

// Arrival is what the server around the gate knows about a request beyond the request itself.
type Arrival struct {
	// ClientIP is the address of the client as the server's trusted proxies tell it; the zero
	// Addr when unknown.
	ClientIP netip.Addr
	// OriginalURI is the target as it was received, when a rewrite came before the gate.
	OriginalURI string
	// Allowed is the decision by which a rule in front of this gate allowed this very request:
	// only the floors of the policy are held against it. The zero Decision stands for none.
	Allowed policy.Decision
	// Absent tells whether an error of next means that there is nothing at the address; nil
	// takes every error for something else.
	Absent func(error) bool
	// Judged is called once, after the decision and before anything is forwarded or answered.
	Judged func(Verdict)
}

// Verdict is what was decided about a request, for logs and placeholders.
type Verdict struct {
	// Outcome is a name of policy.Outcome, "portal", or "refused".
	Outcome string
	Rule    string
	// Floor is the first floor that is missing something; empty when none is.
	Floor  string
	Reason string
	// Reports are what rules with report_only would have done; nil when there are none.
	Reports []policy.Reported
	// Decision is what the policy decided; the zero Decision when it was not asked.
	Decision policy.Decision
	// Session is nil for an anonymous visitor.
	Session *session.Session
	// Held tells what became of what somebody entered: "held", "sent", "gone", "too_large", "busy",
	// "unreadable" or "cross_site"; empty for most requests.
	Held string
	// RequestID is the reference of the answer. A request that is forwarded has one only when
	// its decision is logged.
	RequestID string
}

// Next forwards a request.
type Next func(http.ResponseWriter, *http.Request) error

// request is one request on its way through.
type request struct {
	w        http.ResponseWriter
	r        *http.Request
	arrival  Arrival
	host     host
	target   target
	original target
	plain    bool
	session  *session.Session
	cookies  visit.Cookies
	// spends are the proofs by which the readings of the request pass, spent those used up.
	spends, spent []policy.Factor
	// reports are what rules with report_only would have done.
	reports []policy.Reported
	// asked is the policy that judged, subject who it was asked about; nil for nobody.
	asked   *policy.Policy
	subject *policy.Subject
	// heldID is the id of the request that waits for a challenge, or that this one is to repeat;
	// held tells what became of it. Both are empty for most requests.
	heldID, held string
	// out takes the answer of the application. It stands here so that both are one allocation.
	out responseWriter
	// demanded is what the application asked for in place of an answer; nil for most requests.
	demanded *policy.Requirement
	// back is the document to go on with when the request that is to be repeated is gone.
	back string
	// unknown is set when the store could not tell whether there is a session.
	unknown error
	now     time.Time
}

// ServeHTTP guards one request. It answers by itself or calls next, never both. The error is
// that of next.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, a Arrival, next Next) (err error) {
	q := &request{w: w, r: r, arrival: a, now: g.Now()}
	forwarded := false
	defer func() {
		if p := recover(); p != nil {
			if forwarded {
				panic(p)
			}
			g.Log(r.Context(), "panic in the gate", fmt.Errorf("%v\n%s", p, debug.Stack()))
			g.fail(q, http.StatusInternalServerError, "internal_error", "internal error")
			err = nil
		}
	}()
	if r.TLS != nil && !r.TLS.HandshakeComplete {
		g.fail(q, http.StatusTooEarly, "too_early", "early data is not accepted")
		return nil
	}
	if !g.canonical(q) {
		return nil
	}
	rebuild(r)
	g.lookup(q)
	if strings.HasPrefix(q.original.path, Prefix) || strings.HasPrefix(q.target.path, Prefix) {
		g.portal(q)
		return nil
	}
	ours, always := g.wellKnown(q)
	if always {
		g.portal(q)
		return nil
	}
	if !g.repeats(q) {
		return nil
	}
	d := g.decide(q)
	if !g.spend(q, &d) {
		g.unavailable(q)
		return nil
	}
	if ours && takesOver(&d) {
		g.portal(q)
		return nil
	}
	if d.Outcome() != policy.Allow {
		g.answer(q, &d)
		return nil
	}
	who, err := g.identityOf(q)
	if err != nil {
		g.Log(r.Context(), "sign an assertion", err)
		g.fail(q, http.StatusServiceUnavailable, "assertion_unavailable", "the assertion could not be signed")
		return nil
	}
	if !g.send(q) {
		return nil
	}
	seen := g.observe(q, &d)
	who.set(q.r.Header)
	id := ""
	if seen != nil {
		id = g.requestID()
	}
	q.judged(&d, id)
	g.keep(seen, id)
	forwarded = true
	if ours {
		return g.forwardFirst(q, &d, next)
	}
	return g.forward(q, &d, next)
}

// Prefix is the reserved path of every gated host.
const Prefix = "/.stepgate/"

// canonical makes the one reading of the request that policy, log and upstream use. It
// answers and returns false when there is more than one.
func (g *Gate) canonical(q *request) bool {
	var ok bool
	if q.host, ok = parseHost(q.r.Host); !ok {
		g.fail(q, http.StatusBadRequest, "invalid_host", "the Host header is not a host name")
		return false
	}
	q.plain = q.r.TLS == nil && q.host.loopback()
	if !served(g.Hosts, q.host) {
		g.misdirected(q)
		return false
	}
	if status := badMethod(q.r); status != 0 {
		g.fail(q, status, "method_refused", "this method is not accepted here")
		return false
	}
	var item Item
	if q.target, item = parseTarget(q.r.RequestURI, g.Loosened); item != "" {
		g.badTarget(q, item)
		return false
	}
	q.original = q.target
	if uri := q.arrival.OriginalURI; uri != "" && uri != q.r.RequestURI {
		if q.original, item = parseTarget(uri, g.Loosened); item != "" {
			g.badTarget(q, item)
			return false
		}
	}
	return true
}

// lookup takes our cookies out of the request and finds the session. A malformed, repeated or
// unknown cookie is no cookie.
func (g *Gate) lookup(q *request) {
	q.cookies = cookies(q.r.Header, q.plain)
	g.find(q)
}

// find looks the session of the request up.
func (g *Gate) find(q *request) {
	q.session = nil
	if q.cookies.Session == "" {
		return
	}
	s, err := g.Sessions.Lookup(q.r.Context(), q.cookies.Session)
	switch {
	case err == nil:
		q.session = s
	case !errors.Is(err, store.ErrNotFound):
		q.unknown = err
	}
}

// Visitor finds the session of a request by its Cookie header, and changes neither: nil when
// nobody is signed in. The error means that it cannot be told.
func (e *Engine) Visitor(r *http.Request, cookies []string) (*session.Session, error) {
	h, ok := parseHost(r.Host)
	if !ok || len(cookies) == 0 {
		return nil, nil
	}
	values, _, _ := readCookies(cookies, r.TLS == nil && h.loopback())
	if values.Session == "" {
		return nil, nil
	}
	s, err := e.Sessions.Lookup(r.Context(), values.Session)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return s, err
}

// answerOf takes the answer of the application to a request.
func answerOf(q *request, d *policy.Decision) *responseWriter {
	q.out = responseWriter{ResponseWriter: q.w, private: d.Requirement() != nil || q.session != nil}
	return &q.out
}

// forward hands the request on, under a watch when its connection may stay open. When the
// application asks for a step-up in its answer, the gate asks in its place.
func (g *Gate) forward(q *request, d *policy.Decision, next Next) error {
	w := answerOf(q, d)
	w.gate, w.request = g, q
	form := g.copyForm(q)
	if form != nil {
		defer form.Release()
	}
	err := g.hand(w, q, next)
	if err == nil && !w.withholds(http.StatusOK) {
		w.first() // an answer without a body, of which nobody said anything, is sent by the server
	}
	if w.withheld == nil {
		return err
	}
	g.demand(q, d, w.withheld, form)
	return nil
}

// hand hands the request on.
func (g *Gate) hand(w *responseWriter, q *request, next Next) error {
	if !longLived(q.r) {
		return next(w, q.r)
	}
	ctx, cancel := context.WithCancel(q.r.Context())
	defer cancel()
	// Handlers behind the gate may change the request while the watch reads it.
	watched := *q
	watched.r = q.r.Clone(ctx)
	go g.watch(ctx, cancel, &watched)
	return next(w, q.r.WithContext(ctx))
}

// origin is the origin of the site as the configuration knows it; empty when the host is a
// name that only the client gave. Sites other than loopback are reached by TLS, here or at a
// proxy in front: their cookie is Secure.
func (g *Gate) origin(q *request) string {
	switch {
	case q.plain:
		return "http://" + q.host.display(false)
	case q.host.loopback(), len(g.Hosts) > 0, len(g.Known) > 0 && served(g.Known, q.host):
		return "https://" + q.host.display(true)
	}
	return ""
}

// verdict is a decision as logs and placeholders see it.
func (q *request) verdict(d *policy.Decision, requestID string) Verdict {
	return Verdict{
		Outcome: d.Outcome().String(), Rule: d.Rule(), Floor: d.Floor(), Reason: d.Reason(), Reports: q.reports,
		Decision: *d, Session: q.session, Held: q.held, RequestID: requestID,
	}
}

// judged tells what was decided. requestID is the reference of the answer or the log.
func (q *request) judged(d *policy.Decision, requestID string) {
	if q.arrival.Judged != nil {
		q.arrival.Judged(q.verdict(d, requestID))
	}
}

// method is that of the request, as the policy reads it.
func (q *request) method() string {
	if extendedConnect(q.r) {
		return http.MethodGet // what the upgrade is called in HTTP/1.1, and upstream
	}
	return q.r.Method
}
