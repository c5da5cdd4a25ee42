package held

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Copy keeps what is read of a body, so that the request can be held after an application has
// read it. It is safe for parallel use: a transport may go on reading after there is an answer.
type Copy struct {
	mu    sync.Mutex
	body  io.Reader
	kept  bytes.Buffer
	limit int64
	// err is set when the copy cannot become whole any more.
	err   error
	leave func()
}

// Copy makes a copy of a body of up to limit bytes, of which length are announced, -1 when that is
// not known, while it is read. It is nil when the body is larger, or when as many as may be are
// copied already. The copy is to be released.
func (r *Requests) Copy(user string, body io.Reader, length, limit int64) *Copy {
	if length > limit || !r.copies.enter(user) {
		return nil
	}
	return &Copy{body: body, limit: limit, leave: func() { r.copies.leave(user) }}
}

// Read implements io.Reader.
func (c *Copy) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.body.Read(p)
	switch {
	case c.err != nil:
	case int64(c.kept.Len()+n) > c.limit:
		c.fail(ErrTooLarge)
	default:
		c.kept.Write(p[:n])
		if err != nil && !errors.Is(err, io.EOF) {
			c.fail(fmt.Errorf("%w: %w", ErrUnreadable, err))
		}
	}
	return n, err
}

// Close implements io.Closer. The server closes the body itself.
func (c *Copy) Close() error { return nil }

func (c *Copy) fail(err error) {
	c.err, c.kept = err, bytes.Buffer{}
}

// Whole reads what is left of the body and returns all of it. The error is ErrTooLarge or
// ErrUnreadable.
func (c *Copy) Whole() ([]byte, error) {
	if _, err := io.CopyN(io.Discard, c, c.limit+1); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept.Bytes(), c.err
}

// Release makes room for another copy. What was kept is forgotten.
func (c *Copy) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leave != nil {
		c.leave()
		c.leave = nil
	}
	c.fail(ErrGone)
}
