package ui

import "time"

// Password sets or changes the password of the signed-in user.
//
// POST [PathPassword]: csrf, flow, current_password (only when NeedCurrent),
// password; action=set. The strength meter asks the JSON API
// (passwords/strength_check {password} answers {valid, score 0..4, feedback}).
type Password struct {
	Common
	Identity Identity
	// Set is true when there is a password already.
	Set         bool
	NeedCurrent bool
	Minimum     int // least number of characters
	Cancel      string
}

func (Password) name() string { return "password" }
func (m Password) title() string {
	if m.Set {
		return "Change your password"
	}
	return "Set a password"
}

// ForgotPassword starts a reset. The page after sending is the same for known
// and unknown addresses.
//
// POST [PathForgot]: csrf, flow, email.
type ForgotPassword struct {
	Common
	Email string
	// Sent shows what to do next instead of the form.
	Sent bool
	// Lasts is how long the mailed link works.
	Lasts time.Duration
	// Cancel is the path of the link back to the sign-in.
	Cancel string
}

func (ForgotPassword) name() string { return "forgot-password" }
func (m ForgotPassword) title() string {
	if m.Sent {
		return "Look into your mail"
	}
	return "Reset your password"
}

// ResetPassword sets a new password by the mailed link.
//
// POST [PathReset]: csrf, token, password.
type ResetPassword struct {
	Common
	Token   string
	Email   string
	Minimum int
	// Why says why the reset is needed; may be empty.
	Why string
}

func (ResetPassword) name() string  { return "reset-password" }
func (ResetPassword) title() string { return "Choose a new password" }

// BreakGlass takes the last resort of an administrator who has lost everything else.
//
// POST [PathBreakGlass]: csrf, email, code.
type BreakGlass struct {
	Common
	Email  string
	Cancel string
}

func (BreakGlass) name() string  { return "break-glass" }
func (BreakGlass) title() string { return "Break the glass" }
