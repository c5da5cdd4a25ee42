package policy

import (
	"bytes"
	"strconv"
	"unicode"
)

// place finds where in the file the character at an offset of a scalar stands. YAML folds
// lines, doubles quotes and knows escapes, but it keeps the order of all that is not white
// space; so the file is read along with the text up to as many such characters. When that
// fails, the place is that of the scalar.
func place(file []byte, n *node, offset int) (line, column int) {
	text := []rune(n.text)
	want := 0
	for i := 0; i < offset && i < len(text); i++ {
		if !unicode.IsSpace(text[i]) {
			want++
		}
	}
	r := reader{line: n.line, column: 1, style: n.style}
	rest := after(file, n.line)
	r.rest = []rune(string(rest[:min(len(rest), maxRead)]))
	r.skip(n.col - 1)
	switch n.style {
	case singleQuoted, doubleQuoted:
		r.skip(1)
	case block:
		r.header()
	}
	for {
		line, column = r.line, r.column
		c, ok := r.next()
		switch {
		case !ok:
			return n.line, n.col
		case unicode.IsSpace(c):
			continue
		case want == 0:
			return line, column
		}
		want--
		if want == 0 && offset >= len(text) {
			return r.line, r.column // behind the last one
		}
	}
}

// maxRead is more than an expression of the greatest length takes, whatever its style.
const maxRead = 64 << 10

// after is the file from the beginning of a line.
func after(file []byte, line int) []byte {
	for ; line > 1; line-- {
		_, rest, ok := bytes.Cut(file, []byte("\n"))
		if !ok {
			return nil
		}
		file = rest
	}
	return file
}

// reader goes through the characters of a scalar as they stand in the file.
type reader struct {
	rest         []rune
	line, column int
	style        scalarStyle
}

func (r *reader) skip(n int) {
	for range n {
		if len(r.rest) == 0 {
			return
		}
		if r.rest[0] == '\n' {
			r.line, r.column = r.line+1, 0
		}
		r.rest, r.column = r.rest[1:], r.column+1
	}
}

// header goes to the first line of a block.
func (r *reader) header() {
	for len(r.rest) > 0 && r.rest[0] != '\n' {
		r.skip(1)
	}
	r.skip(1)
}

// next reads one character of the text; escapes count as what they stand for.
func (r *reader) next() (rune, bool) {
	if len(r.rest) == 0 {
		return 0, false
	}
	c := r.rest[0]
	n := 1
	switch {
	case r.style == singleQuoted && c == '\'':
		if len(r.rest) < 2 || r.rest[1] != '\'' {
			return 0, false
		}
		n = 2
	case r.style == doubleQuoted && c == '"':
		return 0, false
	case r.style == doubleQuoted && c == '\\':
		if len(r.rest) < 2 {
			return 0, false
		}
		c, n = escape(r.rest[1:])
	}
	r.skip(n)
	return c, true
}

// escape reads what stands behind a backslash; n counts the backslash.
func escape(rest []rune) (c rune, n int) {
	digits := 0
	switch c = rest[0]; c {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case 't', 'n', 'v', 'f', 'r', ' ', '_', 'N', 'L', 'P', '\n', '\t':
		return ' ', 2
	case '0', 'a', 'b', 'e':
		return '\a', 2
	}
	if digits == 0 || len(rest) <= digits {
		return c, 2
	}
	code, err := strconv.ParseUint(string(rest[1:1+digits]), 16, 32)
	if err != nil {
		return c, 2
	}
	return rune(code), 2 + digits
}
