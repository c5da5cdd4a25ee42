package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrNoRequirement means that an application asked for something that is no requirement.
var ErrNoRequirement = errors.New("not a requirement that an application can ask for")

// shortestAge is the smallest age that an application can ask for: from the proof to the
// request that it is for, a person needs some time.
const shortestAge = time.Minute

// ByName is the requirement that an application names: one that the file names, a built-in, or a
// factor. maxAge, unless it is 0, bounds the age of all its proofs; less than a minute counts as
// one. The error is ErrNoRequirement.
func (p *Policy) ByName(name string, maxAge time.Duration) (*Requirement, error) {
	r := p.Requirement(name)
	if r == nil || r.hasOnce() || maxAge < 0 {
		return nil, fmt.Errorf("%w: %.80q", ErrNoRequirement, name)
	}
	return aged(r, maxAge), nil
}

// ByACR is likewise the requirement that meets any of the authentication contexts which an
// application names (RFC 9470, section 3), of which unknown ones are passed over. Without any,
// maxAge says how fresh any proof must be.
func (p *Policy) ByACR(values []string, maxAge time.Duration) (*Requirement, error) {
	if len(values) == 0 && maxAge > 0 {
		return aged(signedIn, maxAge), nil
	}
	var known []*Requirement
	for _, value := range values {
		if r := p.named(value); r != nil && !r.hasOnce() {
			known = append(known, r)
		}
	}
	if len(known) == 0 || maxAge < 0 {
		return nil, fmt.Errorf("%w: none of the acr_values %.80q is known", ErrNoRequirement, values)
	}
	if len(known) == 1 {
		return aged(known[0], maxAge), nil
	}
	return aged(anyOf(known...), maxAge), nil
}

// named finds what ACRValues calls by a value, or what has it for its name.
func (p *Policy) named(value string) *Requirement {
	switch value {
	case acrOf("phishing_resistant"):
		return phishing
	case acrOf("signed_in"):
		return signedIn
	}
	name := strings.TrimPrefix(value, acrPrefix)
	return p.Requirement(strings.TrimPrefix(name, "factor:"))
}

// aged is a requirement whose proofs are all at most so old; 0 bounds nothing.
func aged(r *Requirement, maxAge time.Duration) *Requirement {
	if maxAge == 0 {
		return r
	}
	out := allOf(r)
	out.maxAge = max(maxAge, shortestAge)
	return out
}
