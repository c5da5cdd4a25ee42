package gate

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
)

// responseWriter corrects the header of an answer that comes from upstream, once, just before
// it is sent. It keeps everything that the writer underneath can do.
type responseWriter struct {
	http.ResponseWriter
	// private is set for answers that belong to one visitor.
	private bool
	sent    bool
	// own is set for an answer of another gate behind this one: all of it is ours.
	own bool
	// gate and request are set where the application may ask for a step-up by its answer; withheld
	// is what it asked for in place of the answer.
	gate     *Gate
	request  *request
	withheld *demand
}

// own tells the writers of gates in front that the answer is a gate's, not the application's.
func own(w http.ResponseWriter) {
	for {
		if ours, ok := w.(*responseWriter); ok {
			ours.own = true
		}
		under, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = under.Unwrap()
	}
}

// withholds tells whether the answer is kept from the visitor, because it asks for a step-up.
func (w *responseWriter) withholds(status int) bool {
	if w.withheld == nil && !w.sent && !w.own && w.gate != nil && status >= http.StatusOK {
		w.withheld = w.gate.demanded(w.request, status, w.Header())
	}
	return w.withheld != nil
}

// Unwrap lets http.ResponseController reach the writer underneath.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	if w.withholds(status) {
		return
	}
	w.correct()
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.sent = true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(b []byte) (int, error) {
	if w.withholds(http.StatusOK) {
		return len(b), nil
	}
	w.first()
	return w.ResponseWriter.Write(b)
}

// ReadFrom keeps the fast path of copying a body.
func (w *responseWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.withholds(http.StatusOK) {
		return io.Copy(io.Discard, r)
	}
	w.first()
	if rf, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, r)
}

// FlushError implements what http.ResponseController asks for.
func (w *responseWriter) FlushError() error {
	if w.withholds(http.StatusOK) {
		return nil
	}
	w.first()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack hands the connection over; the header of a 101 has been corrected by then.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.sent = true
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Push implements http.Pusher where the connection can.
func (w *responseWriter) Push(target string, opts *http.PushOptions) error {
	if p, ok := w.ResponseWriter.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

func (w *responseWriter) first() {
	if !w.sent {
		w.correct()
		w.sent = true
	}
}

// correct takes from an answer what only the gateway may say: cookies of its name and its own
// marks. An answer to one visitor may not be kept for others.
func (w *responseWriter) correct() {
	if w.sent || w.own {
		return
	}
	h := w.Header()
	if set, ok := h["Set-Cookie"]; ok {
		keepCookies(h, set)
	}
	delete(h, "Stepgate-Response")
	delete(h, "Stepgate-Request-Id")
	delete(h, requireHeader)
	if !w.private {
		return
	}
	if cache, ok := h["Cache-Control"]; ok {
		for _, line := range cache {
			if shared(line) {
				h["Cache-Control"] = []string{private(cache)}
				break
			}
		}
	}
	for _, name := range []string{"Cdn-Cache-Control", "Surrogate-Control"} {
		delete(h, name)
	}
	if h["Cache-Control"] != nil && !strings.Contains(strings.ToLower(strings.Join(h["Vary"], ",")), "cookie") {
		h.Add("Vary", "Cookie")
	}
}

func keepCookies(h http.Header, set []string) {
	for _, line := range set {
		if _, _, mine := ours(line); mine {
			kept := make([]string, 0, len(set))
			for _, line := range set {
				if _, _, mine := ours(strings.SplitN(line, ";", 2)[0]); !mine {
					kept = append(kept, line)
				}
			}
			h["Set-Cookie"] = kept
			if len(kept) == 0 {
				delete(h, "Set-Cookie")
			}
			return
		}
	}
}

// shared tells whether a Cache-Control line lets a shared cache keep the answer.
func shared(line string) bool {
	line = strings.ToLower(line)
	return strings.Contains(line, "public") || strings.Contains(line, "s-maxage")
}

// private is a Cache-Control header without what lets a shared cache keep the answer.
func private(lines []string) string {
	out := []string{"private"}
	for part := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		part = strings.TrimSpace(part)
		name, _, _ := strings.Cut(strings.ToLower(part), "=")
		switch strings.TrimSpace(name) {
		case "", "public", "s-maxage", "private", "proxy-revalidate":
		default:
			out = append(out, part)
		}
	}
	return strings.Join(out, ", ")
}
