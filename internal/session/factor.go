package session

import (
	"slices"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/policy"
)

// Sequence tells whether a factor started its session or was added to it.
type Sequence string

// The two places a factor can have in a session.
const (
	Primary   Sequence = "PRIMARY"
	Secondary Sequence = "SECONDARY"
)

// AuthenticationFactor is one entry of a session's authentication_factors: what was
// proven, with which credential, and when. Its JSON names are those of the API.
type AuthenticationFactor struct {
	Type                string    `json:"type" cbor:"1,keyasint"`
	DeliveryMethod      string    `json:"delivery_method" cbor:"2,keyasint"`
	SequenceOrder       Sequence  `json:"sequence_order" cbor:"3,keyasint"`
	LastAuthenticatedAt time.Time `json:"last_authenticated_at" cbor:"4,keyasint"`
	CreatedAt           time.Time `json:"created_at" cbor:"5,keyasint"`
	UpdatedAt           time.Time `json:"updated_at" cbor:"6,keyasint"`

	EmailFactor            *EmailFactor            `json:"email_factor,omitempty" cbor:"7,keyasint,omitempty"`
	PhoneNumberFactor      *PhoneNumberFactor      `json:"phone_number_factor,omitempty" cbor:"8,keyasint,omitempty"`
	GoogleOAuthFactor      *OAuthFactor            `json:"google_oauth_factor,omitempty" cbor:"9,keyasint,omitempty"`
	GithubOAuthFactor      *OAuthFactor            `json:"github_oauth_factor,omitempty" cbor:"10,keyasint,omitempty"`
	MicrosoftOAuthFactor   *OAuthFactor            `json:"microsoft_oauth_factor,omitempty" cbor:"11,keyasint,omitempty"`
	AppleOAuthFactor       *OAuthFactor            `json:"apple_oauth_factor,omitempty" cbor:"12,keyasint,omitempty"`
	OIDCOAuthFactor        *OAuthFactor            `json:"oidc_oauth_factor,omitempty" cbor:"13,keyasint,omitempty"`
	AuthenticatorAppFactor *AuthenticatorAppFactor `json:"authenticator_app_factor,omitempty" cbor:"14,keyasint,omitempty"`
	RecoveryCodeFactor     *RecoveryCodeFactor     `json:"recovery_code_factor,omitempty" cbor:"15,keyasint,omitempty"`
	WebAuthnFactor         *WebAuthnFactor         `json:"webauthn_factor,omitempty" cbor:"16,keyasint,omitempty"`
	CryptoWalletFactor     *CryptoWalletFactor     `json:"crypto_wallet_factor,omitempty" cbor:"17,keyasint,omitempty"`

	// Product and CredentialID identify the credential inside the gateway. A password has
	// no sub-object, so they cannot be read from the other fields.
	Product      factors.Product `json:"-" cbor:"18,keyasint"`
	CredentialID string          `json:"-" cbor:"19,keyasint"`
	// ForRule names the one rule that this proof serves, once; empty for an ordinary proof.
	ForRule string `json:"-" cbor:"20,keyasint,omitempty"`
	// Browser is the stored form of the id of the browser in which it was proven; empty when
	// that browser keeps none.
	Browser string `json:"-" cbor:"21,keyasint,omitempty"`
}

// EmailFactor names the mailbox that was proven.
type EmailFactor struct {
	EmailID      string `json:"email_id" cbor:"1,keyasint"`
	EmailAddress string `json:"email_address" cbor:"2,keyasint"`
}

// PhoneNumberFactor names the number, in E.164, that was proven.
type PhoneNumberFactor struct {
	PhoneID     string `json:"phone_id" cbor:"1,keyasint"`
	PhoneNumber string `json:"phone_number" cbor:"2,keyasint"`
}

// OAuthFactor names the identity at a provider that was proven.
type OAuthFactor struct {
	ID              string `json:"id" cbor:"1,keyasint"`
	ProviderSubject string `json:"provider_subject" cbor:"2,keyasint"`
	EmailID         string `json:"email_id,omitempty" cbor:"3,keyasint,omitempty"`
	// ProviderID is the name given in the configuration, for generic OIDC issuers.
	ProviderID string `json:"provider_id,omitempty" cbor:"4,keyasint,omitempty"`
}

