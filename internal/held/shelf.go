package held

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

const (
	// MaxPerUser bounds the requests that wait for one user; the oldest gives way.
	MaxPerUser = 8
	// shelfCount shelves hold all that waits: at most 3840 requests and 1 GiB.
	shelfCount = 64
	// maxOnShelf and maxShelfBytes bound the requests on one shelf and their bytes. One change of the
	// store, of up to store.MaxOps, can clear a shelf and fill it.
	maxOnShelf    = 60
	maxShelfBytes = 16 << 20
)

// shelf lists the requests that wait for some of the users, the oldest first. Each user has one
// shelf, so that what waits is bounded over all of them without one record that every form changes.
type shelf struct {
	Entries []entry `cbor:"1,keyasint"`
}

// entry is a request on a shelf.
type entry struct {
	Name   string `cbor:"1,keyasint"`
	UserID string `cbor:"2,keyasint"`
	// Size is that of head and body, in bytes.
	Size      int       `cbor:"3,keyasint"`
	ExpiresAt time.Time `cbor:"4,keyasint"`
}

// shelfOf names the shelf of a user.
func shelfOf(userID string) string {
	sum := sha256.Sum256([]byte(userID))
	return strconv.Itoa(int(sum[0]) % shelfCount)
}

// shelf reads the shelf of a user; its revision is 0 when nothing is on it.
func (r *Requests) shelf(ctx context.Context, userID string) (shelf, store.Rev, error) {
	s, rev, err := r.shelves.Get(ctx, shelfOf(userID))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return shelf{}, 0, fmt.Errorf("look for room among held requests: %w", err)
	}
	return s, rev, nil
}

// makeRoom returns which entries stay when add comes, and the names of those that give way: the
// oldest of its user, and then, as long as the shelf is full, the oldest of whoever has most bytes
// there, so that nobody with little is pushed out by somebody with much.
func makeRoom(entries []entry, add entry, now time.Time) (kept []entry, evicted []string) {
	kept = slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return !now.Before(e.ExpiresAt) })
	for {
		own, all := 0, add.Size
		bytes := map[string]int{add.UserID: add.Size}
		for _, e := range kept {
			all += e.Size
			bytes[e.UserID] += e.Size
			if e.UserID == add.UserID {
				own++
			}
		}
		gives := -1
		for i, e := range kept {
			switch {
			case own >= MaxPerUser:
				if gives < 0 && e.UserID == add.UserID {
					gives = i
				}
			case len(kept) >= maxOnShelf || all > maxShelfBytes:
				if gives < 0 || bytes[e.UserID] > bytes[kept[gives].UserID] {
					gives = i
				}
			}
		}
		if gives < 0 {
			return kept, evicted
		}
		evicted = append(evicted, kept[gives].Name)
		kept = slices.Delete(kept, gives, gives+1)
	}
}
