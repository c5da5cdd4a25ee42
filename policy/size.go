package policy

import "time"

// maxRequirement bounds the text of a requirement, in bytes: the id of a challenge carries it,
// and that id must fit an address.
const maxRequirement = 2048

// Carried is as much of the requirement as the id of a challenge can carry: all of it, or, of
// requirements that are too long together, the first that the subject does not meet at a time.
// Each is short enough alone, and whoever comes back with one is asked for the next. A nil
// subject is an anonymous visitor.
func (r *Requirement) Carried(s *Subject, now time.Time) *Requirement {
	if r.takes(maxRequirement) >= 0 {
		return r
	}
	for _, part := range r.children {
		if !part.MetBy(s, now) {
			return part.Carried(s, now)
		}
	}
	return r
}

// short is the requirement, or nil for one that is too long with named requirements written out.
// Counting ends at the limit: names that stand for one another many times over cost nothing.
func (l *loader) short(n *node, r *Requirement) *Requirement {
	if l.bound || r.takes(maxRequirement) >= 0 {
		return r
	}
	l.add(n, "the requirement is too long: with every named requirement written out it takes more than %d bytes; ask for less, or in several rules", maxRequirement)
	return nil
}

// takes returns what is left of a number of bytes when the requirement is written into them;
// negative when they are too few. It counts no less than String writes.
func (r *Requirement) takes(left int) int {
	if r == nil {
		return left
	}
	left -= len(`"",`) + len(r.label)
	if r.label != "" {
		return left
	}
	if r.maxAge != 0 {
		left -= len(`"max_age":"2562047h47m16.854775807s",`)
	}
	if r.remember != 0 {
		left -= len(`"remember_device":"2160h0m0s",`)
	}
	if r.once {
		left -= len(`"once":true,`)
	}
	switch r.kind {
	case kindFactor:
		left -= len(`{"factor":}`) + len(r.factor.display())
		if s := r.factor; s.userVerified || s.attachment != "" || s.noRecovery {
			left -= len(`"user_verification":"required","attachment":"cross-platform","recovery":false,`)
		}
		if len(r.factor.aaguid) > 0 {
			left -= len(`"aaguid":[],`) + len(r.factor.aaguid)*len(`"00000000-0000-0000-0000-000000000000",`)
		}
	default:
		left -= len(`{"all_of":[]}`)
	}
	for _, c := range r.children {
		if left < 0 {
			break
		}
		left = c.takes(left)
	}
	return left
}
