package policy

import (
	"errors"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// This file makes the query and the header of a request into the maps that expressions read.

var errBadQuery = errors.New("the query cannot be decoded")

// newQuery decodes the whole query. What programs could read in different ways is an error.
func newQuery(raw string) (ref.Val, error) {
	m := make(map[string][]string)
	n := 0
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		key, ok1 := unescape(name)
		decoded, ok2 := unescape(value)
		n++
		switch {
		case !ok1 || !ok2:
			return nil, errBadQuery
		case len(key) > maxText || len(decoded) > maxText:
			return nil, errTooLong
		case n > maxEntries:
			return nil, errTooMany
		}
		m[key] = append(m[key], decoded)
	}
	return types.NewDynamicMap(adapter, m), nil
}

// headers is a header under lower-case names. Looking up a name makes nothing of the others.
type headers struct {
	// Mapper is the header under the names that it has in Go. Nothing that depends on the
	// names is left to it.
	traits.Mapper
	raw map[string][]string
}

func newHeaders(raw map[string][]string) (ref.Val, error) {
	if len(raw) > maxEntries {
		return nil, errTooMany
	}
	for _, values := range raw {
		if len(values) > maxEntries {
			return nil, errTooMany
		}
		for _, v := range values {
			if len(v) > maxText {
				return nil, errTooLong
			}
		}
	}
	return &headers{Mapper: types.NewDynamicMap(adapter, raw), raw: raw}, nil
}

// Find looks up a name in lower case.
func (h *headers) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok || strings.ToLower(string(name)) != string(name) {
		return nil, false
	}
	values, ok := h.raw[headerName(string(name))]
	if !ok {
		return nil, false
	}
	return types.NewStringList(adapter, values), true
}

// Get is Find for a name that must be there.
func (h *headers) Get(key ref.Val) ref.Val {
	if v, ok := h.Find(key); ok {
		return v
	}
	return types.ValOrErr(key, "no such key: %v", key)
}

// Contains tells whether the name is there.
func (h *headers) Contains(key ref.Val) ref.Val {
	_, ok := h.Find(key)
	return types.Bool(ok)
}

// Iterator goes through the names in lower case.
func (h *headers) Iterator() traits.Iterator {
	names := make([]string, 0, len(h.raw))
	for name := range h.raw {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	return types.NewStringList(adapter, names).Iterator()
}

// Equal compares names in lower case.
func (h *headers) Equal(other ref.Val) ref.Val {
	lower := make(map[string][]string, len(h.raw))
	for name, values := range h.raw {
		lower[strings.ToLower(name)] = values
	}
	return types.NewDynamicMap(adapter, lower).Equal(other)
}
