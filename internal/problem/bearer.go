package problem

import "strings"

// maxParams bounds what is read of one challenge.
const maxParams = 20

// Bearer reads the parameters of the first challenge in a WWW-Authenticate header if it is for
// the scheme Bearer (RFC 6750, section 3; RFC 9110, section 11.6.1). ok is false for another
// scheme, and for what is not well formed.
func Bearer(header string) (params map[string]string, ok bool) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, false
	}
	params = make(map[string]string)
	for rest = strings.TrimSpace(rest); rest != ""; {
		name, after, found := strings.Cut(rest, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if !found || !isToken(name) || len(params) >= maxParams {
			// Another scheme may follow, of which this is the name.
			return params, len(params) > 0
		}
		value, left, well := paramValue(strings.TrimLeft(after, " \t"))
		if _, twice := params[name]; !well || twice {
			return nil, false
		}
		params[name] = value
		left = strings.TrimLeft(left, " \t")
		if left != "" && left[0] != ',' {
			return nil, false
		}
		rest = strings.TrimLeft(left, ", \t")
	}
	return params, true
}

// paramValue reads a token or a quoted string from the beginning of a text.
func paramValue(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ", \t")
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], isToken(text[:end])
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], true
		case '\\':
			if i++; i == len(text) {
				return "", "", false
			}
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}

// isToken tells whether a text is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
