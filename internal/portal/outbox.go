package portal

import (
	"net/http"
	"strconv"
	"time"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

// kept returns the kept messages, on loopback only: they hold codes and links of everybody.
func (p *Portal) mayReadOutbox(c *call) bool { return p.outbox != nil && c.visit.Loopback }

func (p *Portal) showOutbox(c *call) error {
	if !p.mayReadOutbox(c) {
		return flow.ErrNotFound
	}
	var m ui.Outbox
	for _, s := range p.outbox.List() {
		m.Messages = append(m.Messages, ui.Sent{
			Channel: string(s.Channel), To: s.To, Subject: s.Subject, Text: s.Text, Code: s.Code, Link: s.Link, SentAt: s.SentAt,
		})
	}
	return p.show(c, http.StatusOK, "portal", m)
}

func (p *Portal) outboxJSON(c *call) error {
	if !p.mayReadOutbox(c) {
		return flow.ErrNotFound
	}
	p.writeJSON(c, p.outbox.List())
	return nil
}

// retryAfter tells programs when to come back (RFC 9110, section 10.2.3).
func retryAfter(w http.ResponseWriter, e *flow.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
}
