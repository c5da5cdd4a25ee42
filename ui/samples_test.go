package ui

import (
	"strings"
	"time"
)

// noon is the time of all tests.
var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

const sampleQR = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 29 29" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h29v29H0z"/><path d="M4 4h7v7H4zM18 4h7v7h-7zM4 18h7v7H4zM13 13h3v3h-3zM17 17h2v2h-2zM21 21h4v2h-4zM14 20h2v5h-2z"/><path fill="#fff" d="M5 5h5v5H5zM19 5h5v5h-5zM5 19h5v5H5z"/><path d="M6 6h3v3H6zM20 6h3v3h-3zM6 20h3v3H6z"/></svg>`

type sample struct {
	name   string
	status int
	page   Page
}

// sampleTarget has bytes that html/template would spell otherwise.
const sampleTarget = "/payroll?q='a'(b)|{c}&d=\"%41"

// samples is every page in the states that matter.
func samples() []sample {
	c := Common{CSRF: "csrf-token", Flow: "flow-id"}
	bad := func(field, text string) Common {
		b := c
		b.Problems = []Problem{{field, text}}
		return b
	}
	notice := func(text string) Common {
		b := c
		b.Notice = text
		return b
	}
	payroll := Target{Host: "erp.example.com", Path: "/finance/payroll/2026/11", Title: "Payroll: delete"}
	wiki := Target{Host: "wiki.example.com", Path: "/start"}
	ada := Identity{Email: "ada@example.com", Name: "Ada Lovelace"}
	wait := Waiting{ExpiresAt: noon.Add(2 * time.Minute), ResendAt: noon.Add(30 * time.Second)}
	pw := Method{Factor: "password", Value: "password"}
	mail := Method{Factor: "email_otp", Value: "email_otp", Hint: "a•••@example.com"}
	sms := Method{Factor: "sms_otp", Value: "sms_otp", Hint: "+44 •••• 0000"}
	link := Method{Factor: "magic_link", Value: "magic_link", Hint: "a•••@example.com"}
	totp := Method{Factor: "totp", Value: "totp", Hint: "The app on your phone"}
	rec := Method{Factor: "recovery_code", Value: "recovery_code", Hint: "8 left"}
	passkey := Method{Factor: "passkey", Value: "passkey", Label: "Ada’s phone"}
	key := Method{Factor: "webauthn", Value: "webauthn", Label: "Blue key"}
	google := Method{Factor: "oauth", Value: "oauth:google", Label: "Google"}
	wallet := Method{Factor: "crypto_wallet", Value: "crypto_wallet", Label: "ethereum"}
	challenge := func(m Method, f func(*Challenge)) Challenge {
		p := Challenge{Common: c, Target: payroll, Identity: ada, Method: m, Lasts: 10 * time.Minute}
		if f != nil {
			f(&p)
		}
		return p
	}
	sessions := []Session{
		{ID: "s1", Device: "Firefox on Linux", Address: "192.0.2.7", StartedAt: noon.Add(-2 * time.Hour), UsedAt: noon, Current: true},
		{ID: "s2", Device: "Safari on iPhone", Address: "2001:db8:85a3::8a2e:370:7334", StartedAt: noon.Add(-50 * time.Hour), UsedAt: noon.Add(-26 * time.Hour)},
	}
	user := User{ID: "u1", Email: "grace@example.com", Name: "Grace Hopper", Groups: []string{"finance", "admins"}, Verified: true, State: "active", Factors: []string{"password", "totp"}}
	refusal := Refusal{Reference: "request-a", At: noon.Add(-time.Minute), Outcome: "step_up", Method: "POST", Host: "erp.example.com", Path: "/admin/users", Rule: "admin writes", Who: "grace@example.com", Address: "192.0.2.7"}
	events := []AccountEvent{
		{At: noon.Add(-time.Minute), Kind: "factor_removed", Who: "grace@example.com", UserID: "u1", By: "ada@example.com", Factor: "totp", Address: "192.0.2.7"},
		{At: noon.Add(-time.Hour), Kind: "break_glass_used", Who: "linus@example.com", UserID: "u2", Alarm: true},
		{At: noon.Add(-2 * time.Hour), Kind: "factor_refused", Who: "grace@example.com", UserID: "u1", Factor: "oauth:corp", Reason: "oauth_refused", Address: "2001:db8::1"},
	}
	why := Explained{
		Outcome: "step_up", Rule: "admin writes", Floor: "sealed", Reason: "factors_missing", Required: `{"all_of":["password","passkey"],"max_age":"5m0s"}`,
		Missing: [][]Lacking{{{Factor: "passkey", MaxAge: 5 * time.Minute}}, {{Factor: "totp"}, {Factor: "password", MaxAge: 5 * time.Minute}}},
		Rules:   []RuleWhy{{Name: "health", Why: "path: /admin/users is not /healthz"}, {Name: "soon", Why: "all conditions hold", Hit: true, Would: "deny"}, {Name: "admin writes", Why: "all conditions hold", Hit: true}},
		Floors:  []RuleWhy{{Name: "sealed", Why: "all conditions hold", Hit: true}},
	}
	return []sample{
		{"sign-in", 200, SignIn{Common: c, Target: wiki, Password: true, Passkey: true, Forgot: true, Others: []Method{mail, google}}},
		{"sign-in-passkey", 200, SignIn{Common: c, Target: wiki, Passkey: true}},
		{"sign-in-wrong", 200, SignIn{Common: bad("", "E-mail address or password is wrong. Check both, or take another way below."), Target: wiki, Email: "ada@example.com", Password: true, Forgot: true, Others: []Method{mail}}},
		{"sign-in-bare", 200, SignIn{Common: bad("email", "Type your e-mail address, like name@example.com."), Others: []Method{mail, link}}},
		{"sign-in-code", 200, SignInCode{Common: c, Target: wiki, Channel: "email", To: "ada@example.com", Waiting: wait}},
		{"sign-in-code-wrong", 200, SignInCode{Common: bad("code", "That is not the code. Check the six digits, or ask for a new code."), Target: wiki, Channel: "sms", To: "+44 20 7946 0000", Waiting: wait}},
		{"sign-in-link", 200, SignInCode{Common: c, Target: wiki, Channel: "email", To: "ada@example.com", Link: true, Waiting: Waiting{ExpiresAt: noon.Add(time.Hour)}}},
		{"challenge-totp", 200, challenge(totp, func(p *Challenge) { p.Others = []Method{passkey, key, mail, rec}; p.Step, p.Steps = 1, 2 })},
		{"challenge-totp-wrong", 200, challenge(totp, func(p *Challenge) {
			p.Common = bad("code", "That code is not right. Codes change every 30 seconds: type the one your app shows now.")
			p.Others = []Method{rec}
		})},
		{"challenge-password", 200, challenge(pw, func(p *Challenge) {
			p.Step, p.Steps = 2, 2
			p.HeldUntil = noon.Add(10 * time.Minute)
			p.Once = true
		})},
		{"challenge-send", 200, challenge(mail, func(p *Challenge) { p.Others = []Method{totp} })},
		{"too-large", 413, TooLarge{Target: payroll, Limit: 1 << 20, Next: PathChallenge + "?flow=flow-id"}},
		{"repeat", 200, Repeat{Common: c, Target: payroll, Action: sampleTarget, Name: "stepgate-held", Value: "flow-id"}},
		{"expired-held", 410, Expired{Reason: "held", Target: payroll, Next: "/payroll"}},
		{"challenge-code", 200, challenge(mail, func(p *Challenge) { p.Sent, p.Waiting = true, wait })},
		{"challenge-sms", 200, challenge(sms, nil)},
		{"challenge-link", 200, challenge(link, func(p *Challenge) { p.Sent = true })},
		{"challenge-recovery", 200, challenge(rec, nil)},
		{"challenge-remember", 200, challenge(totp, func(p *Challenge) { p.Rememberable, p.Remember = 30*24*time.Hour, true })},
		{"challenge-passkey", 200, challenge(passkey, func(p *Challenge) { p.Others = []Method{totp} })},
		{"challenge-key", 200, challenge(key, func(p *Challenge) { p.Assure = "verified"; p.Target = Target{}; p.Lasts = 0 })},
		{"challenge-oauth", 200, challenge(google, nil)},
		{"challenge-wallet", 200, challenge(wallet, nil)},
		{"no-factor", 200, NoFactor{Common: c, Target: payroll, Identity: ada, Options: []Enrolment{
			{Factor: "passkey", Action: PathPasskeys, Fields: []Field{{"action", "add"}}}, {Factor: "totp", Action: PathTOTP, Fields: []Field{{"action", "start"}}},
		}}},
		{"no-factor-refused", 403, NoFactor{Common: c, Target: payroll, Identity: ada, Reference: "01JX7Q3M8T5V"}},
		{"enrol-totp", 200, EnrolTOTP{Common: c, Identity: ada, ID: "totp1", QR: sampleQR, Secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", URI: "otpauth://totp/Stepgate:ada@example.com?secret=JBSWY3DPEHPK3PXP&issuer=Stepgate", ExpiresAt: noon.Add(24 * time.Hour)}},
		{"enrol-totp-wrong", 200, EnrolTOTP{Common: bad("code", "That code is not right. Wait for the next one and type it at once."), Identity: ada, ID: "totp1", ExpiresAt: noon.Add(24 * time.Hour)}},
		{"recovery-codes", 200, RecoveryCodes{Common: c, Identity: ada, Host: "erp.example.com", Replaced: true, Codes: strings.Fields("7k3m-9qxt-2hbc-v5rd a1b2-c3d4-e5f6-g7h8 j9k0-m1n2-p3q4-r5s6 t7v8-w9x0-y1z2-3a4b 5c6d-7e8f-9g0h-1j2k 3m4n-5p6q-7r8s-9t0v 1w2x-3y4z-5a6b-7c8d 9e0f-1g2h-3j4k-5m6n 7p8q-9r0s-1t2v-3w4x 5y6z-7a8b-9c0d-1e2f")}},
		{"add-passkey", 200, AddPasskey{Common: c, Identity: ada, Type: "platform", Cancel: PathAccount}},
		{"add-key", 200, AddPasskey{Common: c, Identity: ada, Type: "cross-platform", Cancel: PathAccount}},
		{"confirm-email", 200, ConfirmEmail{Common: c, Identity: ada, ID: "e2", Address: "ada@lovelace.example", Waiting: wait}},
		{"confirm", 200, Confirm{Common: c, Heading: "Remove the authenticator app?", Text: "Without it you can no longer open pages that ask for an authenticator code. Your recovery codes stop working too.", Button: "Remove the authenticator app", Action: PathTOTP, Fields: []Field{{"action", "remove"}}, Cancel: PathAccount}},
		{"confirm-needed", 200, Confirm{Common: c, Heading: "Remove “Ada’s phone”?", Text: "You can no longer confirm with it.", Rules: []string{"admin area", "payroll exports"}, Button: "Remove it", Action: PathPasskeys, Fields: []Field{{"action", "remove"}, {"id", "k1"}}, Cancel: PathAccount}},
		{"account", 200, sampleAccount(notice("Your name was changed."), ada, sessions)},
		{"account-new", 200, Account{Common: c, Identity: Identity{Email: "new@example.com"}, Emails: []Email{{ID: "e1", Address: "new@example.com", Primary: true}}, Password: PasswordState{Set: true, ChangedAt: noon}, TOTP: TOTPState{Blocked: "Verify your e-mail address first"}, Offers: Offers{Password: true, TOTP: true}, Sessions: sessions[:1]}},
		{"password", 200, Password{Common: c, Identity: ada, Set: true, NeedCurrent: true, Minimum: 8, Cancel: PathAccount}},
		{"password-weak", 200, Password{Common: bad("password", "This password is easy to guess. Add a few words that have nothing to do with each other."), Identity: ada, Minimum: 15, Cancel: PathAccount}},
		{"forgot-password", 200, ForgotPassword{Common: c, Cancel: PathSignIn}},
		{"forgot-password-sent", 200, ForgotPassword{Common: c, Email: "ada@example.com", Sent: true, Lasts: 30 * time.Minute, Cancel: PathSignIn}},
		{"reset-password", 200, ResetPassword{Common: c, Token: "token", Email: "ada@example.com", Minimum: 8, Why: "Your password has to be renewed before it works again."}},
		{"break-glass", 200, BreakGlass{Common: c, Cancel: PathSignIn}},
		{"break-glass-wrong", 401, BreakGlass{Common: bad("code", "This address and this code do not belong together, or the code was used already."), Email: "ada@example.com", Cancel: PathSignIn}},
		{"invite", 200, Invite{Common: c, Token: "token", Email: "ada@example.com", Name: "Ada", InvitedBy: "Grace Hopper", Host: "erp.example.com", Password: true, Minimum: 15, Others: []Method{mail}, ExpiresAt: noon.Add(72 * time.Hour)}},
		{"setup", 200, Invite{Common: c, Token: "token", Setup: true, EmailOpen: true, Password: true, Minimum: 15, ExpiresAt: noon.Add(time.Hour)}},
		{"link", 200, MagicLink{Common: c, Token: "token", Target: wiki, Email: "ada@example.com"}},
		{"link-code", 200, MagicLink{Code: "K7M4"}},
		{"sign-out", 200, SignOut{Common: c, Identity: ada, Cancel: PathAccount}},
		{"sign-in-phone", 200, SignInPhone{Common: c, Target: wiki, Channel: "sms"}},
		{"sign-in-wallet", 200, SignInWallet{Common: c, Target: wiki}},
		{"add-wallet", 200, AddWallet{Common: c, Identity: ada, Host: "erp.example.com", Cancel: PathAccount}},
		{"add-phone", 200, AddAddress{Common: c, Identity: ada, Phone: true, Cancel: PathAccount}},
		{"add-email-wrong", 400, AddAddress{Common: bad("email", "Type an e-mail address, like name@example.com."), Identity: ada, Value: "ada.lovelace", Cancel: PathAccount}},
		{"confirm-phone", 200, ConfirmPhone{Common: c, Identity: ada, ID: "n2", Number: "+44 20 7946 0000", Channel: "sms", Waiting: wait}},
		{"leave", 200, Leave{Label: "Google", URL: "https://accounts.example.com/o/oauth2/auth?client_id=1&state=2", Cancel: "/"}},
		{"signed-out", 200, SignedOut{SignIn: PathSignIn}},
		{"expired", 200, Expired{Reason: "idle", Target: wiki, Next: "/start"}},
		{"expired-flow", 200, Expired{Reason: "flow", Next: "/"}},
		{"done", 200, Done{Target: payroll, Flow: "flow-id"}},
		{"denied", 403, Denied{Common: c, Target: payroll, Identity: ada, Rule: "contractors at night", Reference: "01JX7Q3M8T5V"}},
		{"error-400", 400, Error{Status: 400, Item: "%2f in the path", Option: "encoded_slash", Reference: "01JX7Q3M8T5V"}},
		{"error-400-form", 400, Error{Status: 400, Reference: "01JX7Q3M8T5V", Back: "/"}},
		{"error-404", 404, Error{Status: 404, Reference: "01JX7Q3M8T5V", Back: "/"}},
		{"error-421", 421, Error{Status: 421, Host: "other.example.com", Reference: "01JX7Q3M8T5V"}},
		{"error-429", 429, Error{Status: 429, RetryAfter: 42 * time.Minute, Detail: "A passkey works at once, also now.", Reference: "01JX7Q3M8T5V"}},
		{"error-503", 503, Error{Status: 503, RetryAfter: 30 * time.Second, Reference: "01JX7Q3M8T5V"}},
		{"error-500", 500, Error{Status: 500, Reference: "01JX7Q3M8T5V"}},
		{"outbox", 200, Outbox{Messages: []Sent{
			{Channel: "email", To: "ada@example.com", Subject: "Your e-mail code: 482 913", Text: "Your code is 482913.\nIt works for 2 minutes.\n\nDid not ask for it? You need not do anything.", Code: "482913", SentAt: noon.Add(-20 * time.Second)},
			{Channel: "email", To: "ada@example.com", Subject: "Your invitation to erp.example.com", Text: "Welcome.\nhttp://localhost:8080/.stepgate/invite/abc", Link: "http://localhost:8080/.stepgate/invite/abc", SentAt: noon.Add(-5 * time.Minute)},
			{Channel: "sms", To: "+442079460000", Text: "731204 is your code.\n\n@localhost #731204", Code: "731204", SentAt: noon.Add(-3 * time.Hour)},
		}}},
		{"outbox-empty", 200, Outbox{}},
		{"admin", 200, Admin{Common: notice("The invitation was sent."), Identity: ada, Query: "gra", Users: []User{user, {ID: "u2", Email: "linus@example.com", State: "locked", Weak: true, Factors: []string{"password"}}, {ID: "u3", Email: "someone.with.a.long.address@department.example.com", State: "active"}}, Next: "u3", Link: "https://auth.example.com/.stepgate/invite/3vQyB1mS0l3kF8n2Zt5a9w"}},
		{"admin-events", 200, AdminEvents{Common: c, Identity: ada, Events: events}},
		{"admin-policy", 200, AdminPolicy{Common: c, Identity: ada, Policy: "/etc/stepgate/policy.yaml", Method: "POST", URL: "https://erp.example.com/admin", User: "grace@example.com", Factors: "password@10m",
			Policies: []PolicyInForce{{Name: "/etc/stepgate/policy.yaml", Rules: 12, Refused: []string{`policy.yaml:4:5: unknown key "mach"`}}, {Name: "inline /export/*", Rules: 1}}, Why: &why}},
		{"admin-policy-wrong", 400, AdminPolicy{Common: bad("url", "This is not an address."), Identity: ada, URL: "nonsense", Policies: []PolicyInForce{{Name: "p.yaml", Rules: 1}}}},
		{"admin-refusals", 200, AdminRefusals{Common: c, Identity: ada, Reference: "request-unknown", Findable: true, Refusals: []Refusal{refusal, {Reference: "request-b", At: noon.Add(-time.Hour), Outcome: "refused", Method: "GET", Host: "erp.example.com", Path: "/a//b", Address: "2001:db8::1"}}}},
		{"admin-refusal", 200, AdminRefusal{Common: c, Identity: ada, Refusal: refusal, Proven: []string{"password@12m0s"}, Policy: "/etc/stepgate/policy.yaml", Why: why}},
		{"admin-readiness", 200, AdminReadiness{Common: c, Identity: ada, Users: 42, Locked: 2, Policies: []string{"/etc/stepgate/policy.yaml", "inline"}, Policy: "inline", Rules: []RuleReady{
			{Name: "admin writes", Ready: 39, Unready: 2, Lacking: []UserLacking{{ID: "u1", Email: "grace@example.com", Enrol: [][]string{{"passkey"}, {"totp", "oauth:corp"}}}, {ID: "u2", Email: "linus@example.com", Locked: true, NoWayIn: true}, {ID: "u3", Email: "ada@example.com"}}},
			{Name: "minimum 1", Floor: true, ReportOnly: true, Ready: 42},
		}}},
		{"admin-user", 200, AdminUser{Common: c, Identity: ada, User: user, CreatedAt: noon.Add(-90 * 24 * time.Hour), Sessions: sessions, Passwords: true, Events: events, PausedUntil: noon.Add(20 * time.Minute), Claims: []Claim{{Name: "clearance", Value: "3"}, {Name: "department", Value: `"finance"`, Given: true}}, Factors: []Credential{{Factor: "password", ID: "p1", CreatedAt: noon.Add(-90 * 24 * time.Hour), UsedAt: noon.Add(-time.Hour)}, {Factor: "totp", ID: "t1", CreatedAt: noon.Add(-80 * 24 * time.Hour), UsedAt: noon.Add(-3 * 24 * time.Hour)}}}},
	}
}

func sampleAccount(c Common, i Identity, sessions []Session) Account {
	return Account{
		Common: c, Identity: i, Home: "/", Administrator: true,
		Emails:    []Email{{ID: "e1", Address: "ada@example.com", Verified: true, Primary: true}, {ID: "e2", Address: "ada.lovelace@analytical-engine.example", Removable: true}},
		Phones:    []Phone{{ID: "n1", Number: "+44 20 7946 0000"}},
		Password:  PasswordState{Set: true, ChangedAt: noon.Add(-40 * 24 * time.Hour), Removable: true},
		TOTP:      TOTPState{Set: true, CreatedAt: noon.Add(-40 * 24 * time.Hour), UsedAt: noon.Add(-2 * time.Hour), Removable: true},
		Passkeys:  []Passkey{{ID: "k1", Name: "Ada’s phone", Discoverable: true, Synced: true, UsedAt: noon.Add(-3 * time.Hour), Removable: true}, {ID: "k2", Name: "Blue key", UsedAt: noon.Add(-72 * time.Hour), Removable: true}},
		Recovery:  RecoveryState{Set: true, Left: 3, Of: 10, CreatedAt: noon.Add(-40 * 24 * time.Hour)},
		Providers: []Connection{{ID: "c1", Provider: "google", Label: "Google", Email: "ada@gmail.example", Removable: true}, {Provider: "corp", Label: "Corporate login"}},
		Wallets:   []Wallet{{ID: "w1", Address: "0x52908400098527886E0F7030069857D2E4169EE7", Chain: "ethereum", UsedAt: noon.Add(-200 * time.Hour), Removable: true}},
		Devices:   []Device{{ID: "d1", Name: "Firefox on Linux", ExpiresAt: noon.Add(20 * 24 * time.Hour), Current: true}},
		Sessions:  sessions,
		Offers:    Offers{Password: true, TOTP: true, Passkeys: true, SecurityKeys: true, Phones: true, Wallets: true},
	}
}
