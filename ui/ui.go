package ui

import (
	"bytes"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

// Brand is what the operator calls the service.
type Brand struct {
	// Name stands in the header and in window titles; "" is "Stepgate".
	Name string
	// Help is one sentence on whom to ask, shown where people get stuck
	// ("Call the service desk: extension 4400."); may be empty.
	Help string
}

// Options configure [New]. The zero value is usable.
type Options struct {
	Brand Brand
	// FormOrigins are the origins besides our own that the answer to a form may
	// redirect to ("https://erp.example.com"): needed on a portal host that
	// serves several app hosts, because browsers apply form-action to redirects.
	FormOrigins []string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Rand is the source of nonces; nil is crypto/rand.
	Rand io.Reader
}

// ErrOptions is wrapped by the errors of [New] about its options.
var ErrOptions = errors.New("ui: bad option")

// Pages renders the pages. It is safe for concurrent use; make it with [New].
type Pages struct {
	brand   Brand
	pages   map[string]*template.Template
	assets  *assets
	now     func() time.Time
	rand    io.Reader
	headers headers
}

// New parses all templates and prepares the assets.
func New(o Options) (*Pages, error) {
	h, err := newHeaders(o.FormOrigins)
	if err != nil {
		return nil, err
	}
	a, err := newAssets()
	if err != nil {
		return nil, err
	}
	p := &Pages{brand: o.Brand, assets: a, now: o.Now, rand: o.Rand, headers: h}
	if p.brand.Name == "" {
		p.brand.Name = "Stepgate"
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.rand == nil {
		p.rand = rand.Reader
	}
	if p.pages, err = parse(templateFiles); err != nil {
		return nil, err
	}
	return p, nil
}

// parse makes one template set per page: the shared files (their names start
// with an underscore) and the file of the page, which defines "main".
func parse(files fs.FS) (map[string]*template.Template, error) {
	shared, err := template.New("").Funcs(funcs).ParseFS(files, "templates/_*.html")
	if err != nil {
		return nil, fmt.Errorf("ui: parse shared templates: %w", err)
	}
	names, err := fs.Glob(files, "templates/[a-z]*.html")
	if err != nil {
		return nil, fmt.Errorf("ui: list templates: %w", err)
	}
	pages := make(map[string]*template.Template, len(names))
	for _, n := range names {
		t, err := shared.Clone()
		if err != nil {
			return nil, fmt.Errorf("ui: clone templates: %w", err)
		}
		if t, err = t.ParseFS(files, n); err != nil {
			return nil, fmt.Errorf("ui: parse %s: %w", n, err)
		}
		pages[strings.TrimSuffix(strings.TrimPrefix(n, "templates/"), ".html")] = t
	}
	return pages, nil
}

// Assets serves the style sheet and the scripts below [PathAssets].
func (p *Pages) Assets() http.Handler { return p.assets }

// view is what the templates see.
type view struct {
	M     Page
	Brand Brand
	Nonce string
	Title string
	now   time.Time
	a     *assets
	// fields are the names of the form fields on the page; a first pass notes
	// them, so that in the second a problem stands at its field only.
	fields map[string]bool
}

// Asset is the address of an asset by its plain name.
func (v view) Asset(name string) (string, error) { return v.a.url(name) }

// Render writes status, headers and the page. The page is made completely
// before the first byte is written: when that fails, the answer is a plain 500
// and the error is returned for the log. Headers that the caller has set stay,
// except those that this package sets itself.
func (p *Pages) Render(w http.ResponseWriter, status int, m Page) error {
	body, nonce, err := p.render(m)
	h := w.Header()
	p.headers.set(h, m, nonce)
	if err != nil {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		_, werr := io.WriteString(w, "Something went wrong. Please try again.\n")
		return errors.Join(err, werr)
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return fmt.Errorf("ui: write page: %w", err)
	}
	return nil
}

// passes is how often a page is made: twice when it shows problems.
func passes(m Page) int {
	if len(form(m).Problems) > 0 {
		return 2
	}
	return 1
}

// render makes the page and the nonce that its scripts and styles carry.
func (p *Pages) render(m Page) (body []byte, nonce string, err error) {
	if m == nil {
		return nil, "", errors.New("ui: no page")
	}
	t := p.pages[m.name()]
	if t == nil {
		return nil, "", fmt.Errorf("ui: no template %q", m.name())
	}
	var raw [16]byte
	if _, err := io.ReadFull(p.rand, raw[:]); err != nil {
		return nil, "", fmt.Errorf("ui: nonce: %w", err)
	}
	nonce = base64.RawURLEncoding.EncodeToString(raw[:])
	title := m.title()
	if len(form(m).Problems) > 0 {
		title = "Error: " + title
	}
	v := view{M: m, Brand: p.brand, Nonce: nonce, Title: title, now: p.now(), a: p.assets, fields: map[string]bool{}}
	var b bytes.Buffer
	for range passes(m) {
		b.Reset()
		if err := t.ExecuteTemplate(&b, "page", v); err != nil {
			return nil, nonce, fmt.Errorf("ui: render %s: %w", m.name(), err)
		}
	}
	return b.Bytes(), nonce, nil
}
