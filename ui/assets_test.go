package ui

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAssets(t *testing.T) {
	p := newPages(t, Options{})
	h := p.Assets()
	for plain, served := range p.assets.byName {
		w := get(h, "GET", PathAssets+served)
		if w.Code != 200 || w.Body.Len() == 0 || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d", plain, w.Code)
		}
		cache := "public, max-age=31536000, immutable"
		if plain == "stepgate.js" {
			cache = "no-cache"
			if served != plain {
				t.Errorf("stepgate.js is served as %s", served)
			}
		}
		if got := w.Header().Get("Cache-Control"); got != cache {
			t.Errorf("%s: Cache-Control %q", plain, got)
		}
		if w := get(h, "GET", PathAssets+served, "If-None-Match", w.Header().Get("ETag")); w.Code != 304 || w.Body.Len() != 0 {
			t.Errorf("%s: %d for the same ETag", plain, w.Code)
		}
		z := get(h, "GET", PathAssets+served, "Accept-Encoding", "br, gzip")
		r, err := gzip.NewReader(z.Body)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, w.Body.Bytes()) {
			t.Errorf("%s: gzip differs: %v", plain, err)
		}
	}
	for _, path := range []string{PathAssets, PathAssets + "style.css", PathAssets + "../ui.go", PathAssets + "none", "/"} {
		if w := get(h, "GET", path); w.Code != 404 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := get(h, "POST", PathAssets+"stepgate.js"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", w.Code)
	}
	if w := get(h, "HEAD", PathAssets+"stepgate.js"); w.Code != 200 {
		t.Errorf("HEAD: %d", w.Code)
	}
}

var imported = regexp.MustCompile(`from '(\./[^']+)'`)

// A module imports its parts by the names under which they are served, so that
// nothing old stays in a cache beside something new.
func TestModulesImportHashedNames(t *testing.T) {
	p := newPages(t, Options{})
	n := 0
	for served, f := range p.assets.byPath {
		if !strings.HasSuffix(served, ".js") || served == "stepgate.js" {
			continue
		}
		for _, m := range imported.FindAllSubmatch(f.body, -1) {
			n++
			if _, ok := p.assets.byPath[strings.TrimPrefix(string(m[1]), "./")]; !ok {
				t.Errorf("%s imports %s", served, m[1])
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d imports found", n)
	}
}

// Nothing comes from elsewhere, and no script uses what Trusted Types forbid.
func TestAssetsAreOurOwn(t *testing.T) {
	p := newPages(t, Options{})
	bad := regexp.MustCompile(`https?://[a-z]|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|@import|url\(`)
	for served, f := range p.assets.byPath {
		if m := bad.Find(bytes.ReplaceAll(f.body, []byte("http://www.w3.org/2000/svg"), nil)); m != nil {
			t.Errorf("%s holds %q", served, m)
		}
	}
}
