package policy

import "time"

// This file reads max_age, once and remember_device, and finds those that contradict each
// other. Each pair is reported at the outer one, so that a named requirement can be right in
// one place and wrong in another.

func (l *loader) maxAge(n *node, r *Requirement) time.Duration {
	d, ok := l.duration(n)
	switch {
	case !ok:
		return 0
	case d < time.Second:
		l.add(n, "max_age must be at least 1s")
		return 0
	case d < minRememberAge && r.Remembers() != 0:
		l.add(n, "a max_age under 1h cannot stand around remember_device")
	}
	return d
}

func (l *loader) once(n, rule *node, r *Requirement) {
	if n.tag != "!!bool" || !isTrue(n.text) {
		l.add(n, "once can only be true; leave it out otherwise")
		return
	}
	if r.Remembers() != 0 {
		l.add(n, "once cannot stand around remember_device: a proof for one request is never remembered")
	}
	r.once = true
	if rule != nil {
		r.rule = rule.text
	}
}

func (l *loader) remember(n *node, r *Requirement) {
	d, ok := l.duration(n)
	if !ok {
		return
	}
	switch least := r.lacking(&evidence{}, scope{}); {
	case d < minRemember || d > maxRemember:
		l.add(n, "remember_device must be from 1h to 90d")
	case r.resistant():
		l.add(n, "remember_device cannot stand in for webauthn, passkey, phishing_resistant, aal2 or aal3")
	case r.hasOnce():
		l.add(n, "remember_device cannot stand around once: a proof for one request is never remembered")
	case r.Remembers() != 0:
		l.add(n, "remember_device cannot stand around another remember_device")
	case r.MaxAge() != 0 && r.MaxAge() < minRememberAge:
		l.add(n, "remember_device cannot stand around a max_age under 1h")
	case least < 2:
		l.add(n, "remember_device leaves out the second of several factors, and this requirement can be met with one; write for example “factors: 2” or “all_of: [password, totp]”")
	default:
		r.remember = d
	}
}

// resistant tells whether the requirement names a factor that is proven without a secret that
// could be passed on.
func (r *Requirement) resistant() bool {
	if r.kind == kindFactor && (r.factor.name == "webauthn" || r.factor.name == "passkey") {
		return true
	}
	for _, c := range r.children {
		if c.resistant() {
			return true
		}
	}
	return false
}
