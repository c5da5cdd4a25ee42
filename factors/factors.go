// Package factors says what all factors have in common: the products, the proof that each of
// them gives, and the ways in which a proof can fail. Each product has a package of its own
// below this one; none of them knows sessions, storage or HTTP.
package factors

import (
	"errors"
	"time"
)

// Product is a way to prove who one is.
type Product string

// The products.
const (
	Password     Product = "password"
	MagicLink    Product = "magic_link"
	EmailOTP     Product = "email_otp"
	SMSOTP       Product = "sms_otp"
	WhatsAppOTP  Product = "whatsapp_otp"
	OAuth        Product = "oauth"
	TOTP         Product = "totp"
	RecoveryCode Product = "recovery_code"
	WebAuthn     Product = "webauthn"
	CryptoWallet Product = "crypto_wallet"
	// Passkey is a WebAuthn credential that is discoverable and verifies its user. It is a
	// name for what is offered and what may start a session; its proofs are of WebAuthn.
	Passkey Product = "passkey"
)

// Products lists all products.
func Products() []Product {
	return []Product{
		Password, MagicLink, EmailOTP, SMSOTP, WhatsAppOTP, OAuth, TOTP, RecoveryCode, WebAuthn, Passkey, CryptoWallet,
	}
}

// MayStart tells whether a product may start a session. TOTP and recovery codes never do, nor
// does anything unknown.
func (p Product) MayStart() bool {
	switch p {
	case Password, MagicLink, EmailOTP, SMSOTP, WhatsAppOTP, OAuth, WebAuthn, Passkey, CryptoWallet:
		return true
	}
	return false
}

var (
	// ErrMalformed means that what was presented has not even the form of a secret. It is
	// no guess and spends nothing.
	ErrMalformed = errors.New("malformed")
	// ErrIncorrect means that the secret is wrong.
	ErrIncorrect = errors.New("incorrect")
	// ErrExpired means that the challenge is too old.
	ErrExpired = errors.New("expired")
	// ErrUsed means that the secret was right once and has been used.
	ErrUsed = errors.New("used already")
)

// SixDigits tells whether a text is exactly six ASCII digits, the form of every numeric code.
func SixDigits(code string) bool {
	if len(code) != 6 {
		return false
	}
	for _, b := range []byte(code) {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

// Proof says that a user proved a credential at a time. The zero Proof proves nothing. Fields
// that do not belong to the product are empty.
type Proof struct {
	Product Product
	// Variant is the configured name of an OAuth provider, or the chain of a wallet.
	Variant string
	// UserID and CredentialID say whose credential was proven, and which.
	UserID, CredentialID string
	AuthenticatedAt      time.Time
	// ForRules names the rules that the proof was made for and serves once each, beside being
	// an ordinary proof; usually empty.
	ForRules []string
	// Browser tells the browser in which it was proven from others; it may be empty.
	Browser string

	EmailAddress string
	PhoneNumber  string

	// ProviderType is google, github, microsoft, apple or oidc.
	ProviderType    string
	ProviderSubject string
	EmailID         string

	UserVerified   bool
	Discoverable   bool
	BackupEligible bool
	// HardwareKey is set when the model of the authenticator was proven, and with it that the
	// key never leaves its hardware.
	HardwareKey bool
	// Attachment is platform or cross-platform.
	Attachment string
	AAGUID     string
	Domain     string
	UserAgent  string

	WalletAddress string
	WalletType    string
}
