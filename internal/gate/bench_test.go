package gate

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// BenchmarkForward is the whole gate around an upstream that does nothing: the session is
// cached, its assertion is signed. Every visitor comes in turn.
func BenchmarkForward(b *testing.B) {
	for _, visitors := range []int{10, 100_000} {
		y := newYardOf(b, 1<<18)
		lines := y.crowd(b, visitors)
		for _, rules := range []int{20, 10_000} {
			b.Run(fmt.Sprintf("%d rules, %d sessions", rules, visitors), func(b *testing.B) {
				p := manyRules(b, rules)
				y.Policy = func() *policy.Policy { return p }
				next := func(http.ResponseWriter, *http.Request) error { return nil }
				w := httptest.NewRecorder()
				r := req("GET", "/app/page", "Accept", "text/html", "User-Agent", "x")
				pass := func(i int) {
					r.Header["Cookie"] = lines[i%visitors]
					if err := y.ServeHTTP(w, r, Arrival{}, next); err != nil {
						b.Fatal(err)
					}
				}
				for i := range visitors { // load every session and sign every assertion
					pass(i)
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					pass(i)
					i++
				}
			})
		}
	}
}

// crowd signs many users in and returns the Cookie header of each.
func (y *yard) crowd(b *testing.B, n int) [][]string {
	b.Helper()
	lines := make([][]string, 0, n)
	for len(lines) < n {
		var c store.Change
		for range min(store.MaxOps/3, n-len(lines)) {
			proof := factors.Proof{
				Product: factors.Password, UserID: fmt.Sprintf("user-of-many-%d", len(lines)), CredentialID: "p", AuthenticatedAt: y.clock.Now(),
			}
			issued, err := y.manager.Start(context.Background(), &c, proof, session.Attributes{})
			if err != nil {
				b.Fatal(err)
			}
			lines = append(lines, []string{cookieName + "=" + issued.Cookie})
		}
		if err := y.db.Apply(context.Background(), c); err != nil {
			b.Fatal(err)
		}
	}
	return lines
}

func manyRules(b *testing.B, n int) *policy.Policy {
	b.Helper()
	var text strings.Builder
	text.WriteString("version: 1\nrules:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - {name: r%d, match: {path: /area%d/*}, require: mfa}\n", i, i)
	}
	text.WriteString("default: {require: signed_in}\n")
	p, err := policy.Load("p", []byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	return p
}
