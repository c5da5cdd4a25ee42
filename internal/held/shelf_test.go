package held

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Whoever has most on a full shelf gives way, the oldest first; what has expired takes no room.
func TestMakeRoom(t *testing.T) {
	now := time.Unix(1000, 0)
	of := func(user string, sizes ...int) (all []entry) {
		for i, size := range sizes {
			all = append(all, entry{Name: fmt.Sprint(user, i), UserID: user, Size: size, ExpiresAt: now.Add(Life)})
		}
		return all
	}
	many := func(n int) (all []entry) {
		for i := range n {
			all = append(all, of(fmt.Sprint("u", i, "-"), 10)...)
		}
		return all
	}
	stale := of("s", maxShelfBytes)
	stale[0].ExpiresAt = now
	const half, quarter = maxShelfBytes / 2, maxShelfBytes / 4
	for name, c := range map[string]struct {
		on   []entry
		add  entry
		want []string
	}{
		"nothing there":       {nil, of("a", maxShelfBytes)[0], nil},
		"expired":             {stale, of("a", maxShelfBytes)[0], nil},
		"fits":                {of("b", half, quarter), of("a", quarter)[0], nil},
		"one byte over":       {of("b", half, quarter), of("a", quarter+1)[0], []string{"b0"}},
		"own is most":         {append(of("b", quarter), of("a", quarter, half)...), of("a", quarter)[0], []string{"a0"}},
		"little stays":        {append(of("c", 10), of("b", quarter, quarter, quarter)...), of("a", half-10)[0], []string{"b0"}},
		"until it fits":       {append(of("b", half), of("c", quarter, quarter)...), of("a", maxShelfBytes)[0], []string{"b0", "c0", "c1"}},
		"eight of a user":     {append(of("b", 99), of("a", 1, 2, 3, 4, 5, 6, 7, 8)...), of("a", 1)[0], []string{"a0"}},
		"as many as there go": {many(maxOnShelf), of("a", 1)[0], []string{"u0-0"}},
		"one fewer":           {many(maxOnShelf - 1), of("a", 1)[0], nil},
	} {
		before := slices.Clone(c.on)
		kept, evicted := makeRoom(c.on, c.add, now)
		if !slices.Equal(evicted, c.want) || !slices.Equal(c.on, before) {
			t.Errorf("%s: %q instead of %q give way", name, evicted, c.want)
		}
		if n := len(kept) + len(evicted); n != len(c.on) && name != "expired" {
			t.Errorf("%s: %d of %d entries", name, n, len(c.on))
		}
	}
}

// However many users have something held, the store does not grow beyond its shelves, and one
// large form can push a whole shelf of small ones out.
func TestAllUsersTogetherAreBounded(t *testing.T) {
	r := newRequests(t)
	shelf := shelfOf(ada.UserID)
	n := 0
	for i := 0; n < maxOnShelf+20; i++ {
		owner := Owner{UserID: fmt.Sprint("user-", i)}
		if shelfOf(owner.UserID) == shelf {
			r.mustHold(t, owner, []byte("x"))
			n++
		}
	}
	if got := r.left(t); got != 2*maxOnShelf {
		t.Errorf("%d records", got)
	}
	large := entry{Name: "large", UserID: ada.UserID, Size: maxShelfBytes, ExpiresAt: r.db.Now().Add(Life)}
	if err := r.putUp(t.Context(), Head{Owner: ada}, large); err != nil || r.left(t) != 1 {
		t.Errorf("%d records beside a large one: %v", r.left(t), err)
	}
}
