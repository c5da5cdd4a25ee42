package ui

import (
	"strings"
	"time"
)

// Account is the page on which people look after their own account. Each
// button is a form of its own with csrf (and flow when set):
//
//	POST PathName           name
//	GET  PathEmails/new     the page AddAddress
//	POST PathEmails         action=send, primary, remove email_id
//	GET  PathPhones/new     the page AddAddress
//	POST PathPhones         action=send, remove phone_id
//	GET  PathPassword       the page Password
//	POST PathTOTP           action=start | remove
//	POST PathRecoveryCodes  action=new
//	GET  PathPasskeys/new?type=platform | cross-platform     the page AddPasskey
//	POST PathPasskeys       action=rename id passkey_name | action=remove id
//	POST PathConnections    action=connect provider | action=remove id
//	GET  PathWallets/new    the page AddWallet
//	POST PathWallets        action=remove id
//	POST PathDevices        action=remove id
//	POST PathSessions       action=revoke session_id | action=revoke_others
//	POST PathSignOut        action=here
type Account struct {
	Common
	Identity Identity
	Emails   []Email

	Password  PasswordState
	TOTP      TOTPState
	Passkeys  []Passkey
	Recovery  RecoveryState
	Phones    []Phone
	Providers []Connection // OAuth: connected ones and those that can be
	Wallets   []Wallet
	Devices   []Device // remembered devices
	Sessions  []Session

	// Offers says which products are on at all.
	Offers Offers
	// Signal lets the browser forget passkeys that were removed.
	Signal Signal
	// Administrator shows the link to the pages of administrators.
	Administrator bool
	// Home is the path of the link back to the app; empty shows none.
	Home string
}

// Offers says which products the operator has switched on.
type Offers struct{ Password, TOTP, Passkeys, SecurityKeys, Phones, Wallets bool }

// Signal says which passkeys the site knows of this user (WebAuthn, section 5.1.10). The zero
// value tells the browser nothing.
type Signal struct {
	RPID string
	// UserID and Credentials are base64url without padding.
	UserID      string
	Credentials []string
}

// Known reports whether the browser can be told anything.
func (s Signal) Known() bool { return s.RPID != "" && s.UserID != "" }

// List is the credentials in one attribute.
func (s Signal) List() string { return strings.Join(s.Credentials, " ") }

// Email is one address of the account.
type Email struct {
	ID, Address       string
	Verified, Primary bool
	// Removable is false for the last address.
	Removable bool
}

// Phone is one number of the account. Numbers are kept only once they are confirmed.
type Phone struct{ ID, Number string }

// PasswordState says what the account page shows of the password.
type PasswordState struct {
	Set       bool
	ChangedAt time.Time
	// Locked is set when it must be reset before it works again.
	Locked    bool
	Removable bool
}

// TOTPState says what the account page shows of the authenticator app.
type TOTPState struct {
	Set               bool
	Pending           bool // begun, first code not given yet
	CreatedAt, UsedAt time.Time
	Removable         bool
	// Blocked says why it cannot be set up now (for example because no e-mail
	// address is verified); empty when it can.
	Blocked string
}

// RecoveryState says what the account page shows of the recovery codes.
type RecoveryState struct {
	Set       bool
	Left, Of  int
	CreatedAt time.Time
}

// Passkey is one WebAuthn credential.
type Passkey struct {
	ID, Name string
	// Discoverable tells a passkey from a security key.
	Discoverable bool
	// Synced is set when the credential may be backed up.
	Synced            bool
	CreatedAt, UsedAt time.Time
	Removable         bool
}

// Connection is an OAuth or OIDC provider; ID is empty while not connected.
type Connection struct {
	ID, Provider, Label, Email string
	Removable                  bool
}

// Wallet is one crypto wallet.
type Wallet struct {
	ID, Address, Chain string
	UsedAt             time.Time
	Removable          bool
}

