package portal_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/policy"
)

// However many floors hold for a request, the flow for it begins, and keeps the way back.
func TestManyLongFloorsBeginAFlow(t *testing.T) {
	s := newSite(t, nil)
	var models []string
	for i := range 40 {
		models = append(models, fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
	}
	text := "version: 1\nminimum:\n"
	for i := range 5 {
		text += fmt.Sprintf("  - {match: {path: /two/*}, require: {factor: webauthn, max_age: %dh, aaguid: [%s]}}\n", i+1, strings.Join(models, ", "))
	}
	p, err := policy.Load("p", []byte(text+"default: {require: mfa}\n"))
	must(t, err)
	s.gate.Policy = func() *policy.Policy { return p }
	s.user(alice, true)
	b := s.browser()
	b.signIn(alice)
	target := "/two/x?" + strings.Repeat("q", 2<<10)
	for _, who := range []*browser{b, s.browser()} {
		begun := who.get(target, "Sec-Fetch-Mode", "navigate")
		_, id, found := strings.Cut(begun.header.Get("Location"), "?flow=")
		if begun.status != http.StatusSeeOther || !found {
			t.Fatalf("%d %s", begun.status, begun.body)
		}
		v := flow.Visitor{}
		if cookie := who.cookie(); cookie != "" {
			v.Session, err = s.config.Sessions.Lookup(t.Context(), cookie)
			must(t, err)
		}
		pending, err := s.Pending(v, "app.test", id)
		must(t, err)
		if pending.Return != target {
			t.Errorf("the flow leads back to %.20s", pending.Return)
		}
	}
}
