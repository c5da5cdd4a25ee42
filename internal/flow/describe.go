package flow

import (
	"context"
	"time"

	"github.com/stepgate/stepgate/factors/wallet"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
)

// UserView is a user as the API and the commands show one. It holds no secret.
type UserView struct {
	UserID   string        `json:"user_id"`
	Name     string        `json:"name"`
	Emails   []EmailView   `json:"emails"`
	Roles    []string      `json:"roles"`
	Status   string        `json:"status"`
	Password *PasswordView `json:"password"`
	TOTPs    []TOTPView    `json:"totps"`

	PhoneNumbers  []PhoneView    `json:"phone_numbers"`
	WebAuthn      []WebAuthnView `json:"webauthn_registrations"`
	Providers     []ProviderView `json:"providers"`
	CryptoWallets []WalletView   `json:"crypto_wallets"`
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

// PhoneView is one phone number of a user.
type PhoneView struct {
	PhoneID     string `json:"phone_id"`
	PhoneNumber string `json:"phone_number"`
	Verified    bool   `json:"verified"`
}

// WebAuthnView is one WebAuthn credential of a user.
type WebAuthnView struct {
	WebAuthnRegistrationID string    `json:"webauthn_registration_id"`
	Name                   string    `json:"name"`
	Domain                 string    `json:"domain"`
	UserAgent              string    `json:"user_agent"`
	AuthenticatorType      string    `json:"authenticator_type"`
	Discoverable           bool      `json:"discoverable"`
	UserVerified           bool      `json:"user_verified"`
	BackupEligible         bool      `json:"backup_eligible"`
	AAGUID                 string    `json:"aaguid,omitempty"`
	Verified               bool      `json:"verified"`
	CreatedAt              time.Time `json:"created_at"`
}

// ProviderView is one identity of a user at an identity provider.
type ProviderView struct {
	OAuthUserRegistrationID string `json:"oauth_user_registration_id"`
	Provider                string `json:"provider"`
	Issuer                  string `json:"issuer"`
	ProviderSubject         string `json:"provider_subject"`
	Email                   string `json:"email,omitempty"`
}

// WalletView is one crypto wallet of a user.
type WalletView struct {
	CryptoWalletID      string `json:"crypto_wallet_id"`
	CryptoWalletAddress string `json:"crypto_wallet_address"`
	CryptoWalletType    string `json:"crypto_wallet_type"`
	Verified            bool   `json:"verified"`
}

// DescribeUser returns what may be shown of a user to that user and to administrators.
func (e *Engine) DescribeUser(u *account.User) UserView {
	v := UserView{
		UserID: u.ID, Name: u.Name, Emails: []EmailView{}, Roles: u.AllGroups(), Status: "active",
		TOTPs: []TOTPView{}, RecoveryCodes: u.Recovery.Left(), CustomClaims: u.AllClaims(), CreatedAt: u.CreatedAt,
		PhoneNumbers: []PhoneView{}, WebAuthn: []WebAuthnView{}, Providers: []ProviderView{}, CryptoWallets: []WalletView{},
	}
	if u.Locked() {
		v.Status = "locked"
	}
	if v.Roles == nil {
		v.Roles = []string{}
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
	for _, p := range u.Phones {
		v.PhoneNumbers = append(v.PhoneNumbers, PhoneView{PhoneID: p.ID, PhoneNumber: p.Number, Verified: true})
	}
	for _, k := range u.Keys {
		v.WebAuthn = append(v.WebAuthn, WebAuthnView{
			WebAuthnRegistrationID: k.ID, Name: k.Name, Domain: k.RPID, UserAgent: k.UserAgent, AuthenticatorType: k.Attachment,
			Discoverable: k.Discoverable, UserVerified: k.UserVerified, BackupEligible: k.BackupEligible, AAGUID: k.AAGUID,
			Verified: true, CreatedAt: k.CreatedAt,
		})
	}
	for _, i := range u.Identities {
		v.Providers = append(v.Providers, ProviderView{
			OAuthUserRegistrationID: i.ID, Provider: i.Provider, Issuer: i.Issuer, ProviderSubject: i.Subject, Email: i.Email,
		})
	}
	for _, w := range u.Wallets {
		v.CryptoWallets = append(v.CryptoWallets, WalletView{
			CryptoWalletID: w.ID, CryptoWalletAddress: WalletAddress(&w), CryptoWalletType: w.Chain, Verified: true,
		})
	}
	return v
}

// WalletAddress is an address as wallets show it.
func WalletAddress(w *account.Wallet) string {
	a, err := wallet.ParseAddress(wallet.Chain(w.Chain), w.Address)
	if err != nil {
		return w.Address
	}
	return a.String()
}

// Need tells what a signed-in visitor still has to prove for a requirement.
func (e *Engine) Need(ctx context.Context, v Visitor, required *policy.Requirement) (Progress, error) {
	return e.progress(ctx, v, Progress{}, required)
}
