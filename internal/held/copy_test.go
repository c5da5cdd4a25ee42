package held

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestCopy(t *testing.T) {
	for name, c := range map[string]struct {
		body   io.Reader
		length int64
		read   int
		want   error
	}{
		"all read":     {strings.NewReader("0123456789"), 10, 10, nil},
		"a part read":  {strings.NewReader("0123456789"), -1, 3, nil},
		"nothing":      {iotest.OneByteReader(strings.NewReader("0123456789")), 10, 0, nil},
		"larger":       {strings.NewReader("0123456789a"), -1, 3, ErrTooLarge},
		"broken off":   {io.MultiReader(strings.NewReader("012"), iotest.ErrReader(io.ErrUnexpectedEOF)), 10, 1, ErrUnreadable},
		"broken early": {io.MultiReader(strings.NewReader("012"), iotest.ErrReader(io.ErrUnexpectedEOF)), 10, 9, ErrUnreadable},
	} {
		var r Requests
		copied := r.Copy("user", c.body, c.length, 10)
		if _, err := io.ReadFull(copied, make([]byte, c.read)); err != nil && c.want == nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
		got, err := copied.Whole()
		if !errors.Is(err, c.want) || c.want == nil && !bytes.Equal(got, []byte("0123456789")) || c.want != nil && len(got) != 0 {
			t.Errorf("%s: %q %v", name, got, err)
		}
		copied.Release()
		copied.Release()
		if r.copies.all != 0 {
			t.Errorf("%s: %d are still copied", name, r.copies.all)
		}
	}
}

// Copies take a bounded amount of memory.
func TestCopiesAreBounded(t *testing.T) {
	var r Requests
	if r.Copy("a", strings.NewReader(""), 11, 10) != nil {
		t.Error("a body that is announced as too large is copied")
	}
	n := 0
	for range 2 * maxReceivedOfUser {
		if r.Copy("a", strings.NewReader(""), -1, 10) != nil {
			n++
		}
	}
	if n != maxReceivedOfUser {
		t.Errorf("%d of one user", n)
	}
	copied := r.Copy("b", strings.NewReader(strings.Repeat("x", 1000)), -1, 10)
	if _, err := io.Copy(io.Discard, copied); err != nil || copied.kept.Cap() > 100 {
		t.Errorf("%d bytes are kept of a body that is too large: %v", copied.kept.Cap(), err)
	}
}
