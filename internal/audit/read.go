package audit

import (
	"context"
	"errors"
	"slices"

	"github.com/stepgate/stepgate/internal/store"
)

// Marks are the numbers of entries, one of each chain. A chain that is not named stands at its
// beginning.
type Marks map[Chain]uint64

// merged joins parts of chains by time. Entries of one chain stay in their order, also where
// the clocks of nodes differ.
func merged(parts [][]Entry) []Entry {
	var out []Entry
	for {
		var first *[]Entry
		for i := range parts {
			if part := &parts[i]; len(*part) > 0 && (first == nil || (*part)[0].Time.Before((*first)[0].Time)) {
				first = part
			}
		}
		if first == nil {
			return out
		}
		out = append(out, (*first)[0])
		*first = (*first)[1:]
	}
}

// about tells whether an event is about a user or was done by them as an administrator; about
// nobody is about everybody.
func (ev *Event) about(userID string) bool {
	return userID == "" || ev.UserID == userID || ev.ActorID == userID
}

// Last returns the latest entries, at most limit, the newest last: of one user, also what the
// user did as an administrator, or of all when userID is empty.
func (l *Log) Last(ctx context.Context, userID string, limit int) ([]Entry, error) {
	if err := l.Flush(ctx); err != nil {
		return nil, err
	}
	parts := make([][]Entry, len(Chains))
	for i, chain := range Chains {
		var err error
		if parts[i], err = l.last(ctx, chain, userID, limit); err != nil {
			return nil, err
		}
	}
	out := merged(parts)
	return out[max(0, len(out)-limit):], nil
}

// last goes back through one chain, a page at a time.
func (l *Log) last(ctx context.Context, chain Chain, userID string, limit int) ([]Entry, error) {
	h, _, err := l.heads.Get(ctx, string(chain))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	step := uint64(page)
	if userID == "" {
		step = uint64(min(limit, page))
	}
	var out []Entry
	for end := h.Last; end+1 > h.First && len(out) < limit && h.Last-end < maxScan; {
		start := end - min(end, step)
		rows, err := l.page(ctx, chain, start, int(end-start))
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			break // what is older has expired
		}
		rows = slices.DeleteFunc(rows, func(e Entry) bool { return !e.about(userID) })
		out = append(rows, out...)
		if start == 0 {
			break
		}
		end = start
	}
	return out[max(0, len(out)-limit):], nil
}

// page returns up to limit entries of a chain that follow the number after.
func (l *Log) page(ctx context.Context, chain Chain, after uint64, limit int) ([]Entry, error) {
	rows, err := l.entries.List(ctx, string(chain)+"/", id(chain, after), limit)
	if err != nil {
		return nil, err
	}
	out := make([]Entry, len(rows))
	for i, r := range rows {
		out[i] = r.Value
	}
	return out, nil
}

// After returns entries that follow the marks, some of each chain and the oldest first, and the
// marks at which to go on. There are no more when it returns none.
func (l *Log) After(ctx context.Context, marks Marks) (entries []Entry, next Marks, err error) {
	if err := l.Flush(ctx); err != nil {
		return nil, nil, err
	}
	next = make(Marks)
	parts := make([][]Entry, len(Chains))
	for i, chain := range Chains {
		next[chain] = marks[chain]
		if parts[i], err = l.page(ctx, chain, marks[chain], page); err != nil {
			return nil, nil, err
		}
		if n := len(parts[i]); n > 0 {
			next[chain] = parts[i][n-1].Seq
		}
	}
	return merged(parts), next, nil
}

// Verify checks all chains from their oldest entry to their end. The error is a *BreakError, or
// tells that the store did not answer.
func (l *Log) Verify(ctx context.Context) ([]Head, error) {
	if err := l.Flush(ctx); err != nil {
		return nil, err
	}
	var v Verifier
	for _, chain := range Chains {
		end, _, err := l.heads.Get(ctx, string(chain))
		if errors.Is(err, store.ErrNotFound) {
			end = head{}
		} else if err != nil {
			return nil, err
		}
		if err := l.verify(ctx, &v, chain, end); err != nil {
			return nil, err
		}
	}
	return v.Heads(), nil
}

func (l *Log) verify(ctx context.Context, v *Verifier, chain Chain, end head) error {
	last := uint64(0)
	for {
		list, err := l.page(ctx, chain, last, page)
		if err != nil {
			return err
		}
		for i := range list {
			if err := v.Check(&list[i]); err != nil {
				return err
			}
			last = list[i].Seq
			if last == end.Last && list[i].Hash != end.Hash {
				return &BreakError{chain, last, "it is not what the end of the chain was"}
			}
		}
		if len(list) == 0 {
			break
		}
	}
	switch {
	case last > 0 && last < end.Last:
		return &BreakError{chain, last + 1, "it is missing, and all after it"}
	case last == 0 && l.db.Now().Before(end.Expires):
		return &BreakError{chain, end.Last, "it is missing, and all before it"}
	}
	return nil
}

// Marks are the ends of all chains now.
func (l *Log) Marks(ctx context.Context) (Marks, error) {
	if err := l.Flush(ctx); err != nil {
		return nil, err
	}
	out := make(Marks)
	for _, chain := range Chains {
		h, _, err := l.heads.Get(ctx, string(chain))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		out[chain] = h.Last
	}
	return out, nil
}
