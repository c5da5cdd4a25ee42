// Package problem writes refusals for programs: problem+json (RFC 9457) with the challenge of
// RFC 6750 and RFC 9470 beside it.
package problem

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ContentType is the media type of a problem.
const ContentType = "application/problem+json"

// Problem is the body of a refusal.
type Problem struct {
	// Type is a URI reference that names the kind of problem. Default: "about:blank" for a
	// problem that says no more than its status, else a fragment of the documentation.
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	ErrorType string `json:"error_type"`
	RequestID string `json:"request_id"`
	// Rule is the rule of the policy that refused.
	Rule string `json:"rule,omitempty"`
	// Floor is the floor of the policy that is missing something, beside the rule that decided.
	Floor string `json:"floor,omitempty"`
	// Required is the requirement, Missing the alternative sets of factors that would meet it.
	Required     json.RawMessage `json:"required,omitempty"`
	Missing      any             `json:"missing,omitempty"`
	ChallengeURL string          `json:"challenge_url,omitempty"`
}

// Challenge is what WWW-Authenticate says about a step-up.
type Challenge struct {
	ACRValues []string
	// MaxAge is how old an authentication may be; 0 when its age does not matter.
	MaxAge time.Duration
}

// Write answers with a problem. A 401 always carries a challenge (RFC 9110, section 15.5.2):
// that of RFC 9470 when c is given, else one that asks for a session.
func Write(w http.ResponseWriter, p Problem, c *Challenge) error {
	if p.Type == "" {
		p.Type = "urn:stepgate:problem:" + p.ErrorType
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode a problem: %w", err)
	}
	h := w.Header()
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", c.header())
	}
	h.Set("Content-Type", ContentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(p.Status)
	if _, err := w.Write(append(body, '\n')); err != nil {
		return fmt.Errorf("write a problem: %w", err)
	}
	return nil
}

func (c *Challenge) header() string {
	if c == nil {
		return `Bearer realm="stepgate"`
	}
	s := `Bearer error="insufficient_user_authentication", error_description="A further or more recent proof of identity is required"`
	if len(c.ACRValues) > 0 {
		s += `, acr_values="` + strings.Join(c.ACRValues, " ") + `"`
	}
	if c.MaxAge > 0 {
		s += `, max_age="` + strconv.FormatInt(int64(c.MaxAge/time.Second), 10) + `"`
	}
	return s
}
