package account

import (
	"errors"
	"strings"
)

// ErrAddress means that a text is not an e-mail address that the gateway accepts.
var ErrAddress = errors.New("not an e-mail address")

const (
	maxAddress = 254 // RFC 5321, section 4.5.3.1.3, less the angle brackets
	maxLocal   = 64  // RFC 5321, section 4.5.3.1.1
)

// FoldEmail returns the one spelling under which an e-mail address is known: lower case,
// surrounding white space removed. It accepts only the plain form of RFC 5321: a dot-atom
// local part of ASCII and a host name of two or more labels. Quoted local parts, comments,
// address literals, percent routing and internationalised addresses are ErrAddress, because
// parsers disagree about them.
func FoldEmail(text string) (string, error) {
	s := strings.ToLower(strings.Trim(text, " \t\r\n"))
	local, domain, ok := strings.Cut(s, "@")
	if !ok || len(s) > maxAddress || len(local) > maxLocal || !dotAtom(local) || !hostName(domain) {
		return "", ErrAddress
	}
	return s, nil
}

func dotAtom(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" {
			return false
		}
		for _, c := range []byte(part) {
			if !alphanumeric(c) && !strings.ContainsRune("!#$&'*+-/=?^_`{|}~", rune(c)) {
				return false
			}
		}
	}
	return true
}

func hostName(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !alphanumeric(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
}

// MaskEmail hides most of an address for a page that shows it to somebody who proved less
// than the mailbox: "a…@example.com".
func MaskEmail(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" {
		return "…"
	}
	return local[:1] + "…@" + domain
}
