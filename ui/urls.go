package ui

import "strings"

// Base is the path below which every page, form and asset of the product lives.
const Base = "/.stepgate/"

// The addresses that the forms of the pages post to. Pages that share an
// address are told apart by the form field "action".
const (
	PathSignIn         = Base + "sign-in"
	PathChallenge      = Base + "challenge"
	PathSignOut        = Base + "sign-out"
	PathInvite         = Base + "invite/" // followed by the token
	PathLink           = Base + "link/"   // followed by the token
	PathForgot         = Base + "password/forgot"
	PathReset          = Base + "password/reset"
	PathBreakGlass     = Base + "break-glass"
	PathAccount        = Base + "account"
	PathName           = Base + "account/name"
	PathPassword       = Base + "account/password"
	PathEmails         = Base + "account/emails"
	PathPhones         = Base + "account/phones"
	PathTOTP           = Base + "account/totp"
	PathRecoveryCodes  = Base + "account/recovery-codes"
	PathPasskeys       = Base + "account/passkeys"
	PathConnections    = Base + "account/connections"
	PathWallets        = Base + "account/wallets"
	PathDevices        = Base + "account/devices"
	PathSessions       = Base + "account/sessions"
	PathOutbox         = Base + "outbox"
	PathOutboxJSON     = Base + "outbox.json"
	PathAdmin          = Base + "admin"
	PathAdminUsers     = Base + "admin/users"
	PathAdminPolicy    = Base + "admin/policy"
	PathAdminRefusals  = Base + "admin/refusals"
	PathAdminEvents    = Base + "admin/events"
	PathAdminReadiness = Base + "admin/readiness"
	PathAssets         = Base + "assets/"
	PathAPI            = Base + "api/v1/"
)

// localURL returns u when it is a plain path on our own origin and "/"
// otherwise. A link of a page never leaves the host by a value it was given.
func localURL(u string) string {
	if !strings.HasPrefix(u, "/") || strings.HasPrefix(u, "//") || len(u) > 8<<10 {
		return "/"
	}
	for i := range len(u) {
		if c := u[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>' {
			return "/"
		}
	}
	return u
}
