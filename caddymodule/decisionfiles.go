package caddymodule

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stepgate/stepgate/internal/decisions"
)

// maxToldLines bounds the bad lines that are named.
const maxToldLines = 10

// badEntryError wraps what is wrong with one entry, so that reading goes on behind it.
type badEntryError struct{ error }

// badEntry marks an error as one of the entry alone; nil stays nil.
func badEntry(err error) error {
	if err == nil {
		return nil
	}
	return badEntryError{err}
}

// readLogs calls each for the decisions of all logs. It names lines that are none on told and
// counts them, as those about which each complains with a badEntryError.
func readLogs(told io.Writer, paths []string, each func(decisions.Entry) error) (skipped int, err error) {
	for _, path := range paths {
		bad := func(line int, wrong error) {
			if skipped++; skipped <= maxToldLines {
				fmt.Fprintf(told, "%s:%d: %v; the line is skipped\n", path, line, wrong)
			}
		}
		if err := readLog(path, each, bad); err != nil {
			return skipped, err
		}
	}
	return skipped, nil
}

func readLog(path string, each func(decisions.Entry) error, bad func(line int, err error)) (err error) {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var in io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		zipped, err := gzip.NewReader(file)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		in = zipped
	}
	err = decisions.Read(in, func(line int, e decisions.Entry) error {
		err := each(e)
		var wrong badEntryError
		if errors.As(err, &wrong) {
			bad(line, wrong.error)
			return nil
		}
		return err
	}, bad)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
