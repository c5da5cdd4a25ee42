package ui

import (
	"strconv"
	"strings"
	"time"
)

// codeName is what a code of a channel is called on every page.
func codeName(channel string) string {
	switch channel {
	case "sms":
		return "text message code"
	case "whatsapp":
		return "WhatsApp code"
	}
	return "e-mail code"
}

// methodWords are the texts of one factor.
type methodWords struct {
	// Choice is the button among the ways to confirm, Start the one on the
	// sign-in page, Noun the thing itself, Icon its picture.
	Choice, Start, Noun, Icon string
}

var methods = map[string]methodWords{
	"password":      {"Use your password", "Sign in with a password", "Password", "lock"},
	"magic_link":    {"Get a link by e-mail", "E-mail me a link", "E-mail link", "link"},
	"email_otp":     {"Get an e-mail code", "E-mail me a code", "E-mail code", "mail"},
	"sms_otp":       {"Get a code by text message", "Text me a code", "Text message code", "phone"},
	"whatsapp_otp":  {"Get a code by WhatsApp", "Send a WhatsApp code", "WhatsApp code", "chat"},
	"oauth":         {"Continue with", "Continue with", "Account at", "globe"},
	"totp":          {"Use an authenticator code", "Use an authenticator code", "Authenticator app", "app"},
	"recovery_code": {"Use a recovery code", "Use a recovery code", "Recovery code", "lifebuoy"},
	"webauthn":      {"Use a security key", "Use a security key", "Security key", "key"},
	"passkey":       {"Use a passkey", "Use a passkey", "Passkey", "passkey"},
	"crypto_wallet": {"Sign with a wallet", "Sign in with a wallet", "Wallet", "wallet"},
}

// Choice is the text of the button that chooses the method.
func (m Method) Choice() string { return m.labelled(methods[m.Factor].Choice) }

// Start is the text of the button that begins a sign-in by the method.
func (m Method) Start() string { return m.labelled(methods[m.Factor].Start) }

// Noun is the name of the method.
func (m Method) Noun() string { return m.labelled(methods[m.Factor].Noun) }

// Icon is the name of the picture of the method.
func (m Method) Icon() string { return methods[m.Factor].Icon }

// Channel is the channel on which the method sends: email, sms or whatsapp.
func (m Method) Channel() string {
	switch m.Factor {
	case "sms_otp":
		return "sms"
	case "whatsapp_otp":
		return "whatsapp"
	}
	return "email"
}

// CodeName is the name of the code that the method sends.
func (m Method) CodeName() string { return codeName(m.Channel()) }

func (m Method) labelled(text string) string {
	if m.Factor != "oauth" {
		return text
	}
	if m.Label == "" {
		return text + " another provider"
	}
	return text + " " + clip(m.Label, 40)
}

// Noun is the name of the factor.
func (e Enrolment) Noun() string { return Method{Factor: e.Factor, Label: e.Label}.Noun() }

// Icon is the name of the picture of the factor.
func (e Enrolment) Icon() string { return methods[e.Factor].Icon }

// Gain says in a few words what the factor is good for.
func (e Enrolment) Gain() string {
	switch e.Factor {
	case "passkey":
		return "Fingerprint, face or screen lock. Quick, and safe from fake sites."
	case "webauthn":
		return "A small key for USB or NFC. Safe from fake sites."
	case "totp":
		return "An app on your phone shows a new code every 30 seconds."
	case "password":
		return "Something only you know."
	case "sms_otp", "whatsapp_otp":
		return "A code on your phone. Weaker than the other ways."
	}
	return ""
}

// duration says d in words, rounded to what matters: "10 minutes".
func duration(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 90*time.Second:
		return plural(int((d+time.Second-1)/time.Second), "second")
	case d < 59*time.Minute+30*time.Second, d > time.Hour+30*time.Second && d < 100*time.Minute:
		return plural(int((d+30*time.Second)/time.Minute), "minute")
	case d < 36*time.Hour:
		return plural(int((d+30*time.Minute)/time.Hour), "hour")
	}
	return plural(int((d+12*time.Hour)/(24*time.Hour)), "day")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}

// ago says how long t is past: "just now", "3 hours ago", or the date when it
// is more than a week. The zero time is "never".
func (v view) ago(t time.Time) string {
	d := v.now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return "just now"
	case d < 7*24*time.Hour:
		return duration(d) + " ago"
	}
	return "on " + date(t)
}

func date(t time.Time) string { return t.UTC().Format("2 January 2006") }

// bytesText says a size: "640 bytes", "12 kB".
func bytesText(n int64) string {
	switch {
	case n < 1000:
		return plural(int(max(n, 0)), "byte")
	case n < 1000*1000:
		return strconv.FormatInt((n+500)/1000, 10) + " kB"
	}
	return strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64) + " MB"
}

// chainName is a blockchain in words.
func chainName(chain string) string { return upper(chain) }

// factorName is a factor of the policy in words: "oauth:corp" is the provider's name.
func factorName(name string) string {
	base, variant, _ := strings.Cut(name, ":")
	noun := methods[base].Noun
	if noun == "" {
		noun = base
	}
	if variant != "" {
		noun += " (" + variant + ")"
	}
	return noun
}
