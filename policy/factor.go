// Package policy says what a request needs and whether a list of proven factors meets it. It
// is pure: no input or output, no clock, no goroutine. Load reads a policy file, Decide judges
// one request, and everything that a decision rests on can be explained.
package policy

import (
	"slices"
	"time"
)

// Category is what a factor shows control over. Two factors of one category are one proof.
type Category uint8

// The categories. The zero value belongs to no factor and combines with nothing.
const (
	CategoryNone Category = iota
	Knowledge
	EmailOrAccount
	Phone
	Authenticator
	Wallet
	categories
)

// Factor is one proven factor as the policy sees it.
type Factor struct {
	// Name is password, magic_link, email_otp, sms_otp, whatsapp_otp, oauth, totp,
	// recovery_code, webauthn or crypto_wallet. A passkey is a webauthn factor that is
	// discoverable and user verified.
	Name string
	// Variant is the provider of an oauth factor, or the chain of a wallet.
	Variant string
	// ID is the credential.
	ID string
	// At is when the factor was last proven.
	At time.Time

	UserVerified   bool
	Discoverable   bool
	BackupEligible bool
	// Attachment is platform or cross-platform.
	Attachment string
	AAGUID     string
	// HardwareKey is set when attestation has proven that the key never leaves its hardware.
	HardwareKey bool
	// ForRule names the one rule or floor that the proof was made for; empty for an ordinary
	// proof.
	ForRule string
	// Details is what only conditions read; nil when it is not known.
	Details *Details
}

// Details is what a condition can read of a proven factor beside what requirements ask for.
type Details struct {
	CreatedAt time.Time
	UpdatedAt time.Time
	// Sequence is PRIMARY or SECONDARY.
	Sequence string
	// Delivery is the delivery method of an oauth factor, such as oauth_google.
	Delivery string
	// Address is the e-mail address, the phone number, the address of the wallet, or the
	// subject at the provider.
	Address string
	// EmailID is the address that an oauth factor belongs to.
	EmailID string
	// Domain and UserAgent are those of the registration of a WebAuthn credential.
	Domain, UserAgent string
}

// Subject is who makes a request. A nil Subject is an anonymous visitor.
type Subject struct {
	ID           string
	Email        string
	Name         string
	Groups       []string
	Factors      []Factor
	StartedAt    time.Time
	CustomClaims map[string]any
	// RememberedAt is when the visitor, having completed a secure combination on this very
	// device, asked to have it remembered. The zero time stands for a device that is not
	// remembered or not known, and lets nobody leave anything out.
	RememberedAt time.Time
}

// names lists the factor names of the policy, the hardest to steal first.
var names = []string{
	"passkey", "webauthn", "totp", "crypto_wallet", "oauth", "password",
	"sms_otp", "whatsapp_otp", "email_otp", "magic_link", "recovery_code",
}

// CategoryOf is the category of a factor name; CategoryNone for an unknown one.
func CategoryOf(name string) Category {
	switch name {
	case "password":
		return Knowledge
	case "magic_link", "email_otp", "oauth":
		return EmailOrAccount
	case "sms_otp", "whatsapp_otp":
		return Phone
	case "totp", "recovery_code", "webauthn", "passkey":
		return Authenticator
	case "crypto_wallet":
		return Wallet
	}
	return CategoryNone
}

// SecureCombination tells whether any two of the factors form a secure combination.
func SecureCombination(fs []Factor) bool {
	var set categorySet
	for i := range fs {
		set |= setOf(CategoryOf(fs[i].Name))
	}
	return set.combined() >= 2
}

// categorySet is a set of categories.
type categorySet uint8

func setOf(c Category) categorySet {
	if c == CategoryNone {
		return 0
	}
	return 1 << c
}

// combined is the size of the largest part of the set in which each pair proves different
// things. A password and a mailbox do not: the mailbox resets the password.
func (s categorySet) combined() int {
	n := 0
	for c := Knowledge; c < categories; c++ {
		if s&setOf(c) != 0 {
			n++
		}
	}
	if s&setOf(Knowledge) != 0 && s&setOf(EmailOrAccount) != 0 {
		n--
	}
	return n
}

// ACR is the assurance level of a list of factors at a time.
func ACR(fs []Factor, now time.Time) string {
	switch {
	case aal3.Met(fs, now):
		return "urn:stepgate:aal3"
	case aal2.Met(fs, now):
		return "urn:stepgate:aal2"
	}
	return "urn:stepgate:aal1"
}

// amr are the authentication method references (RFC 8176) of each factor name, with private
// values where the registry has none.
var amr = map[string][]string{
	"password":      {"pwd"},
	"magic_link":    {"otp", "email"},
	"email_otp":     {"otp", "email"},
	"sms_otp":       {"otp", "sms"},
	"whatsapp_otp":  {"otp", "whatsapp"},
	"totp":          {"otp"},
	"recovery_code": {"otp", "recovery"},
	"webauthn":      {"pop", "user"},
	"oauth":         {"fed"},
	"crypto_wallet": {"pop", "wallet"},
}

// AMR lists the authentication method references of a list of factors, each once, in the
// order in which they were proven; hwk follows for a key that is proven to be in hardware. mfa
// is last when a secure combination is among them or a WebAuthn credential verified its user.
func AMR(fs []Factor) []string {
	var out []string
	mfa := SecureCombination(fs)
	for _, f := range fs {
		values := amr[f.Name]
		if f.HardwareKey {
			values = slices.Concat(values, []string{"hwk"})
		}
		for _, v := range values {
			if !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
		mfa = mfa || f.Name == "webauthn" && f.UserVerified
	}
	if mfa {
		out = append(out, "mfa")
	}
	return out
}
