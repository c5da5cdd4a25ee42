package flow

import (
	"testing"

	"github.com/stepgate/stepgate/internal/session"
)

const onceRequired = `{"all_of":["password",{"factor":"totp","once":true,"rule":"pay"}]}`

// rules lists what the TOTP proofs of a session serve: "" is an ordinary one.
func rules(s *session.Session) []string {
	var out []string
	for _, f := range s.Subject().Factors {
		if f.Name == "totp" {
			out = append(out, f.ForRule)
		}
	}
	return out
}

// A proof made in a flow whose rule asks for one of its own serves that rule, and nothing that
// other flows ask for. To apps and to the API it is one factor.
func TestProofForOneRule(t *testing.T) {
	h := newHouse(t)
	u := h.user("alice@example.com", true)
	h.enrol(as(h.signIn("alice@example.com")))
	v := as(h.signIn("alice@example.com"))
	for name, flow := range map[string]Pending{
		"another host":    {Host: "other.test", Family: v.Session.Family, Required: onceRequired},
		"another session": {Host: "app.test", Family: "family-of-bob", Required: onceRequired},
		"another need":    {Host: "app.test", Family: v.Session.Family, Required: `"totp"`},
	} {
		id, err := h.Begin(flow)
		ok(t, err)
		v := as(h.signIn("alice@example.com"))
		v.Flow = id
		r, err := h.AuthenticateTOTP(t.Context(), v, h.totp(u.ID))
		ok(t, err)
		if got := rules(r.Session); len(got) != 1 || got[0] != "" {
			t.Errorf("%s: proofs for %q", name, got)
		}
		h.clock.Advance(31e9)
	}
	id, err := h.Begin(Pending{Host: "app.test", Family: v.Session.Family, Required: onceRequired})
	ok(t, err)
	v.Flow = id
	p, err := h.Pending(v, "app.test", id)
	ok(t, err)
	progress, err := h.Progress(t.Context(), v, p)
	ok(t, err)
	if len(progress.Missing) != 1 || !progress.Missing[0][0].Once {
		t.Errorf("missing: %+v", progress.Missing)
	}
	r, err := h.AuthenticateTOTP(t.Context(), v, h.totp(u.ID))
	ok(t, err)
	if got := rules(r.Session); len(got) != 2 || got[0] != "" || got[1] != "pay" {
		t.Errorf("proofs for %q", got)
	}
	if len(r.Session.Factors) != 2 {
		t.Errorf("the API shows %d factors", len(r.Session.Factors))
	}
	progress, err = h.Progress(t.Context(), as(r), p)
	ok(t, err)
	if !progress.Satisfied {
		t.Errorf("still missing: %+v", progress.Missing)
	}
}
