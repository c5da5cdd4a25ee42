// Package session keeps signed-in visitors: the Session value, its cookie, the lookup
// cache in front of the store, rotation and revocation.
//
// A cookie carries 32 random bytes and nothing else. The store knows only their SHA-256,
// which is also the public session_id, so neither the file nor a listing of sessions
// yields a usable cookie. Sessions are immutable values: a change writes the store and
// then replaces the value.
package session

import (
	"reflect"
	"sync/atomic"
	"time"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// Attributes are the circumstances in which a session was started.
type Attributes struct {
	IPAddress string `json:"ip_address" cbor:"1,keyasint"`
	UserAgent string `json:"user_agent" cbor:"2,keyasint"`
}

// Identity is what a session needs to know of its user. It is read from the account at
// every load, so that a changed group or a lock holds from the next request on.
type Identity struct {
	ID            string
	Email         string
	EmailVerified bool
	Name          string
	Groups        []string
	CustomClaims  map[string]any
	// Devices are the remembered devices of the user.
	Devices []Device
	// Administers is set for those who may administer the gateway.
	Administers bool
	// Locked is set for an account that an administrator locked; it has no sessions.
	Locked bool
}

// Device is a remembered device. Secret is the stored form of what the browser keeps.
type Device struct {
	Secret              string
	ProvenAt, ExpiresAt time.Time
}

// Session is one signed-in visitor. It is immutable but for the time of last access.
// Its JSON is the Session object of the API.
type Session struct {
	ID             string                 `json:"session_id"`
	UserID         string                 `json:"user_id"`
	Factors        []AuthenticationFactor `json:"authentication_factors"`
	Roles          []string               `json:"roles"`
	StartedAt      time.Time              `json:"started_at"`
	LastAccessedAt time.Time              `json:"last_accessed_at"`
	ExpiresAt      time.Time              `json:"expires_at"`
	Attributes     Attributes             `json:"attributes"`
	CustomClaims   map[string]any         `json:"custom_claims"`

	// User is the account behind the session, as of the last load.
	User Identity `json:"-"`
	// Family is the same for all sessions that follow one another by rotation.
	Family string `json:"-"`
	// ReadOnly marks a session that was rotated away moments ago. It still opens what it
	// opened before, and can gain nothing.
	ReadOnly bool `json:"-"`
	// Memo keeps what the gate derives from this session value. It goes when the value is
	// replaced.
	Memo atomic.Value `json:"-"`

	subject  policy.Subject
	accessed atomic.Int64 // Unix milliseconds
	rev      store.Rev    // of the record that the value was made of
}

// same tells whether another value was made of the same record and the same user, so that
// what was derived from this one still holds.
func (s *Session) same(other *Session) bool {
	return s.ID == other.ID && s.rev == other.rev && reflect.DeepEqual(s.User, other.User)
}

// Subject is the session as the policy reads it. It is computed once for each value.
func (s *Session) Subject() *policy.Subject { return &s.subject }

// ProvenIn lists what was proven in one browser, by the stored form of its id. An empty one is
// no browser.
func (s *Session) ProvenIn(browser string) []policy.Factor {
	var out []policy.Factor
	for i := range s.Factors {
		if f := &s.Factors[i]; browser != "" && f.Browser == browser {
			out = append(out, f.policyFactor())
		}
	}
	return out
}

// LastAccess is the time of the latest request of the session that this node has seen.
func (s *Session) LastAccess() time.Time { return time.UnixMilli(s.accessed.Load()).UTC() }

// touch moves the time of last access forward, never back.
func (s *Session) touch(now time.Time) {
	ms := now.UnixMilli()
	for {
		old := s.accessed.Load()
		if old >= ms || s.accessed.CompareAndSwap(old, ms) {
			return
		}
	}
}

// Snapshot returns a copy for the API, with the time of last access filled in.
func (s *Session) Snapshot() *Session {
	c := &Session{
		ID: s.ID, UserID: s.UserID, Factors: s.Factors, Roles: s.Roles, StartedAt: s.StartedAt,
		LastAccessedAt: s.LastAccess(), ExpiresAt: s.ExpiresAt, Attributes: s.Attributes,
		CustomClaims: s.CustomClaims, User: s.User, Family: s.Family, ReadOnly: s.ReadOnly,
	}
	c.subject = s.subject
	c.accessed.Store(s.accessed.Load())
	return c
}

// build makes the immutable value from a stored record and its user.
func build(id string, r record, rev store.Rev, user Identity) *Session {
	s := &Session{
		ID: id, UserID: r.UserID, Factors: ordinary(r.Factors), Roles: user.Groups,
		StartedAt: r.StartedAt, LastAccessedAt: r.LastAccessedAt, ExpiresAt: r.ExpiresAt,
		Attributes: r.Attributes, CustomClaims: user.CustomClaims,
		User: user, Family: r.Family, ReadOnly: r.SupersededBy != "", rev: rev,
	}
	if s.Roles == nil {
		s.Roles = []string{}
	}
	if s.CustomClaims == nil {
		s.CustomClaims = map[string]any{}
	}
	s.accessed.Store(r.LastAccessedAt.UnixMilli())
	proven := make([]policy.Factor, len(r.Factors))
	for i := range r.Factors {
		proven[i] = r.Factors[i].policyFactor()
	}
	s.subject = policy.Subject{
		ID: user.ID, Email: user.Email, Name: user.Name, Groups: user.Groups,
		Factors: proven, StartedAt: r.StartedAt, CustomClaims: s.CustomClaims,
	}
	return s
}
