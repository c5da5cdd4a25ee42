package ui

import "time"

// Admin lists the users.
//
// GET [PathAdminUsers]?q=…&after=…; POST [PathAdminUsers]: csrf, action=invite,
// email, name, groups (separated by commas).
type Admin struct {
	Common
	Identity Identity
	// Query is what was searched for.
	Query string
	Users []User
	// Next is the value of the parameter "after" of the next page; empty on the last.
	Next string
	// Link is the one-time link of an invitation just made; shown once.
	Link string
	// Email, Name and Groups are what was typed into an invitation that was refused.
	Email, Name, Groups string
}

// User is one row of the list of users.
type User struct {
	ID, Email, Name string
	Groups          []string
	Verified        bool
	// State is "active" or "locked".
	State string
	// Factors are the factor names of what is enrolled.
	Factors []string
	// Weak is set when what is enrolled cannot form a secure combination of two.
	Weak bool
}

func (Admin) name() string  { return "admin" }
func (Admin) title() string { return "Users" }

// AdminUser shows one user.
//
// POST [PathAdminUsers]/ID: csrf, action=lock, unlock, delete, revoke_sessions, reset_link;
// action=revoke session_id; action=reset_factor id; action=groups groups; action=claim name value.
type AdminUser struct {
	Common
	Identity  Identity
	User      User
	CreatedAt time.Time
	// PausedUntil is set while too many wrong tries pause codes and passwords.
	PausedUntil time.Time
	Factors     []Credential
	Sessions    []Session
	Claims      []Claim
	// Events are the latest that happened to the account.
	Events []AccountEvent
	// Link is a one-time link for a new password just made; shown once.
	Link string
	// Passwords is set when links for a new password can be made.
	Passwords bool
}

// Credential is one factor of a user as administrators see it.
type Credential struct {
	Factor, ID, Label string
	CreatedAt, UsedAt time.Time
}

// Claim is one custom claim; Value is JSON. Given is set for one that comes from an identity
// provider and cannot be changed here.
type Claim struct {
	Name, Value string
	Given       bool
}

func (AdminUser) name() string    { return "admin-user" }
func (m AdminUser) title() string { return "User " + clip(m.User.Email, 80) }

// AdminEvents lists what happened lately to accounts.
type AdminEvents struct {
	Common
	Identity Identity
	Events   []AccountEvent
}

// AccountEvent is one thing that happened to an account.
type AccountEvent struct {
	At time.Time
	// Kind is the name of the event in the audit log.
	Kind string
	// Who is the account that it happened to, empty when there is none; UserID leads to it, and is
	// empty when it is gone.
	Who, UserID string
	// By is the administrator who did it; empty when nobody did but the owner.
	By string
	// Factor is the factor name that it is about; Reason a word for why.
	Factor, Reason string
	Address        string
	Alarm          bool
}

func (AdminEvents) name() string  { return "admin-events" }
func (AdminEvents) title() string { return "What happened" }

// eventWords say the events of the audit log in words.
var eventWords = map[string]string{
	"factor_proven": "Confirmed", "factor_refused": "A wrong try", "factor_added": "Added", "factor_removed": "Removed",
	"session_started": "Signed in", "session_upgraded": "Confirmed more", "session_revoked": "Signed out",
	"account_created": "Account made", "account_locked": "Locked", "account_unlocked": "Unlocked", "account_deleted": "Deleted",
	"attempts_locked": "Paused after too many wrong tries", "groups_changed": "Groups changed", "claims_changed": "Claims changed",
	"password_changed": "Password changed", "password_reset": "Password reset", "invitation_issued": "Invited somebody",
	"reset_link_issued": "Link for a new password made", "device_remembered": "Browser remembered", "device_forgotten": "Browser forgotten",
	"break_glass_issued": "Break-glass codes made", "break_glass_revoked": "Break-glass codes revoked",
	"break_glass_refused": "A wrong break-glass code", "break_glass_used": "A break-glass code was used", "webauthn_cloned": "A copied passkey or key",
	"store_restored": "The store was restored from a backup", "events_lost": "The store was away, and events are in the log only",
}

// Text says what happened.
func (e AccountEvent) Text() string {
	if words := eventWords[e.Kind]; words != "" {
		return words
	}
	return e.Kind
}
