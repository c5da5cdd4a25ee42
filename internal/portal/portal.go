// Package portal is what the gateway itself serves below /.stepgate/: the pages of sign-in,
// challenge and account, and the JSON API. Both are renderings of the flow engine. Requests
// reach it through the gate, which has judged target, host and session.
package portal

import (
	"net/http"
	"strings"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/decisions"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/visit"
	"github.com/stepgate/stepgate/ui"
)

// Prefix is the reserved path of every gated host.
const Prefix = "/.stepgate/"

const (
	// maxBody bounds every body that the portal reads. The largest is the attestation of an
	// authenticator with a chain of certificates.
	maxBody = 64 << 10
	// maxUserAgent bounds what is kept of a header that a client controls.
	maxUserAgent = 256
)

// Config is what New needs.
type Config struct {
	Engine *flow.Engine
	// Held keeps what waits for the end of a challenge.
	Held  *held.Requests
	Pages *ui.Pages
	// Outbox shows kept messages on loopback; nil when messages are really sent.
	Outbox *delivery.Outbox
	// JWKS serves the public keys of assertions.
	JWKS http.Handler
	// Policies lists the policies in force, Explain tells what one decides, Refusals keeps the latest
	// refusals and Events all audit events: for the pages of administrators.
	Policies func() []PolicyInForce
	Explain  Explain
	Refusals *decisions.Recent
	Events   *audit.Log
	// Log takes errors that no answer tells about.
	Log func(msg string, err error)
}

// Portal serves the pages and the API.
type Portal struct {
	engine *flow.Engine
	held   *held.Requests
	pages  *ui.Pages
	outbox *delivery.Outbox
	log    func(string, error)
	mux    *http.ServeMux
	guard  *http.CrossOriginProtection

	policies func() []PolicyInForce
	explain  Explain
	refusals *decisions.Recent
	events   *audit.Log
}

// New returns a Portal.
func New(c Config) *Portal {
	p := &Portal{
		engine: c.Engine, held: c.Held, pages: c.Pages, outbox: c.Outbox, log: c.Log,
		mux: http.NewServeMux(), guard: http.NewCrossOriginProtection(),
		policies: c.Policies, explain: c.Explain, refusals: c.Refusals, events: c.Events,
	}
	p.routeAPI()
	p.routePages()
	p.routeWellKnown()
	p.routeAdmin()
	p.routeSchemas()
	p.mux.Handle("GET "+ui.PathAssets, c.Pages.Assets())
	if c.JWKS != nil {
		p.mux.Handle("GET "+Prefix+"jwks.json", c.JWKS)
	}
	return p
}

// ServeHTTP implements http.Handler. A request that did not come through the gate, or that
// another site caused, is refused before any handler sees it.
func (p *Portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if visit.From(r.Context()) == nil {
		http.Error(w, "not available", http.StatusInternalServerError)
		return
	}
	c := newCall(w, r)
	h := w.Header()
	h.Set("Stepgate-Response", "portal")
	h.Set("Cache-Control", "no-store")
	h.Set("Stepgate-Request-Id", c.visit.RequestID)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if p.postedCallback(c) {
		return
	}
	if err := p.guard.Check(r); err != nil {
		p.refuse(c, errCrossOrigin)
		return
	}
	if err := p.nameBrowser(c); err != nil {
		p.refuse(c, err)
		return
	}
	handler, pattern := p.mux.Handler(r)
	if pattern == "" {
		p.unrouted(c, handler)
		return
	}
	p.mux.ServeHTTP(w, r)
}

// unrouted answers what no route takes: 405 when another method would do, else 404.
func (p *Portal) unrouted(c *call, handler http.Handler) {
	probe := &headerProbe{header: make(http.Header)}
	handler.ServeHTTP(probe, c.r)
	if probe.status == http.StatusMethodNotAllowed {
		c.w.Header().Set("Allow", probe.header.Get("Allow"))
		p.refuse(c, errMethod)
		return
	}
	p.refuse(c, flow.ErrNotFound)
}

// refuse answers in the form that the request asked for.
func (p *Portal) refuse(c *call, err error) {
	if c.api() {
		p.problem(c, err)
		return
	}
	p.errorPage(c, err)
}

// call is one request to the portal.
type call struct {
	w       http.ResponseWriter
	r       *http.Request
	visit   *visit.Visit
	visitor flow.Visitor
	// pending and flow are the flow that a call to the API is tied to; zero when it is not.
	pending flow.Pending
	flow    string
}

func newCall(w http.ResponseWriter, r *http.Request) *call {
	v := visit.From(r.Context())
	agent := r.UserAgent()
	if len(agent) > maxUserAgent {
		agent = agent[:maxUserAgent]
	}
	c := &call{w: w, r: r, visit: v, visitor: flow.Visitor{
		Session: v.Session, IP: v.IP, UserAgent: strings.ToValidUTF8(agent, ""), Origin: v.Origin,
	}}
	if flow.WellFormedBrowser(v.Browser) {
		c.visitor.Browser = v.Browser
	}
	if flow.WellFormedBrowser(v.Device) {
		c.visitor.Device = v.Device
	}
	return c
}

// nameBrowser draws an id for a browser that has none before something is proven in it. The
// browser gets it together with the session, if there is one.
func (p *Portal) nameBrowser(c *call) error {
	if c.r.Method != http.MethodPost || c.visitor.Browser != "" {
		return nil
	}
	id, err := p.engine.NewBrowser()
	c.visit.NameBrowser(id)
	return err
}

// tellApart makes sure that the browser has an id of its own, before something is begun that
// only this browser may finish.
func (p *Portal) tellApart(c *call) error {
	if c.visitor.Browser == "" {
		id, err := p.engine.NewBrowser()
		if err != nil {
			return err
		}
		c.visit.NameBrowser(id)
		c.visitor.Browser = id
	}
	c.visit.SetBrowser(c.w)
	return nil
}

// api tells whether the request is one to the JSON API.
func (c *call) api() bool { return strings.HasPrefix(c.r.URL.Path, Prefix+"api/") }

// headerProbe reads what a handler would have answered.
type headerProbe struct {
	header http.Header
	status int
}

func (p *headerProbe) Header() http.Header { return p.header }

func (p *headerProbe) WriteHeader(status int) { p.status = status }

func (p *headerProbe) Write(b []byte) (int, error) { return len(b), nil }