// AuthenticatorAppFactor names the TOTP credential that was proven.
type AuthenticatorAppFactor struct {
	TOTPID string `json:"totp_id" cbor:"1,keyasint"`
}

// RecoveryCodeFactor names the recovery code that was spent.
type RecoveryCodeFactor struct {
	TOTPRecoveryCodeID string `json:"totp_recovery_code_id" cbor:"1,keyasint"`
}

// WebAuthnFactor names the WebAuthn credential that was proven and how.
type WebAuthnFactor struct {
	WebAuthnRegistrationID string `json:"webauthn_registration_id" cbor:"1,keyasint"`
	Domain                 string `json:"domain" cbor:"2,keyasint"`
	UserAgent              string `json:"user_agent,omitempty" cbor:"3,keyasint,omitempty"`
	AuthenticatorType      string `json:"authenticator_type" cbor:"4,keyasint"`
	UserVerified           bool   `json:"user_verified" cbor:"5,keyasint"`
	Discoverable           bool   `json:"discoverable" cbor:"6,keyasint"`
	// AAGUID, BackupEligible and HardwareKey are inputs of policy and assertion, not of the API.
	AAGUID         string `json:"-" cbor:"7,keyasint,omitempty"`
	BackupEligible bool   `json:"-" cbor:"8,keyasint,omitempty"`
	HardwareKey    bool   `json:"-" cbor:"9,keyasint,omitempty"`
}

// CryptoWalletFactor names the wallet that was proven.
type CryptoWalletFactor struct {
	CryptoWalletID      string `json:"crypto_wallet_id" cbor:"1,keyasint"`
	CryptoWalletAddress string `json:"crypto_wallet_address" cbor:"2,keyasint"`
	CryptoWalletType    string `json:"crypto_wallet_type" cbor:"3,keyasint"`
}

// newFactor turns a proof into the entry that a session carries for it.
func newFactor(p factors.Proof, order Sequence) AuthenticationFactor {
	f := AuthenticationFactor{
		SequenceOrder:       order,
		LastAuthenticatedAt: p.AuthenticatedAt,
		CreatedAt:           p.AuthenticatedAt,
		UpdatedAt:           p.AuthenticatedAt,
		Product:             p.Product,
		CredentialID:        p.CredentialID,
		Browser:             p.Browser,
	}
	switch p.Product {
	case factors.Password:
		f.Type, f.DeliveryMethod = "password", "knowledge"
	case factors.MagicLink:
		f.Type, f.DeliveryMethod = "magic_link", "email"
		f.EmailFactor = &EmailFactor{EmailID: p.CredentialID, EmailAddress: p.EmailAddress}
	case factors.EmailOTP:
		f.Type, f.DeliveryMethod = "otp", "email"
		f.EmailFactor = &EmailFactor{EmailID: p.CredentialID, EmailAddress: p.EmailAddress}
	case factors.SMSOTP:
		f.Type, f.DeliveryMethod = "otp", "sms"
		f.PhoneNumberFactor = &PhoneNumberFactor{PhoneID: p.CredentialID, PhoneNumber: p.PhoneNumber}
	case factors.WhatsAppOTP:
		f.Type, f.DeliveryMethod = "otp", "whatsapp"
		f.PhoneNumberFactor = &PhoneNumberFactor{PhoneID: p.CredentialID, PhoneNumber: p.PhoneNumber}
	case factors.OAuth:
		f.setOAuth(p)
	case factors.TOTP:
		f.Type, f.DeliveryMethod = "totp", "authenticator_app"
		f.AuthenticatorAppFactor = &AuthenticatorAppFactor{TOTPID: p.CredentialID}
	case factors.RecoveryCode:
		f.Type, f.DeliveryMethod = "recovery_codes", "recovery_code"
		f.RecoveryCodeFactor = &RecoveryCodeFactor{TOTPRecoveryCodeID: p.CredentialID}
	case factors.WebAuthn:
		f.Type, f.DeliveryMethod = "webauthn", "webauthn_registration"
		f.WebAuthnFactor = &WebAuthnFactor{
			WebAuthnRegistrationID: p.CredentialID, Domain: p.Domain, UserAgent: p.UserAgent,
			AuthenticatorType: p.Attachment, UserVerified: p.UserVerified, Discoverable: p.Discoverable,
			AAGUID: p.AAGUID, BackupEligible: p.BackupEligible, HardwareKey: p.HardwareKey,
		}
	case factors.CryptoWallet:
		f.Type, f.DeliveryMethod = "crypto", "crypto_wallet"
		f.CryptoWalletFactor = &CryptoWalletFactor{
			CryptoWalletID: p.CredentialID, CryptoWalletAddress: p.WalletAddress, CryptoWalletType: p.WalletType,
		}
	}
	return f
}

