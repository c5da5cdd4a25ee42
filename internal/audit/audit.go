// Package audit names the events that an operator must be able to trace: who proved what,
// who changed which factor, who was locked. Events carry ids, never secrets.
package audit

import "time"

// Kind says what happened. The values are stable; operators filter on them.
type Kind string

// The kinds of events.
const (
	FactorProven      Kind = "factor_proven"
	FactorRefused     Kind = "factor_refused"
	FactorAdded       Kind = "factor_added"
	FactorRemoved     Kind = "factor_removed"
	SessionStarted    Kind = "session_started"
	SessionUpgraded   Kind = "session_upgraded"
	SessionRevoked    Kind = "session_revoked"
	AccountCreated    Kind = "account_created"
	AccountLocked     Kind = "account_locked"
	AccountUnlocked   Kind = "account_unlocked"
	AccountDeleted    Kind = "account_deleted"
	GroupsChanged     Kind = "groups_changed"
	ClaimsChanged     Kind = "claims_changed"
	ResetLinkIssued   Kind = "reset_link_issued"
	AttemptsLocked    Kind = "attempts_locked"
	PasswordChanged   Kind = "password_changed"
	PasswordReset     Kind = "password_reset"
	DeviceRemembered  Kind = "device_remembered"
	DeviceForgotten   Kind = "device_forgotten"
	InvitationIssued  Kind = "invitation_issued"
	BreakGlassIssued  Kind = "break_glass_issued"
	BreakGlassRevoked Kind = "break_glass_revoked"
	BreakGlassRefused Kind = "break_glass_refused"
	// BreakGlassUsed is an alarm: somebody opened an administrator's account by the last resort.
	BreakGlassUsed Kind = "break_glass_used"
	// KeyCloned tells that a WebAuthn credential's counter did not grow: there may be a copy.
	KeyCloned Kind = "webauthn_cloned"
)

// Alarming tells whether somebody should look at an event now.
func (k Kind) Alarming() bool {
	switch k {
	case BreakGlassUsed, KeyCloned, StoreRestored, EventsLost:
		return true
	}
	return false
}

// What the kept log tells about itself.
const (
	// StoreRestored tells that a backup was put in the place of the store: what happened between
	// the entry before and this one is lost.
	StoreRestored Kind = "store_restored"
	// EventsLost tells that the store did not take so many events, and they are in the log only.
	EventsLost Kind = "events_lost"
)

// Event is one thing that happened. Fields that do not apply are empty.
type Event struct {
	Kind      Kind      `json:"kind" cbor:"16,keyasint"`
	Time      time.Time `json:"time" cbor:"17,keyasint"`
	UserID    string    `json:"user_id,omitempty" cbor:"18,keyasint,omitempty"`
	SessionID string    `json:"session_id,omitempty" cbor:"19,keyasint,omitempty"`
	// Factor is the product, such as "totp"; CredentialID the credential of the user, or
	// the session or remembered device that it is about.
	Factor       string `json:"factor,omitempty" cbor:"20,keyasint,omitempty"`
	CredentialID string `json:"credential_id,omitempty" cbor:"21,keyasint,omitempty"`
	// Reason is a stable snake_case word for a refusal.
	Reason    string `json:"reason,omitempty" cbor:"22,keyasint,omitempty"`
	IPAddress string `json:"ip_address,omitempty" cbor:"23,keyasint,omitempty"`
	// ByAdmin is set for what an administrator did; ActorID is that administrator's user id, empty
	// for whoever commands the machine.
	ByAdmin bool   `json:"by_admin,omitempty" cbor:"24,keyasint,omitempty"`
	ActorID string `json:"actor_id,omitempty" cbor:"25,keyasint,omitempty"`
	// Count is how many events EventsLost stands for.
	Count int `json:"count,omitempty" cbor:"26,keyasint,omitempty"`
}

// Recorder keeps events. Record must not block for long and must not fail the caller.
type Recorder interface {
	Record(Event)
}
