package gate

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// The bounds of a request line, in bytes.
const (
	maxTarget = 8 << 10
	maxMethod = 64
)

// Item names one thing in a request target that programs read in different ways.
type Item string

// The items. Those in Loosenable can be allowed for a route by name.
const (
	ControlByte      Item = "control_byte"
	NonASCII         Item = "non_ascii"
	Backslash        Item = "backslash"
	Fragment         Item = "fragment"
	BadEscape        Item = "bad_escape"
	EncodedSlash     Item = "encoded_slash"
	EncodedBackslash Item = "encoded_backslash"
	EncodedDot       Item = "encoded_dot"
	EncodedNUL       Item = "encoded_nul"
	EncodedPercent   Item = "encoded_percent"
	Semicolon        Item = "semicolon"
	InvalidUTF8      Item = "invalid_utf8"
	DotSegment       Item = "dot_segment"
	EmptySegment     Item = "empty_segment"
	TrailingDot      Item = "trailing_dot"
	TrailingSpace    Item = "trailing_space"
	DataStream       Item = "data_stream"
	TooLong          Item = "too_long"
	NotAPath         Item = "not_a_path"
)

// Loosenable are the items that old applications really use. The others have no honest use.
var Loosenable = []Item{
	Backslash, EncodedBackslash, EncodedDot, EncodedPercent, EncodedSlash, EmptySegment, NonASCII, Semicolon, TrailingDot, TrailingSpace,
}

// target is a request target that means one thing.
type target struct {
	// path is decoded, and what the policy reads.
	path string
	// flat is path with encoded slashes left as they are. It differs from path only where
	// they are allowed; both readings must then pass the policy.
	flat  string
	query string
	// uri is the path and query as they were sent.
	uri string
}

// parseTarget reads a request target as it stands in the request line. item is what it must
// not contain; empty for a good one. Nothing is ever cleaned: what is forwarded is what was
// judged.
func parseTarget(uri string, loosened []Item) (t target, item Item) {
	if len(uri) > maxTarget {
		return target{}, TooLong
	}
	uri = originForm(uri)
	path, query, _ := strings.Cut(uri, "?")
	if !strings.HasPrefix(path, "/") {
		return target{}, NotAPath
	}
	if item := badQuery(query); item != "" {
		return target{}, item
	}
	may := func(i Item) bool { return slices.Contains(loosened, i) }
	if plain(path) {
		if item := badSegments(path, may); item != "" {
			return target{}, item
		}
		return target{path: path, flat: path, query: query, uri: uri}, ""
	}
	decoded, flat, item := decode(path, may)
	if item != "" {
		return target{}, item
	}
	if !utf8.ValidString(decoded) {
		return target{}, InvalidUTF8
	}
	if item := badSegments(decoded, may); item != "" {
		return target{}, item
	}
	return target{path: decoded, flat: flat, query: query, uri: uri}, ""
}

// originForm takes scheme and authority from an absolute-form target (RFC 9112, section
// 3.2.2). net/http has made its authority the host of the request.
func originForm(uri string) string {
	for _, scheme := range []string{"http://", "https://"} {
		if len(uri) > len(scheme) && strings.EqualFold(uri[:len(scheme)], scheme) {
			rest := uri[len(scheme):]
			if i := strings.IndexAny(rest, "/?#"); i >= 0 && rest[i] == '/' {
				return rest[i:]
			}
			return "/"
		}
	}
	return uri
}

// plain tells whether a path has no byte that needs a closer look.
func plain(path string) bool {
	for i := range len(path) {
		c := path[i]
		if c <= ' ' || c >= 0x7f || c == '%' || c == '\\' || c == '#' || c == ';' || c == ':' {
			return false
		}
	}
	return true
}

func decode(path string, may func(Item) bool) (decoded, flat string, item Item) {
	var d, f strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c != '%' {
			if item := badByte(c, may); item != "" {
				return "", "", item
			}
			d.WriteByte(c)
			f.WriteByte(c)
			continue
		}
		if i+2 >= len(path) {
			return "", "", BadEscape
		}
		hi, lo := unhex(path[i+1]), unhex(path[i+2])
		if hi > 15 || lo > 15 {
			return "", "", BadEscape
		}
		c = hi<<4 | lo
		if item := badEscaped(c, may); item != "" {
			return "", "", item
		}
		d.WriteByte(c)
		if c == '/' {
			f.WriteString(path[i : i+3])
		} else {
			f.WriteByte(c)
		}
		i += 2
	}
	return d.String(), f.String(), ""
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

func badByte(c byte, may func(Item) bool) Item {
	item := Item("")
	switch {
	case c <= ' ' || c == 0x7f:
		return ControlByte
	case c == '#':
		return Fragment
	case c >= 0x80:
		item = NonASCII
	case c == '\\':
		item = Backslash
	case c == ';':
		item = Semicolon
	}
	if item != "" && may(item) {
		return ""
	}
	return item
}

func badEscaped(c byte, may func(Item) bool) Item {
	item := Item("")
	switch {
	case c == 0:
		return EncodedNUL
	case c < ' ' || c == 0x7f:
		return ControlByte
	case c == '/':
		item = EncodedSlash
	case c == '\\':
		item = EncodedBackslash
	case c == '.':
		item = EncodedDot
	case c == '%':
		item = EncodedPercent
	case c == ';':
		item = Semicolon
	}
	if item != "" && may(item) {
		return ""
	}
	return item
}

// badSegments judges a decoded path. A last empty segment is a trailing slash, which is fine.
func badSegments(path string, may func(Item) bool) Item {
	rest := path[1:]
	for rest != "" {
		part, more, found := strings.Cut(rest, "/")
		item := Item("")
		switch {
		case part == "":
			item = EmptySegment
		case part == "." || part == "..":
			return DotSegment
		case strings.Contains(part, "::$"):
			return DataStream
		case part[len(part)-1] == '.':
			item = TrailingDot
		case part[len(part)-1] == ' ':
			item = TrailingSpace
		}
		if item != "" && !may(item) {
			return item
		}
		if !found {
			break
		}
		rest = more
	}
	return ""
}

func badQuery(query string) Item {
	for i := range len(query) {
		switch c := query[i]; {
		case c <= ' ' || c == 0x7f:
			return ControlByte
		case c == '#':
			return Fragment
		}
	}
	return ""
}

// badMethod tells whether a method must not go further, and with which status it is refused.
// WebSocket over HTTP/2 and HTTP/3 is a CONNECT with a protocol (RFC 8441).
func badMethod(r *http.Request) (status int) {
	switch r.Method {
	case http.MethodConnect:
		if !extendedConnect(r) {
			return http.StatusMethodNotAllowed
		}
	case http.MethodTrace, "TRACK":
		return http.StatusMethodNotAllowed
	}
	if len(r.Method) > maxMethod {
		return http.StatusBadRequest
	}
	for _, c := range []byte(r.Method) {
		if 'a' <= c && c <= 'z' {
			return http.StatusBadRequest
		}
	}
	return 0
}

func extendedConnect(r *http.Request) bool {
	return r.ProtoMajor >= 2 && r.Method == http.MethodConnect && (r.Header.Get(":protocol") == "websocket" || r.Proto == "websocket")
}
