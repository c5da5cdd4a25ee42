package store

import (
	"context"
	"slices"
	"strings"
)

// KeepOnly deletes all records but those whose keys begin with one of the prefixes, and returns
// how many it deleted. It is no single change: after an error some are deleted, and it can be
// called again.
func KeepOnly(ctx context.Context, s Store, prefixes ...string) (deleted int, err error) {
	for after := ""; ; {
		page, err := s.List(ctx, "", after, MaxOps)
		if err != nil || len(page) == 0 {
			return deleted, err
		}
		after = page[len(page)-1].Key
		var ops []Op
		for _, e := range page {
			if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.Key, p) }) {
				ops = append(ops, Op{Key: e.Key})
			}
		}
		if len(ops) == 0 {
			continue
		}
		if _, err := s.Apply(ctx, nil, ops); err != nil {
			return deleted, err
		}
		deleted += len(ops)
	}
}
