package delivery

import (
	"bytes"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"
)

//go:embed text
var files embed.FS

var (
	plainText = texttemplate.Must(texttemplate.ParseFS(files, "text/*.txt"))
	frame     = htmltemplate.Must(htmltemplate.ParseFS(files, "text/frame.html"))
)

// Letter is what a message with a code or a link says.
type Letter struct {
	To string
	// Name of the person; may be empty.
	Name string
	// Site is the name of the installation, Host the host that asked.
	Site, Host string
	Code, Link string
	// Life is how long the code or link works.
	Life time.Duration
}

// NoticeLetter is what a message about a change of an account says.
type NoticeLetter struct {
	To         string
	Site, Host string
	// Detail names the thing that was changed.
	Detail    string
	At        time.Time
	IPAddress string
}

// NoticeKind says what happened to an account.
type NoticeKind string

// The kinds of notices.
const (
	NoticeLocked               NoticeKind = "locked"
	NoticePasswordChanged      NoticeKind = "password_changed"
	NoticeRecoveryCodeUsed     NoticeKind = "recovery_code_used"
	NoticeRecoveryCodesRenewed NoticeKind = "recovery_codes_renewed"
	NoticeFactorAdded          NoticeKind = "factor_added"
	NoticeFactorRemoved        NoticeKind = "factor_removed"
	NoticeResetLink            NoticeKind = "reset_link"
	NoticeMainAddress          NoticeKind = "main_address"
	NoticeBreakGlass           NoticeKind = "break_glass"
	NoticeDeviceRemembered     NoticeKind = "device_remembered"
)

// EmailCode is the mail with a sign-in code.
func EmailCode(l Letter) (Message, error) {
	return compose("email_code", l.To, "Your code for "+clean(l.Host)+": "+l.Code, l)
}

// EmailConfirmation is the mail with a code that confirms a new address.
func EmailConfirmation(l Letter) (Message, error) {
	return compose("email_confirmation", l.To, "Confirm your address for "+clean(l.Host)+": "+l.Code, l)
}

// MagicLink is the mail with a sign-in link.
func MagicLink(l Letter) (Message, error) {
	return compose("magic_link", l.To, "Your sign-in link for "+clean(l.Host), l)
}

// PasswordReset is the mail with a link to choose a new password.
func PasswordReset(l Letter) (Message, error) {
	return compose("password_reset", l.To, "Choose a new password for "+clean(l.Host), l)
}

// Invite is the mail with an invitation.
func Invite(l Letter) (Message, error) {
	return compose("invite", l.To, "Your invitation to "+clean(l.Host), l)
}

// Notice is the mail about a change of an account.
func Notice(kind NoticeKind, n NoticeLetter) (Message, error) {
	var what string
	switch kind {
	case NoticeLocked:
		what = "Sign-in paused after too many wrong tries"
	case NoticePasswordChanged:
		what = "Your password was changed"
	case NoticeRecoveryCodeUsed:
		what = "A recovery code was used"
	case NoticeRecoveryCodesRenewed:
		what = "Your recovery codes were replaced"
	case NoticeFactorAdded:
		what = "Added to your account: " + n.Detail
	case NoticeFactorRemoved:
		what = "Removed from your account: " + n.Detail
	case NoticeResetLink:
		what = "An administrator made a link for a new password of your account"
	case NoticeMainAddress:
		what = "Your main address is now " + n.Detail
	case NoticeBreakGlass:
		what = "ALARM: a break-glass code opened the administrator's account " + n.Detail
	case NoticeDeviceRemembered:
		what = "A browser is remembered from now on"
	default:
		return Message{}, fmt.Errorf("no notice of kind %q", kind)
	}
	return compose("notice", n.To, what, struct {
		NoticeLetter
		What   string
		Locked bool
	}{n, what, kind == NoticeLocked})
}

// compose renders the text of a message, and the same text as HTML.
func compose(name, to, subject string, data any) (Message, error) {
	var text bytes.Buffer
	if err := plainText.ExecuteTemplate(&text, name+".txt", data); err != nil {
		return Message{}, fmt.Errorf("compose %s: %w", name, err)
	}
	m := Message{Channel: Email, To: to, Subject: clean(subject), Text: text.String()}
	if l, ok := data.(Letter); ok {
		m.Code, m.Link = l.Code, l.Link
	}
	var page bytes.Buffer
	err := frame.ExecuteTemplate(&page, "frame.html", struct {
		Subject, Code, Link string
		Paragraphs          []string
	}{m.Subject, m.Code, m.Link, paragraphs(m.Text, m.Code, m.Link)})
	if err != nil {
		return Message{}, fmt.Errorf("compose %s: %w", name, err)
	}
	m.HTML = page.String()
	return m, nil
}

// paragraphs splits a text at its empty lines, without those that are only the code or link.
func paragraphs(text, code, link string) []string {
	var out []string
	for p := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		p = strings.TrimSpace(p)
		if p != "" && p != code && p != link {
			out = append(out, p)
		}
	}
	return out
}

// clean takes line breaks and control characters out of what goes into a header.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// Minutes is the life of the code or link in the words of a message.
func (l Letter) Minutes() string {
	switch {
	case l.Life >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(l.Life/(24*time.Hour)))
	case l.Life >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(l.Life/time.Hour))
	case l.Life >= time.Hour:
		return "1 hour"
	case l.Life >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(l.Life/time.Minute))
	}
	return "1 minute"
}

// When is the time of a change in the words of a message.
func (n NoticeLetter) When() string { return n.At.UTC().Format("2 January 2006, 15:04 UTC") }
