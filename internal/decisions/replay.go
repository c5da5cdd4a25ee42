package decisions

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/stepgate/stepgate/policy"
)

// ErrNotReplayable means that a request cannot be judged again: no policy was asked about it, or
// the entry does not hold all that rules read.
var ErrNotReplayable = errors.New("the log does not hold all that the rules read of this request")

// replay is the request of an entry, ready to be judged again.
type replay struct {
	requests []policy.Request // the readings
	subject  *policy.Subject
	now      time.Time
	// upheld is set when a rule of the configuration had allowed the request by allowed.
	upheld  bool
	allowed policy.Decision
}

// Judge decides about the request of an entry by a policy, as the gate would have done at that
// time. The error is ErrNotReplayable, or says what is wrong with the entry.
func (e *Entry) Judge(p *policy.Policy) (policy.Decision, error) {
	r, err := e.replay()
	if err != nil {
		return policy.Decision{}, err
	}
	d, _ := r.judge(p)
	return d, nil
}

// Explain is Judge with the part that every rule and floor had in the decision.
func (e *Entry) Explain(p *policy.Policy) (policy.Explanation, error) {
	if e.Policy == "" {
		return policy.Refused(e.Reason), nil
	}
	r, err := e.replay()
	if err != nil {
		return policy.Explanation{}, err
	}
	_, decisive := r.judge(p)
	if r.upheld {
		return p.ExplainUpheld(r.allowed, decisive, r.subject, r.now), nil
	}
	return p.Explain(decisive, r.subject, r.now), nil
}

// judge decides, and tells by which reading. The first that does not pass decides.
func (r *replay) judge(p *policy.Policy) (d policy.Decision, decisive *policy.Request) {
	for i := range r.requests {
		decisive = &r.requests[i]
		if r.upheld {
			d = p.Uphold(r.allowed, decisive, r.subject, r.now)
		} else {
			d = p.Decide(decisive, r.subject, r.now)
		}
		if d.Outcome() != policy.Allow {
			break
		}
	}
	return d, decisive
}

func (e *Entry) replay() (*replay, error) {
	if e.Policy == "" || e.Partial {
		return nil, ErrNotReplayable
	}
	out := &replay{now: e.Time}
	var ip netip.Addr
	if e.ClientIP != "" {
		var err error
		if ip, err = netip.ParseAddr(e.ClientIP); err != nil {
			return nil, fmt.Errorf("client_ip: %w", err)
		}
	}
	for _, reading := range append([]Reading{{Path: e.Path, Query: e.Query}}, e.Also...) {
		out.requests = append(out.requests, policy.Request{
			Method: e.Method, Host: e.Host, Path: reading.Path, RawQuery: url.Values(reading.Query).Encode(), Header: e.Headers, ClientIP: ip,
		})
	}
	var err error
	if out.subject, err = e.subject(); err != nil {
		return nil, err
	}
	if e.AllowedBy != "" {
		out.upheld = true
		out.allowed, err = allowedBy(e.AllowedBy)
	}
	return out, err
}

// subject is who made the request; nil for nobody.
func (e *Entry) subject() (*policy.Subject, error) {
	v := e.Visitor
	if v == nil {
		return nil, nil
	}
	s := &policy.Subject{ID: v.UserID, Email: v.Email, Groups: v.Groups, StartedAt: v.StartedAt, CustomClaims: v.Claims}
	if v.RememberedAt != nil {
		s.RememberedAt = *v.RememberedAt
	}
	for _, f := range v.Factors {
		named, err := policy.ParseFactors(f.Factor, e.Time)
		if err != nil || len(named) != 1 {
			return nil, errors.Join(fmt.Errorf("factors: %q is no factor", f.Factor), err)
		}
		parsed := named[0]
		parsed.At = e.Time.Add(-time.Duration(f.Age * float64(time.Second)).Round(time.Millisecond))
		parsed.UserVerified, parsed.Discoverable, parsed.BackupEligible = f.UserVerified, f.Discoverable, f.BackupEligible
		parsed.Attachment, parsed.AAGUID, parsed.ForRule = f.Attachment, f.AAGUID, f.ForRule
		s.Factors = append(s.Factors, parsed)
	}
	return s, nil
}

// allowedBy is the decision of a rule of the configuration that allows.
func allowedBy(rule string) (policy.Decision, error) {
	text, err := json.Marshal(map[string]any{
		"version": 1, "rules": []any{map[string]any{"name": rule, "allow": true}}, "default": map[string]any{"deny": true},
	})
	if err != nil {
		return policy.Decision{}, fmt.Errorf("allowed_by: %w", err)
	}
	p, err := policy.Load("allowed_by", text)
	if err != nil {
		return policy.Decision{}, fmt.Errorf("allowed_by: %w", err)
	}
	return p.Decide(&policy.Request{Method: "GET", Host: "any", Path: "/"}, nil, time.Time{}), nil
}
