package gate

import (
	"errors"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// maxSpendTries bounds how often a request tries to use up a proof that others were faster to.
const maxSpendTries = 3

// spend uses up the proofs that serve one request, before it is forwarded. When another request
// was faster, the request is judged anew, without them. It returns false when it cannot be told
// whether they were used up; then nothing may be forwarded.
func (g *Gate) spend(q *request, d *policy.Decision) bool {
	for range maxSpendTries {
		proofs := q.spends
		if d.Outcome() != policy.Allow || len(proofs) == 0 {
			return true
		}
		err := g.Sessions.Spend(q.r.Context(), q.session, proofs)
		if err == nil {
			q.spent = proofs
			return true
		}
		if !errors.Is(err, store.ErrConflict) {
			q.unknown = err
			return false
		}
		g.find(q)
		*d = g.decide(q)
	}
	return false
}

// withProofs is a subject that still holds the proofs which its request used up.
func withProofs(s *policy.Subject, proofs []policy.Factor) *policy.Subject {
	if s == nil {
		return nil
	}
	c := *s
	c.Factors = append(c.Factors[:len(c.Factors):len(c.Factors)], proofs...)
	return &c
}
