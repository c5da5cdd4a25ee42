package decisions

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/policy"
)

// Event is a decision as the gate hands it over: values that do not change any more, so that an
// Entry can be made of it later.
type Event struct {
	Time      time.Time
	RequestID string
	// Asked is the policy that was asked, Policy its name; nil and "" before any was.
	Asked  *policy.Policy
	Policy string
	// Decision is what it decided. Refusal is set instead when the request was refused before; then
	// method, host and path are an Excerpt, for nothing has bounded them yet.
	Decision policy.Decision
	Refusal  string

	Method, Host string
	// Targets are the readings of the target. The first is that of the request as it was received.
	Targets []Target
	// Headers is what policy.Policy.HeaderRead tells, HeadersWhole its second result.
	Headers      map[string][]string
	HeadersWhole bool
	AllowedBy    string
	ClientIP     netip.Addr
	// Subject is nil when nobody was signed in.
	Subject *policy.Subject
	Reports []policy.Reported
	// Held tells what became of what somebody entered; empty for most requests.
	Held string
}

// Target is a path, decoded, and a query as it was sent.
type Target struct{ Path, RawQuery string }

// The bounds of an entry.
const (
	maxMissing = 10
	maxText    = 1 << 10 // bytes of a claim, or of a text of a request that was refused unread
)

// Excerpt copies what is kept of a text in a request that was refused unread, up to 1 KiB. A
// part of the text would keep all of it, and what it was cut from, in memory.
func Excerpt(text string) string { return strings.Clone(text[:min(len(text), maxText)]) }

// refused tells whether the request was not forwarded.
func (ev *Event) refused() bool { return ev.Refusal != "" || ev.Decision.Outcome() != policy.Allow }

// entry makes the entry of an event.
func (ev *Event) entry() Entry {
	e := Entry{
		Time: ev.Time.UTC(), RequestID: ev.RequestID, Policy: ev.Policy, Method: ev.Method, Host: ev.Host,
		AllowedBy: ev.AllowedBy, Headers: ev.Headers, Partial: !ev.HeadersWhole,
		Held: ev.Held,
	}
	if ev.ClientIP.IsValid() {
		e.ClientIP = ev.ClientIP.String()
	}
	if ev.Refusal != "" {
		e.Outcome, e.Reason, e.Partial = policy.Refuse.String(), ev.Refusal, false
		for _, t := range ev.Targets {
			e.Path = t.Path
		}
		e.Visitor = visitorOf(&e, nil, ev.Subject)
		return e
	}
	d := &ev.Decision
	e.Outcome, e.Rule, e.Floor, e.Reason = d.Outcome().String(), d.Rule(), d.Floor(), d.Reason()
	for i, t := range ev.Targets {
		query, whole := ev.Asked.QueryRead(t.RawQuery)
		e.Partial = e.Partial || !whole
		if i == 0 {
			e.Path, e.Query = t.Path, query
			continue
		}
		e.Also = append(e.Also, Reading{Path: t.Path, Query: query})
	}
	e.Visitor = visitorOf(&e, ev.Asked, ev.Subject)
	if d.Outcome() == policy.StepUp {
		e.Missing = d.Missing()
		e.Missing = e.Missing[:min(len(e.Missing), maxMissing)]
	}
	for _, r := range ev.Reports {
		e.Reported = append(e.Reported, Reported{Rule: r.Rule, Floor: r.Floor, Would: r.Outcome.String()})
	}
	return e
}

// visitorOf describes who asked, as far as the policy reads it.
func visitorOf(e *Entry, asked *policy.Policy, s *policy.Subject) *Visitor {
	if s == nil {
		return nil
	}
	v := &Visitor{UserID: s.ID, Email: s.Email, Groups: slices.Clone(s.Groups), StartedAt: s.StartedAt, Factors: []Factor{}}
	if !s.RememberedAt.IsZero() {
		at := s.RememberedAt
		v.RememberedAt = &at
	}
	v.Claims = asked.ClaimsRead(s.CustomClaims)
	maps.DeleteFunc(v.Claims, func(_ string, claim any) bool {
		long := size(claim) > maxText
		e.Partial = e.Partial || long
		return long
	})
	for i := range s.Factors {
		f := &s.Factors[i]
		name := f.Name
		if f.Variant != "" {
			name += ":" + f.Variant
		}
		v.Factors = append(v.Factors, Factor{
			Factor: name, Age: float64(e.Time.UnixMilli()-f.At.UnixMilli()) / 1000, UserVerified: f.UserVerified, Discoverable: f.Discoverable,
			BackupEligible: f.BackupEligible, Attachment: f.Attachment, AAGUID: f.AAGUID, ForRule: f.ForRule,
		})
	}
	return v
}

// size is about how many bytes a claim takes.
func size(claim any) int {
	switch c := claim.(type) {
	case string:
		return len(c)
	case []any:
		n := 0
		for _, one := range c {
			n += 1 + size(one)
		}
		return n
	case map[string]any:
		n := 0
		for name, one := range c {
			n += len(name) + size(one)
		}
		return n
	case bool, float64, int64, uint64, int, nil:
		return 8
	}
	return math.MaxInt32 // nothing else can be read back
}
