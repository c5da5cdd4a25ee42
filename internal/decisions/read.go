package decisions

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line that is read, in bytes.
const maxLine = 1 << 20

var (
	errLong       = errors.New("the line is longer than 1 MiB")
	errIncomplete = errors.New("the line is no decision: time, outcome, method, host or path is missing")
)

// Read calls each for every decision of a log, with its line number, in order. A line that is
// none is given to bad, with its number and what is wrong with it, and passed over; empty lines
// are none either but are not told. The error is that of r or of each.
func Read(r io.Reader, each func(line int, e Entry) error, bad func(line int, err error)) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		line, err := readLine(in)
		over := errors.Is(err, io.EOF)
		switch {
		case errors.Is(err, errLong):
			bad(number, errLong)
		case err != nil && !over:
			return fmt.Errorf("read line %d: %w", number, err)
		case len(line) > 0:
			e, wrong := parse(line)
			if wrong != nil {
				bad(number, wrong)
			} else if err := each(number, e); err != nil {
				return err
			}
		}
		if over {
			return nil
		}
	}
}

// readLine reads up to the end of a line, which it takes off.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	long := false
	for {
		part, err := in.ReadSlice('\n')
		if long = long || len(line)+len(part) > maxLine; !long {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && long && errors.Is(err, io.EOF):
			return nil, errors.Join(errLong, err)
		case err != nil:
			return line, err
		case long:
			return nil, errLong
		}
		return line[:len(line)-1], nil
	}
}

func parse(line []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil {
		return Entry{}, fmt.Errorf("the line is no JSON of a decision: %w", err)
	}
	if e.Time.IsZero() || e.Outcome == "" || e.Policy != "" && (e.Method == "" || e.Host == "" || e.Path == "") {
		return Entry{}, errIncomplete
	}
	return e, nil
}
