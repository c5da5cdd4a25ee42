package policy

import (
	"net/netip"
	"strings"
	"unicode"
)

// Request is a request as the gate understood it, once, for policy, log and upstream alike.
type Request struct {
	// Method as it was sent.
	Method string
	// Host in lower case, without port and trailing dot.
	Host string
	// Path decoded, beginning with "/".
	Path string
	// RawQuery is the query as it was sent, without "?".
	RawQuery string
	// Header has canonical names.
	Header map[string][]string
	// ClientIP is the zero Addr when it is unknown.
	ClientIP netip.Addr
}

// fold is the one spelling under which texts compare equal without regard to case. A text
// that is lower-case ASCII already is returned as it is.
func fold(s string) string {
	for i := range len(s) {
		if c := s[i]; c >= 0x80 || 'A' <= c && c <= 'Z' {
			return strings.Map(foldRune, s)
		}
	}
	return s
}

// foldRune maps a rune to one of those that differ from it by case only, always the same one.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if 'A' <= least && least <= 'Z' {
		return least + 'a' - 'A'
	}
	return least
}
