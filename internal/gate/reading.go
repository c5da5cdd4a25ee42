package gate

import (
	"fmt"
	"strings"
)

// Reading is how a gate reads a URL: what a policy is asked about it.
type Reading struct {
	Host, Path, RawQuery string
	// Refused is the item for which the gate answers 400 and asks no policy; empty for a good one.
	Refused string
}

// ReadURL reads an absolute URL as a gate reads a request for it, without any loosened item. The
// error means that it is no such URL.
func ReadURL(url string) (Reading, error) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return Reading{}, fmt.Errorf("%q is no absolute URL such as https://erp.example.com/admin", url)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		rest, end = rest+"/", len(rest)
	}
	h, ok := parseHost(rest[:end])
	if !ok {
		return Reading{}, fmt.Errorf("%q has no host name", url)
	}
	t := rest[end:]
	if !strings.HasPrefix(t, "/") {
		t = "/" + t
	}
	read, item := parseTarget(t, nil)
	return Reading{Host: h.name, Path: read.path, RawQuery: read.query, Refused: string(item)}, nil
}