// Device is a browser that is remembered.
type Device struct {
	ID, Name  string
	ExpiresAt time.Time
	// Current is set for the browser that the page is shown in.
	Current bool
}

// Session is one signed-in browser.
type Session struct {
	ID string
	// Device is a short description of the browser ("Firefox on Linux").
	Device    string
	Address   string // client address
	StartedAt time.Time
	UsedAt    time.Time
	Current   bool
}

func (Account) name() string { return "account" }
func (m Account) title() string {
	return "Your account: " + clip(m.Identity.Label(), 80)
}

// OtherSessions counts the sessions besides the current one.
func (m Account) OtherSessions() int {
	n := 0
	for _, s := range m.Sessions {
		if !s.Current {
			n++
		}
	}
	return n
}

// EnrolTOTP sets up an authenticator app.
//
// POST [PathTOTP]: csrf, flow, totp_id, action=confirm, code; or action=cancel.
type EnrolTOTP struct {
	Common
	Identity Identity
	ID       string // totp_id
	// QR is the SVG text of the QR code, empty once it was shown. Anything but
	// plain rectangles and paths in it is refused.
	QR string
	// Secret is the base32 text, shown in groups of four.
	Secret string
	// URI is the otpauth URI, for phones that set up on themselves.
	URI string
	// ExpiresAt is when the set-up is dropped; zero shows nothing.
	ExpiresAt time.Time
}

func (EnrolTOTP) name() string  { return "enrol-totp" }
func (EnrolTOTP) title() string { return "Set up your authenticator app" }

// Groups is the secret in groups of four characters.
func (m EnrolTOTP) Groups() []string {
	var out []string
	for s := m.Secret; s != ""; {
		n := min(4, len(s))
		out = append(out, s[:n])
		s = s[n:]
	}
	return out
}

// RecoveryCodes shows new recovery codes once.
//
// POST [PathRecoveryCodes]: csrf, flow, action=saved, saved=yes.
type RecoveryCodes struct {
	Common
	Identity Identity
	Codes    []string
	// Host names the file that is saved.
	Host string
	// Replaced is set when older codes stopped working.
	Replaced bool
}

func (RecoveryCodes) name() string  { return "recovery-codes" }
func (RecoveryCodes) title() string { return "Save your recovery codes" }

// AddPasskey registers a WebAuthn credential. The page needs JavaScript; it
// uses the JSON API (webauthn/register/start {authenticator_type, flow},
// webauthn/register {credential, name, flow}) and then posts csrf, flow,
// action=added to [PathPasskeys].
type AddPasskey struct {
	Common
	Identity Identity
	// Type is "platform" (passkey) or "cross-platform" (security key).
	Type string
	// Cancel is the path to go back to.
	Cancel string
}

func (AddPasskey) name() string { return "add-passkey" }
func (m AddPasskey) title() string {
	if m.Type == "cross-platform" {
		return "Add a security key"
	}
	return "Add a passkey"
}

// ConfirmEmail asks for the code that was sent to a new address.
//
// POST [PathEmails]: csrf, flow, email_id, action=verify, code; action=send;
// action=remove drops the address.
type ConfirmEmail struct {
	Common
	Identity Identity
	ID       string // email_id
	Address  string
	Waiting
}

func (ConfirmEmail) name() string  { return "confirm-email" }
func (ConfirmEmail) title() string { return "Confirm your new e-mail address" }

// Confirm asks before something is removed; without JavaScript too.
//
// POST Action: csrf, flow, Fields, confirm=yes.
type Confirm struct {
	Common
	Heading string
	Text    string
	// Rules are the names of rules that the person could no longer meet afterwards.
	Rules []string
	// Button says what it does ("Remove authenticator app").
	Button string
	Action string
	Fields []Field
	Cancel string
}

func (Confirm) name() string    { return "confirm" }
func (m Confirm) title() string { return clip(m.Heading, 80) }
