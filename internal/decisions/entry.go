// Package decisions keeps what gates decided: the latest refusals in memory, for people who come
// with the reference of a refusal, and a log of one JSON line for each decision. A line holds
// what a policy needs to judge the request again, and nothing else: of queries, headers and
// claims only what some rule reads, and of no request a body, a cookie or a token.
package decisions

import (
	"time"

	"github.com/stepgate/stepgate/policy"
)

// Entry is one decision.
type Entry struct {
	Time time.Time `json:"time"`
	// RequestID is the reference that the answer carried. Forwarded requests have one too.
	RequestID string `json:"request_id"`
	// Policy names the policy that was asked: its file, or the inline rule. It is empty when the
	// request was refused before any policy was asked.
	Policy string `json:"policy,omitempty"`
	// Outcome is a name of policy.Outcome.
	Outcome string `json:"outcome"`
	Rule    string `json:"rule,omitempty"`
	Floor   string `json:"floor,omitempty"`
	Reason  string `json:"reason"`

	Method string `json:"method"`
	Host   string `json:"host"`
	// Path is decoded, as the policy read it; of a target that was refused it is the text as it
	// was sent, up to 1 KiB, and below /.stepgate/ up to the first segment.
	Path string `json:"path"`
	// Query and Headers hold what some rule reads; values that only count as present are “”.
	Query   map[string][]string `json:"query,omitempty"`
	Headers map[string][]string `json:"headers,omitempty"`
	// Also are further readings of the request, which had to pass too: after a rewrite, or with
	// an encoded slash.
	Also []Reading `json:"also,omitempty"`
	// AllowedBy is the rule of the configuration that had allowed the request, so that only the
	// floors of the policy were held against it.
	AllowedBy string `json:"allowed_by,omitempty"`
	ClientIP  string `json:"client_ip,omitempty"`
	// Visitor is nil when nobody was signed in.
	Visitor *Visitor `json:"visitor,omitempty"`

	// Missing lists alternative sets of factors that would have let the request pass, at most 10.
	Missing [][]policy.Need `json:"missing,omitempty"`
	// Reported are the rules with report_only that the request met.
	Reported []Reported `json:"reported,omitempty"`
	// Held tells what became of what somebody entered: held, sent, gone, too_large, busy, unreadable
	// or cross_site. It is empty for most requests.
	Held string `json:"held,omitempty"`
	// Partial is set when something that rules read was left out: values that are long, many or
	// secret. Such a request cannot be judged again.
	Partial bool `json:"partial,omitempty"`
}

// Reading is one way to read the target of a request.
type Reading struct {
	Path  string              `json:"path"`
	Query map[string][]string `json:"query,omitempty"`
}

// Visitor is who made a request.
type Visitor struct {
	UserID string   `json:"user_id"`
	Email  string   `json:"email,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Claims are those custom claims that some rule reads.
	Claims    map[string]any `json:"custom_claims,omitempty"`
	StartedAt time.Time      `json:"started_at"`
	// RememberedAt is when the visitor had the device remembered; nil when it is not.
	RememberedAt *time.Time `json:"remembered_at,omitempty"`
	Factors      []Factor   `json:"factors"`
}

// Factor is one factor that the visitor had proven.
type Factor struct {
	// Factor is the name as rules use it, such as oauth:corp.
	Factor string `json:"factor"`
	// Age is how long ago it was proven, in seconds.
	Age            float64 `json:"age"`
	UserVerified   bool    `json:"user_verified,omitempty"`
	Discoverable   bool    `json:"discoverable,omitempty"`
	BackupEligible bool    `json:"backup_eligible,omitempty"`
	Attachment     string  `json:"attachment,omitempty"`
	AAGUID         string  `json:"aaguid,omitempty"`
	// ForRule is the one rule that the proof was made for.
	ForRule string `json:"for_rule,omitempty"`
}

// Reported is a rule or floor with report_only, and what it would have done.
type Reported struct {
	Rule  string `json:"rule"`
	Floor bool   `json:"floor,omitempty"`
	Would string `json:"would"`
}

// Refused tells whether the request was not forwarded.
func (e *Entry) Refused() bool { return e.Outcome != policy.Allow.String() }
