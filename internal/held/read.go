package held

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// maxReceived bounds the requests that are received at a time, and so the bodies in memory;
	// maxReceivedOfUser those of one user, in all sessions.
	maxReceived       = 32
	maxReceivedOfUser = 4
	// maxDrained bounds what is read of a body that is too large: a browser that is cut off in
	// the middle of sending shows an error of its own instead of the answer.
	maxDrained = 16 << 20
)

// slots counts the requests that are being received, by user.
type slots struct {
	mu   sync.Mutex
	all  int
	user map[string]int
}

func (s *slots) enter(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxReceived || s.user[user] >= maxReceivedOfUser {
		return false
	}
	if s.user == nil {
		s.user = make(map[string]int)
	}
	s.all++
	s.user[user]++
	return true
}

func (s *slots) leave(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.user[user]--; s.user[user] == 0 {
		delete(s.user, user)
	}
}

// Receive reads a body of up to limit bytes, of which length are announced, -1 when that is not
// known, and holds the request as Hold does. A body that breaks off is ErrUnreadable; one that is
// larger is ErrTooLarge, after it was read to its end or for 16 MiB. The error is ErrBusy when many
// requests are being received already.
func (r *Requests) Receive(ctx context.Context, h Head, body io.Reader, length, limit int64) (id string, err error) {
	if !r.slots.enter(h.Owner.UserID) {
		return "", ErrBusy
	}
	defer r.slots.leave(h.Owner.UserID)
	b, err := read(body, length, limit)
	if err != nil {
		return "", err
	}
	return r.Hold(ctx, h, b)
}

func read(body io.Reader, length, limit int64) ([]byte, error) {
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
