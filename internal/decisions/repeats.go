package decisions

import (
	"fmt"
	"hash/maphash"
	"time"
)

// maxRepeats bounds the requests that are remembered in one half of the time.
const maxRepeats = 1 << 16

// repeats knows which allowed requests were written a moment ago. It remembers hashes in two
// halves; the older half is forgotten as a whole.
type repeats struct {
	within   time.Duration
	seed     maphash.Seed
	now, old map[uint64]time.Time
	turned   time.Time // when the halves were last turned
}

func newRepeats(within time.Duration) repeats {
	return repeats{within: within, seed: maphash.MakeSeed(), now: make(map[uint64]time.Time)}
}

// seen tells whether the same visitor, with the same factors, made the same request and met the
// same rules within the time; if not, the request is remembered.
func (r *repeats) seen(e *Entry) bool {
	if r.within == 0 {
		return false
	}
	if e.Time.Sub(r.turned) >= r.within || len(r.now) >= maxRepeats {
		r.now, r.old, r.turned = make(map[uint64]time.Time), r.now, e.Time
	}
	key := r.key(e)
	for _, half := range []map[uint64]time.Time{r.now, r.old} {
		if at, ok := half[key]; ok && e.Time.Sub(at) < r.within {
			return true
		}
	}
	r.now[key] = e.Time
	return false
}

// key hashes what makes a request the same as another.
func (r *repeats) key(e *Entry) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	part := func(v any) { fmt.Fprintf(&h, "%q\x00", fmt.Sprint(v)) }
	part(e.Policy)
	part(e.AllowedBy)
	part(e.Rule)
	part(e.Method)
	part(e.Host)
	part(e.Path)
	part(e.ClientIP)
	part(e.Query)
	part(e.Headers)
	part(e.Also)
	part(e.Reported)
	if v := e.Visitor; v != nil {
		part(v.UserID)
		part(v.Groups)
		part(v.Claims)
		for _, f := range v.Factors {
			f.Age = 0
			part(f)
		}
	}
	return h.Sum64()
}