func (f *AuthenticationFactor) setOAuth(p factors.Proof) {
	f.Type = "oauth"
	o := &OAuthFactor{ID: p.CredentialID, ProviderSubject: p.ProviderSubject, EmailID: p.EmailID}
	switch p.ProviderType {
	case "google":
		f.DeliveryMethod, f.GoogleOAuthFactor = "oauth_google", o
	case "github":
		f.DeliveryMethod, f.GithubOAuthFactor = "oauth_github", o
	case "microsoft":
		f.DeliveryMethod, f.MicrosoftOAuthFactor = "oauth_microsoft", o
	case "apple":
		f.DeliveryMethod, f.AppleOAuthFactor = "oauth_apple", o
	default:
		f.DeliveryMethod, f.OIDCOAuthFactor = "oauth_oidc", o
	}
	o.ProviderID = p.Variant
}

// addFactor returns the list with the proof in it: as an ordinary one, and once more for each
// rule that it was made for. Proving a credential again moves last_authenticated_at of its own
// entries and touches no other.
func addFactor(list []AuthenticationFactor, p factors.Proof) []AuthenticationFactor {
	out := slices.Clone(list)
	for _, rule := range append([]string{""}, p.ForRules...) {
		i := slices.IndexFunc(out, func(f AuthenticationFactor) bool {
			return f.Product == p.Product && f.CredentialID == p.CredentialID && f.ForRule == rule
		})
		order := Secondary
		if len(out) == 0 {
			order = Primary
		}
		if i < 0 {
			i, out = len(out), append(out, newFactor(p, order))
		} else {
			created := out[i].CreatedAt
			out[i] = newFactor(p, out[i].SequenceOrder)
			out[i].CreatedAt = created
		}
		out[i].ForRule = rule
	}
	return out
}

// ordinary are the factors that everybody may see: without those that serve one rule, which
// stand beside an ordinary entry of the same proof.
func ordinary(list []AuthenticationFactor) []AuthenticationFactor {
	return slices.DeleteFunc(slices.Clone(list), func(f AuthenticationFactor) bool { return f.ForRule != "" })
}

// Factor is a proof as the policy reads it.
func Factor(p factors.Proof) policy.Factor {
	f := newFactor(p, Secondary)
	return f.policyFactor()
}

// policyFactor is the entry as the policy reads it.
func (f *AuthenticationFactor) policyFactor() policy.Factor {
	p := policy.Factor{Name: string(f.Product), ID: f.CredentialID, At: f.LastAuthenticatedAt, ForRule: f.ForRule}
	if w := f.WebAuthnFactor; w != nil {
		p.UserVerified, p.Discoverable, p.BackupEligible = w.UserVerified, w.Discoverable, w.BackupEligible
		p.Attachment, p.AAGUID, p.HardwareKey = w.AuthenticatorType, w.AAGUID, w.HardwareKey
	}
	if w := f.CryptoWalletFactor; w != nil {
		p.Variant = w.CryptoWalletType
	}
	for _, o := range []*OAuthFactor{f.GoogleOAuthFactor, f.GithubOAuthFactor, f.MicrosoftOAuthFactor, f.AppleOAuthFactor, f.OIDCOAuthFactor} {
		if o != nil {
			p.Variant = o.ProviderID
		}
	}
	return p
}
