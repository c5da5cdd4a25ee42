package policy

import (
	"fmt"
	"strings"
	"time"
)

// ParseFactors reads a list of proven factors as people write it on a command line: names as
// in a policy, each with an optional age, such as "password@10m,passkey@30s". An empty text
// is no factor.
func ParseFactors(text string, now time.Time) ([]Factor, error) {
	if text == "" {
		return nil, nil
	}
	var out []Factor
	for part := range strings.SplitSeq(text, ",") {
		name, age, aged := strings.Cut(strings.TrimSpace(part), "@")
		spec, ok := parseFactorName(name)
		if !ok {
			return nil, fmt.Errorf("unknown factor %q; expected one of %s", name, choices(names))
		}
		f := Factor{Name: spec.name, Variant: spec.variant, ID: name, At: now}
		if f.Name == "passkey" {
			f.Name, f.Discoverable, f.UserVerified = "webauthn", true, true
		}
		if aged {
			d, ok := parseDuration(age)
			if !ok {
				return nil, fmt.Errorf("%q is no age; write one like 90s, 5m or 2d", age)
			}
			f.At = now.Add(-d)
		}
		out = append(out, f)
	}
	return out, nil
}
