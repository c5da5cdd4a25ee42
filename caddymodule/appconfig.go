package caddymodule

import (
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/session"
)

// SessionConfig says when sessions end.
type SessionConfig struct {
	// Lifetime ends a session this long after its start.
	// Default: 24h.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`
	// Idle ends a session this long after its last request.
	// Default: 1h.
	Idle caddy.Duration `json:"idle,omitempty"`
}

// LockoutConfig says when failures in a row pause an account.
type LockoutConfig struct {
	// After is the number of failures that pauses, 3 to 50.
	// Default: 10.
	After int `json:"after,omitempty"`
	// For is how long the pause lasts, 1m to 24h.
	// Default: 1h.
	For caddy.Duration `json:"for,omitempty"`
}

func (l LockoutConfig) lockout() account.Lockout {
	out := account.DefaultLockout
	if l.After != 0 {
		out.After = l.After
	}
	if l.For != 0 {
		out.For = time.Duration(l.For)
	}
	return out
}

// RegistrationConfig says who may make an account.
type RegistrationConfig struct {
	// Mode is closed (administrators make accounts), invite (administrators invite people),
	// or open (anybody who proves a mailbox).
	// Default: invite.
	Mode string `json:"mode,omitempty"`
	// Domains limits open registration to mailboxes of these domains.
	// Default: all.
	Domains []string `json:"domains,omitempty"`
}

// checkAuditKeep refuses a time that keeps too little to look anything up, or for ever.
func (a *App) checkAuditKeep() error {
	if d := a.auditLife(); d < 24*time.Hour || d > 3650*24*time.Hour {
		return errors.New("audit_keep is 1d to 3650d")
	}
	return nil
}

func (a *App) auditLife() time.Duration {
	if a.AuditKeep == 0 {
		return audit.DefaultLife
	}
	return time.Duration(a.AuditKeep)
}

// check refuses limits under which nobody could work, and those that no longer end anything.
func (s SessionConfig) check() error {
	l := s.limits()
	if l.Lifetime < time.Minute || l.Idle < time.Minute || l.Idle > l.Lifetime {
		return errors.New("lifetime and idle are at least 1m, and idle is at most lifetime")
	}
	if l.Lifetime > 30*24*time.Hour {
		return errors.New("lifetime is at most 30d (NIST SP 800-63B-4, section 2.1.3)")
	}
	return nil
}

func (s SessionConfig) limits() session.Limits {
	l := session.DefaultLimits
	if s.Lifetime != 0 {
		l.Lifetime = time.Duration(s.Lifetime)
		l.Idle = min(l.Idle, l.Lifetime)
	}
	if s.Idle != 0 {
		l.Idle = time.Duration(s.Idle)
	}
	return l
}
