package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"sort"
	"strconv"
	"strings"
)

//go:embed assets/*
var assetFiles embed.FS

// asset is one file as it is served.
type asset struct {
	kind, etag string
	body, gz   []byte
	immutable  bool
}

// assets serves files under names that contain a hash of their content, and
// those in stable under their own names.
type assets struct {
	byPath map[string]*asset // name as served
	byName map[string]string // plain name to name as served
}

// stable are the names that apps refer to.
var stable = map[string]bool{"stepgate.js": true}

var kinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

func newAssets() (*assets, error) {
	sub, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		return nil, fmt.Errorf("ui: assets: %w", err)
	}
	names, err := fs.Glob(sub, "*")
	if err != nil {
		return nil, fmt.Errorf("ui: assets: %w", err)
	}
	// Modules that start with an underscore import nothing and come first, so
	// that the hashed names of the others cover what they import.
	sort.Slice(names, func(i, j int) bool {
		if a, b := names[i][0] == '_', names[j][0] == '_'; a != b {
			return a
		}
		return names[i] < names[j]
	})
	a := &assets{byPath: map[string]*asset{}, byName: map[string]string{}}
	for _, n := range names {
		body, err := fs.ReadFile(sub, n)
		if err != nil {
			return nil, fmt.Errorf("ui: assets: %w", err)
		}
		if err := a.add(n, body); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *assets) add(name string, body []byte) error {
	ext := path.Ext(name)
	kind := kinds[ext]
	if kind == "" {
		return fmt.Errorf("ui: asset %s: unknown kind", name)
	}
	if ext == ".js" && !stable[name] {
		for plain, served := range a.byName {
			body = bytes.ReplaceAll(body, []byte(`'./`+plain+`'`), []byte(`'./`+served+`'`))
		}
	}
	sum := sha256.Sum256(body)
	hash := base64.RawURLEncoding.EncodeToString(sum[:12])
	served := name
	if !stable[name] {
		served = strings.TrimPrefix(strings.TrimSuffix(name, ext), "_") + "-" + hash + ext
	}
	gz, err := squeeze(body)
	if err != nil {
		return fmt.Errorf("ui: asset %s: %w", name, err)
	}
	a.byName[name] = served
	a.byPath[served] = &asset{kind: kind, etag: `"` + hash + `"`, body: body, gz: gz, immutable: !stable[name]}
	return nil
}

func squeeze(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (a *assets) url(name string) (string, error) {
	served, ok := a.byName[name]
	if !ok {
		return "", fmt.Errorf("ui: no asset %q", name)
	}
	return PathAssets + served, nil
}

// ServeHTTP answers GET and HEAD for the names below [PathAssets].
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	f := a.byPath[strings.TrimPrefix(r.URL.Path, PathAssets)]
	switch {
	case f == nil:
		h.Set("Cache-Control", "no-store")
		http.Error(w, "not found", http.StatusNotFound)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Cache-Control", "no-store")
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	h.Set("Cache-Control", "no-cache")
	if f.immutable {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("ETag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", f.kind)
	if strings.Contains(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := f.body
	if acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body = f.gz
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	// A client that has gone away is no event: assets hold no state.
	_, _ = w.Write(body)
}

// acceptsGzip is deliberately narrow: anything unusual gets the plain bytes.
func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		if strings.TrimSpace(part) == "gzip" {
			return true
		}
	}
	return false
}
