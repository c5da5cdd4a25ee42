package decisions

import (
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// appendLine adds the entry as one line of JSON. Everything that is not printed as itself is
// escaped: a log is read on terminals too, and clients choose paths.
func appendLine(out []byte, e *Entry) ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return out, fmt.Errorf("encode a decision: %w", err)
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r < utf8.RuneSelf || unicode.IsPrint(r) {
			out = append(out, text[:n]...)
		} else {
			out = appendEscaped(out, r)
		}
		text = text[n:]
	}
	return append(out, '\n'), nil
}

// appendEscaped adds a rune as JSON escapes it: beyond the first plane, by a pair.
func appendEscaped(out []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		return fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}
