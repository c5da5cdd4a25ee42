package held

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

// partName is the name of a piece of a body, for as many as there ever are.
func partName(name string, n int) string { return fmt.Sprintf("%s/%05d", name, n) }

// writeBody keeps a body in pieces, for a store bounds what one record and one change may hold.
// The pieces mean nothing before the head of the request is written.
func (r *Requests) writeBody(ctx context.Context, name string, body []byte, expires time.Time) error {
	n := 0
	for group := range slices.Chunk(body, partSize*partsAtOnce) {
		var c store.Change
		for piece := range slices.Chunk(group, partSize) {
			if err := r.parts.Put(&c, partName(name, n), part{Bytes: piece}, expires); err != nil {
				return fmt.Errorf("hold a body: %w", err)
			}
			n++
		}
		if err := r.db.Apply(ctx, c); err != nil {
			return fmt.Errorf("hold a body: %w", err)
		}
	}
	return nil
}

// readBody returns a body of so many bytes. A piece that is missing was taken by somebody who was
// faster.
func (r *Requests) readBody(ctx context.Context, name string, size int) ([]byte, error) {
	body := make([]byte, 0, size)
	for n := 0; len(body) < size; n++ {
		p, _, err := r.parts.Get(ctx, partName(name, n))
		if errors.Is(err, store.ErrNotFound) {
			return nil, ErrGone
		}
		if err != nil {
			return nil, fmt.Errorf("read a held body: %w", err)
		}
		body = append(body, p.Bytes...)
	}
	return body, nil
}

// forgetTime bounds how long forgetBodies takes.
const forgetTime = 10 * time.Second

// forgetBodies deletes what writeBody wrote for requests that are gone, also when whoever sent
// them is gone too: else people who hang up in time would fill the store. What it cannot delete
// expires, and opens to nobody without its head.
func (r *Requests) forgetBodies(ctx context.Context, names ...string) {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), forgetTime)
	defer done()
	for _, name := range names {
		for {
			rows, err := r.parts.List(ctx, name+"/", "", store.MaxOps)
			if err != nil || len(rows) == 0 {
				break
			}
			var c store.Change
			for _, row := range rows {
				r.parts.Delete(&c, row.ID)
			}
			if r.db.Apply(ctx, c) != nil {
				break
			}
		}
	}
}
