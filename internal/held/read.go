package held

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// maxReaders bounds the bodies that are read at a time, maxPerFamily those of one session.
	maxReaders   = 32
	maxPerFamily = 4
	// maxDrained bounds what is read of a body that is too large: a browser that is cut off in
	// the middle of sending shows an error of its own instead of the answer.
	maxDrained = 16 << 20
)

// slots counts the bodies that are being read, by session.
type slots struct {
	mu     sync.Mutex
	all    int
	family map[string]int
}

func (s *slots) enter(family string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxReaders || s.family[family] >= maxPerFamily {
		return false
	}
	if s.family == nil {
		s.family = make(map[string]int)
	}
	s.all++
	s.family[family]++
	return true
}

func (s *slots) leave(family string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.family[family]--; s.family[family] == 0 {
		delete(s.family, family)
	}
}

// Read reads a body of up to limit bytes, of which length are announced, -1 when that is not
// known. A body that breaks off is ErrUnreadable; one that is larger is ErrTooLarge, after it was read to its end or for 16 MiB. The
// error is ErrBusy when many are being read already.
func (r *Requests) Read(family string, body io.Reader, length, limit int64) ([]byte, error) {
	if !r.slots.enter(family) {
		return nil, ErrBusy
	}
	defer r.slots.leave(family)
	if body == nil {
		return nil, nil
	}
	var b bytes.Buffer
	if length <= limit {
		if _, err := b.ReadFrom(io.LimitReader(body, limit+1)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		if int64(b.Len()) <= limit {
			return b.Bytes(), nil
		}
	}
	if _, err := io.CopyN(io.Discard, body, maxDrained); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return nil, ErrTooLarge
}
