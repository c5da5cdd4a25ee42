package demo

import (
	"crypto/sha1"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed pages
var pages embed.FS

var templates = template.Must(template.ParseFS(pages, "pages/*.html"))

// legacy is a small company application that knows nothing of authentication. It believes
// the Remote-* headers, as such applications do.
type legacy struct {
	mu       sync.Mutex
	payments []payment
}

type payment struct {
	To, Amount, By string
	At             time.Time
}

func newLegacy() http.Handler {
	l := &legacy{payments: []payment{
		{To: "Paper & Pens Ltd", Amount: "120.00", By: "carol@example.com", At: time.Now().Add(-26 * time.Hour)},
		{To: "Coffee Roasters", Amount: "64.50", By: "dave@example.com", At: time.Now().Add(-3 * time.Hour)},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", l.page("home", nil))
	mux.HandleFunc("GET /about", l.page("about", nil))
	mux.HandleFunc("GET /payments", l.page("payments", func() any { return l.list() }))
	mux.HandleFunc("POST /payments", l.pay)
	mux.HandleFunc("GET /admin/", l.page("admin", nil))
	mux.HandleFunc("GET /reports", l.page("reports", func() any { return l.list() }))
	mux.HandleFunc("GET /live", l.page("live", nil))
	mux.HandleFunc("GET /api/payments", l.api)
	mux.HandleFunc("GET /socket", l.socket)
	mux.HandleFunc("GET /style.css", asset("text/css; charset=utf-8", "pages/style.css"))
	mux.HandleFunc("GET /live.js", asset("text/javascript; charset=utf-8", "pages/live.js"))
	return mux
}

func asset(contentType, name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := pages.ReadFile(name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
	}
}

// view is what every page is told.
type view struct {
	Page     string
	Host     string
	User     string
	Name     string
	Groups   string
	Identity []header
	Data     any
	Done     string
}

type header struct{ Name, Value string }

func (l *legacy) page(name string, data func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := view{Page: name, Host: r.Host, User: r.Header.Get("Remote-User"), Name: r.Header.Get("Remote-Name"), Groups: r.Header.Get("Remote-Groups"), Identity: identity(r)}
		if data != nil {
			v.Data = data()
		}
		if r.URL.Query().Get("paid") != "" {
			v.Done = "The payment was made."
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := templates.ExecuteTemplate(w, "page.html", v); err != nil {
			fmt.Fprintf(w, "<p>template error: %s</p>", template.HTMLEscapeString(err.Error()))
		}
	}
}

// identity is what the gateway told the application about the visitor.
func identity(r *http.Request) []header {
	var out []header
	for _, name := range []string{"Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups"} {
		if v := r.Header.Get(name); v != "" {
			out = append(out, header{name, v})
		}
	}
	if parts := strings.Split(r.Header.Get("Stepgate-Assertion"), "."); len(parts) == 3 {
		if claims, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil {
			out = append(out, header{"Stepgate-Assertion (claims)", string(claims)})
		}
	}
	return out
}

func (l *legacy) list() []payment {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := slices.Clone(l.payments)
	slices.Reverse(out)
	return out
}

func (l *legacy) pay(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "bad form", http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	if len(l.payments) >= 50 {
		l.payments = slices.Delete(l.payments, 0, 1)
	}
	l.payments = append(l.payments, payment{To: r.PostForm.Get("to"), Amount: r.PostForm.Get("amount"), By: r.Header.Get("Remote-User"), At: time.Now()})
	l.mu.Unlock()
	http.Redirect(w, r, "/payments?paid=1", http.StatusSeeOther)
}

func (l *legacy) api(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"user": r.Header.Get("Remote-User"), "payments": l.list()}) // the client is gone
}

// socket sends the time over a WebSocket every second, in the few bytes of RFC 6455 that it
// takes to send text.
func (l *legacy) socket(w http.ResponseWriter, r *http.Request) {
	key := r.Header.Get("Sec-Websocket-Key")
	if key == "" {
		http.Error(w, "this is a WebSocket", http.StatusUpgradeRequired)
		return
	}
	conn, buffer, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "no WebSocket here", http.StatusInternalServerError)
		return
	}
	defer func() { _ = conn.Close() }() // nothing is left to tell the other side
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(buffer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for now := time.Now(); ; now = <-tick.C {
		text := fmt.Sprintf("%s, %s", now.Format("15:04:05"), r.Header.Get("Remote-User"))
		if len(text) > 125 {
			text = text[:125]
		}
		if _, err := buffer.Write(append([]byte{0x81, byte(len(text))}, text...)); err != nil {
			return
		}
		if err := buffer.Flush(); err != nil {
			return
		}
	}
}
