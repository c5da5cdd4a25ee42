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
