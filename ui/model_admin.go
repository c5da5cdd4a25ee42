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
	// Invitation is the one-time link of an invitation just made; shown once.
	Invitation string
}

// User is one row of the list of users.
type User struct {
	ID, Email, Name string
	Groups          []string
	Verified        bool
	// State is "active", "locked" or "invited".
	State   string
	Factors []string // factor names
	SeenAt  time.Time
}

func (Admin) name() string  { return "admin" }
func (Admin) title() string { return "Users" }

// AdminUser shows one user.
//
// POST [PathAdminUsers]/ID: csrf, action=lock, unlock, delete, revoke_sessions;
// action=revoke session_id; action=reset_factor factor, id; action=groups groups.
type AdminUser struct {
	Common
	Identity  Identity
	User      User
	CreatedAt time.Time
	Factors   []Credential
	Sessions  []Session
}

// Credential is one factor of a user as administrators see it.
type Credential struct {
	Factor, ID, Label string
	CreatedAt, UsedAt time.Time
}

func (AdminUser) name() string    { return "admin-user" }
func (m AdminUser) title() string { return "User " + clip(m.User.Email, 80) }
