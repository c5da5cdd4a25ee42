package flow

import (
	"context"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
)

// UserView is a user as the API and the commands show one. It holds no secret.
type UserView struct {
	UserID        string         `json:"user_id"`
	Name          string         `json:"name"`
	Emails        []EmailView    `json:"emails"`
	Roles         []string       `json:"roles"`
	Status        string         `json:"status"`
	Password      *PasswordView  `json:"password"`
	TOTPs         []TOTPView     `json:"totps"`
	RecoveryCodes int            `json:"recovery_codes_left"`
	CustomClaims  map[string]any `json:"custom_claims"`
	CreatedAt     time.Time      `json:"created_at"`
}

// EmailView is one e-mail address of a user.
type EmailView struct {
	EmailID  string `json:"email_id"`
	Email    string `json:"email"`
	Verified bool   `json:"verified"`
}

// PasswordView tells of a password without telling it.
type PasswordView struct {
	PasswordID    string    `json:"password_id"`
	RequiresReset bool      `json:"requires_reset"`
	UpdatedAt     time.Time `json:"updated_at"`
}

// TOTPView is one authenticator app; Verified is false until its first code was proven.
type TOTPView struct {
	TOTPID   string `json:"totp_id"`
	Verified bool   `json:"verified"`
}

// DescribeUser returns what may be shown of a user to that user and to administrators.
func (e *Engine) DescribeUser(u *account.User) UserView {
	v := UserView{
		UserID: u.ID, Name: u.Name, Emails: []EmailView{}, Roles: u.Groups, Status: "active",
		TOTPs: []TOTPView{}, RecoveryCodes: u.Recovery.Left(), CustomClaims: u.CustomClaims, CreatedAt: u.CreatedAt,
	}
	if u.Locked() {
		v.Status = "locked"
	}
	if v.Roles == nil {
		v.Roles = []string{}
	}
	if v.CustomClaims == nil {
		v.CustomClaims = map[string]any{}
	}
	for _, m := range u.Emails {
		v.Emails = append(v.Emails, EmailView{EmailID: m.ID, Email: m.Address, Verified: m.Verified})
	}
	if u.Password != nil {
		v.Password = &PasswordView{PasswordID: account.PasswordID(u.ID), RequiresReset: u.Password.MustReset, UpdatedAt: u.Password.UpdatedAt}
	}
	if u.TOTP != nil {
		v.TOTPs = append(v.TOTPs, TOTPView{TOTPID: u.TOTP.ID, Verified: true})
	}
	if t := u.PendingTOTP; t != nil && !t.Expired(e.db.Now()) {
		v.TOTPs = append(v.TOTPs, TOTPView{TOTPID: t.ID})
	}
	return v
}

// Need tells what a signed-in visitor still has to prove for a requirement.
func (e *Engine) Need(ctx context.Context, v Visitor, required *policy.Requirement) (Progress, error) {
	return e.progress(ctx, v, Progress{}, required)
}
