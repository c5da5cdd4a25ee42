package gate

import (
	"github.com/stepgate/stepgate/internal/visit"
)

// portal serves the gateway's own pages and API.
func (g *Gate) portal(q *request) {
	if q.unknown != nil {
		g.unavailable(q)
		return
	}
	v := g.visit(q)
	if q.arrival.Judged != nil {
		q.arrival.Judged(Verdict{Outcome: "portal", Session: q.session, RequestID: v.RequestID})
	}
	g.serve(q, v)
}

// visit is what the portal learns of a request.
func (g *Gate) visit(q *request) *visit.Visit {
	return &visit.Visit{
		Session: q.session, Browser: q.cookies.Browser, Device: q.cookies.Device, IP: q.arrival.ClientIP, Host: q.host.display(!q.plain), Origin: g.origin(q), Plain: q.plain,
		Loopback: q.host.loopback() && q.arrival.ClientIP.Unmap().IsLoopback(), RequestID: g.requestID(),
	}
}

// serve has the portal answer.
func (g *Gate) serve(q *request, v *visit.Visit) {
	// The portal sees the request as it was received, whatever a rewrite made of it.
	r := q.r.Clone(visit.With(q.r.Context(), v))
	r.URL.Path, r.URL.RawPath, r.URL.RawQuery = q.original.path, "", q.original.query
	g.Portal.ServeHTTP(q.w, r)
}
