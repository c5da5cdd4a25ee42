package password

import (
	"bytes"
	"context"
	"crypto/sha1" // the form in which lists of stolen passwords are published
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	// hashLength is a SHA-1 hash in hexadecimal.
	hashLength = 2 * sha1.Size
	// maxLine bounds one line of a breach file: a hash, a colon, a count.
	maxLine = 128
)

// BreachFile is a BreachChecker over a file on disk: upper-case SHA-1 hashes of stolen
// passwords in ascending order, one in a line, each with an optional ":COUNT". It reads a few
// lines for each question and never holds the file in memory.
type BreachFile struct {
	file io.ReaderAt
	size int64
}

// OpenBreachFile opens a file of stolen passwords. The file stays open while the program runs.
func OpenBreachFile(path string) (*BreachFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("breach file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("breach file: %w", err)
	}
	b := &BreachFile{file: f, size: info.Size()}
	if _, _, err := b.line(0); err != nil {
		return nil, err
	}
	return b, nil
}

// Breached implements BreachChecker by a binary search.
func (b *BreachFile) Breached(_ context.Context, password string) (bool, error) {
	sum := sha1.Sum([]byte(password))
	want := strings.ToUpper(hex.EncodeToString(sum[:]))
	low, high := int64(0), b.size
	for low < high {
		middle := low + (high-low)/2
		hash, next, err := b.line(middle)
		switch {
		case err != nil:
			return false, err
		case hash == want:
			return true, nil
		case hash == "" || hash > want:
			high = middle
		default:
			low = max(next, middle+1)
		}
	}
	// A search by bytes never lands on the very first line but from its first byte.
	hash, _, err := b.line(0)
	return hash == want, err
}

// line returns the hash of the first line that begins at or after an offset, and the offset
// behind that line. It is empty at the end of the file.
func (b *BreachFile) line(offset int64) (hash string, next int64, err error) {
	start := max(offset-1, 0) // the byte before tells whether a line begins here
	buffer := make([]byte, 2*maxLine)
	n, err := b.file.ReadAt(buffer, start)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", 0, fmt.Errorf("breach file: %w", err)
	}
	text := buffer[:n]
	if offset > 0 {
		skip := bytes.IndexByte(text, '\n')
		if skip < 0 {
			return "", b.size, nil
		}
		text = text[skip+1:]
		start += int64(skip) + 1
	}
	if len(text) == 0 {
		return "", b.size, nil
	}
	end := bytes.IndexByte(text, '\n')
	if end < 0 {
		end = len(text) - 1
	}
	line, _, _ := strings.Cut(strings.TrimRight(string(text[:end+1]), "\r\n"), ":")
	if len(line) != hashLength || strings.ToUpper(line) != line {
		return "", 0, fmt.Errorf("breach file: byte %d begins no line with an upper-case SHA-1 hash", start)
	}
	return line, start + int64(end) + 1, nil
}
