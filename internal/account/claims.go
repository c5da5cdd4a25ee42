package account

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ErrClaims means that custom claims have a form that is not accepted.
var ErrClaims = errors.New("custom claims not accepted")

const (
	maxClaims = 50
	// maxClaimsSize bounds them, as JSON and in bytes: they travel in a header of every request.
	maxClaimsSize = 2 << 10
)

// claimName keeps claims apart from what the assertion says by itself, whose names they stand
// beside and never in place of.
var claimName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.:/-]{0,99}$`)

// MergeClaims returns the claims with those of change in their place; null takes one away.
// Values are what JSON can say. The error is ErrClaims.
func MergeClaims(claims, change map[string]any) (map[string]any, error) {
	out := maps.Clone(claims)
	if out == nil {
		out = make(map[string]any)
	}
	for name, value := range change {
		if !claimName.MatchString(name) {
			return nil, fmt.Errorf("%w: %.40q is no name of a claim; use letters, digits, _ . : / and -", ErrClaims, name)
		}
		if value == nil {
			delete(out, name)
			continue
		}
		out[name] = value
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrClaims, err)
	}
	if len(out) > maxClaims || len(text) > maxClaimsSize {
		return nil, fmt.Errorf("%w: at most %d claims of %d bytes together", ErrClaims, maxClaims, maxClaimsSize)
	}
	return out, nil
}

// ClaimsOfProvider cuts what an identity provider tells of a person to sane claims, in the order
// of their names: whatever does not fit any more is left out, since it is the person there, or
// the provider, who says how long it is.
func ClaimsOfProvider(claims map[string]any) map[string]any {
	var out map[string]any
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if merged, err := MergeClaims(out, map[string]any{name: claims[name]}); err == nil && len(merged) > 0 {
			out = merged
		}
	}
	return out
}

// ParseClaim reads the value of a claim as people type one: JSON, or else the text as it stands;
// an empty one is null, which takes the claim away.
func ParseClaim(text string) any {
	var value any
	if text = strings.TrimSpace(text); text != "" && json.Unmarshal([]byte(text), &value) != nil {
		return text
	}
	return value
}
