package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	// Unreachable is set when the only mistake is that an earlier rule takes all requests of
	// this one.
	Unreachable bool `json:"-"`
}

// String is "file:line:column: message", as editors and terminals link it.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// LoadError is all mistakes of a file, in the order of their places.
type LoadError struct {
	Problems []Problem
}

// Error is one line for each mistake.
func (e *LoadError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds the mistakes that are reported at once.
const maxProblems = 100

// problems collects mistakes while a file is read.
type problems struct {
	file string
	list []Problem
}

func (p *problems) add(n *node, format string, args ...any) {
	p.report(Problem{Line: n.line, Column: n.col, Message: fmt.Sprintf(format, args...)})
}

func (p *problems) report(one Problem) {
	if len(p.list) < maxProblems {
		one.File = p.file
		p.list = append(p.list, one)
	}
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return &LoadError{Problems: p.list}
}

// choices joins names for a message.
func choices(names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	return strings.Join(sorted, ", ")
}
