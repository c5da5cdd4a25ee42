package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Chain is one sequence of entries. Each sort of events has a chain of its own, with room of its
// own: nobody who guesses pushes out what was done, and nobody who signs in pushes out alarms and
// what administrators did.
type Chain string

// The chains.
const (
	Administration Chain = "administration"
	Accounts       Chain = "accounts"
	Refusals       Chain = "refusals"
)

// Chains are all chains.
var Chains = [...]Chain{Administration, Accounts, Refusals}

// chain is where an event belongs.
func (ev *Event) chain() Chain {
	switch {
	case ev.Kind == FactorRefused || ev.Kind == BreakGlassRefused:
		return Refusals
	case ev.Kind.Alarming() || ev.ByAdmin:
		return Administration
	}
	return Accounts
}

// Hash is a SHA-256 hash.
type Hash [sha256.Size]byte

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(h) {
		return errors.New("a hash has 64 hexadecimal digits")
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("a hash has 64 hexadecimal digits: %w", err)
	}
	return nil
}

// String is the hash in hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// link is an entry without its hash, in the order in which it is hashed.
type link struct {
	Chain Chain  `json:"chain" cbor:"1,keyasint"`
	Seq   uint64 `json:"seq" cbor:"2,keyasint"`
	// Prev is the hash of the entry before; zero for the first of a chain.
	Prev Hash `json:"prev" cbor:"3,keyasint"`
	Event
}

// Entry is one event in its chain.
type Entry struct {
	link
	// Hash is the SHA-256 hash of the entry's JSON without the member hash.
	Hash Hash `json:"hash" cbor:"4,keyasint"`
}

// ParseEntry reads one line of an exported log. The hash of an entry is that of its JSON as it is
// written here; a line that is spelt in any other way, say with a member twice of which programs
// read different ones, is refused.
func ParseEntry(line []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, fmt.Errorf("not an audit entry: %w", err)
	}
	if !slices.Contains(Chains[:], e.Chain) {
		return Entry{}, fmt.Errorf("not an audit entry: there is no chain %q", e.Chain)
	}
	written, err := json.Marshal(e)
	if err != nil {
		return Entry{}, fmt.Errorf("encode an audit entry: %w", err)
	}
	if !bytes.Equal(line, written) {
		return Entry{}, &BreakError{e.Chain, e.Seq, "it is not spelt as it was written"}
	}
	return e, nil
}

// sum is the hash that the entry should have.
func (l *link) sum() (Hash, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return Hash{}, fmt.Errorf("encode an audit entry: %w", err)
	}
	return sha256.Sum256(text), nil
}

// BreakError tells where a chain does not hold.
type BreakError struct {
	Chain Chain
	// Seq is the first entry that does not follow from the one before.
	Seq    uint64
	Reason string
}

// Error implements error.
func (e *BreakError) Error() string {
	return fmt.Sprintf("the chain %s breaks at entry %d: %s", e.Chain, e.Seq, e.Reason)
}

// Head is how far a chain goes.
type Head struct {
	Chain Chain `json:"chain"`
	// First and Last are the numbers of the first and the last entry; 0 when there is none.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	// Hash is that of the last entry.
	Hash Hash `json:"hash"`
}

// Verifier checks entries of chains, each chain in its order. The zero value is ready.
type Verifier struct {
	heads map[Chain]*Head
}

// Check checks the next entry. A chain may begin anywhere, because old entries are deleted; from
// there on no entry may be missing, changed, or moved. The error is a *BreakError.
func (v *Verifier) Check(e *Entry) error {
	sum, err := e.sum()
	if err != nil {
		return err
	}
	h := v.heads[e.Chain]
	switch {
	case h == nil:
		if v.heads == nil {
			v.heads = make(map[Chain]*Head)
		}
		h = &Head{Chain: e.Chain, First: e.Seq}
		v.heads[e.Chain] = h
	case e.Seq != h.Last+1:
		return &BreakError{e.Chain, h.Last + 1, fmt.Sprintf("it is missing; entry %d comes next", e.Seq)}
	case e.Prev != h.Hash:
		return &BreakError{e.Chain, e.Seq, "it does not follow from the entry before"}
	}
	if e.Seq == 1 && e.Prev != (Hash{}) {
		return &BreakError{e.Chain, e.Seq, "it is not the beginning"}
	}
	if sum != e.Hash {
		return &BreakError{e.Chain, e.Seq, "it was changed"}
	}
	h.Last, h.Hash = e.Seq, e.Hash
	return nil
}

// Heads tells how far each chain was checked, in the order of Chains.
func (v *Verifier) Heads() []Head {
	out := make([]Head, 0, len(Chains))
	for _, c := range Chains {
		if h := v.heads[c]; h != nil {
			out = append(out, *h)
		}
	}
	return out
}
