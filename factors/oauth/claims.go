package oauth

import (
	"slices"
	"strings"
	"time"
)

const (
	maxText  = 1024 // bytes of a claim that is kept
	maxTexts = 256
)

// claims are those of a token, by their exact names: encoding/json takes a name in another case
// for the same, and some providers let people name claims.
type claims map[string]any

func (c claims) text(name string) string {
	s, _ := c[name].(string)
	return clip(s)
}

// known are the claims that the library reads, in whatever case.
var known = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "_claim_names", "_claim_sources"}

// misspelt tells whether a claim stands in another case than its own.
func (c claims) misspelt() bool {
	for name := range c {
		if slices.ContainsFunc(known, func(k string) bool { return name != k && strings.EqualFold(name, k) }) {
			return true
		}
	}
	return false
}

// authTime reads auth_time; zero when there is none, for which some write 0.
func (c claims) authTime(latest time.Time) (time.Time, error) {
	v := c["auth_time"]
	if v == nil || v == 0.0 {
		return time.Time{}, nil
	}
	seconds, ok := v.(float64)
	if !ok || seconds < 0 || seconds > float64(latest.Unix()) {
		return time.Time{}, refused("auth_time is no time or of the future")
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// clip drops a text that is too long: half of one would be another.
func clip(s string) string {
	if len(s) > maxText {
		return ""
	}
	return s
}

// texts reads a claim that is a text or a list of texts: the first 256 that are neither empty
// nor too long.
func texts(v any) []string {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, one := range list {
		if s, _ := one.(string); clip(s) != "" && len(out) < maxTexts {
			out = append(out, s)
		}
	}
	return out
}
