package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// headers are the security headers of every page.
type headers struct{ formAction string }

func newHeaders(origins []string) (headers, error) {
	h := headers{formAction: "'self'"}
	for _, o := range origins {
		u, err := url.Parse(o)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != o || (u.Scheme != "https" && u.Scheme != "http") ||
			strings.ContainsAny(o, " ;,*'\"\\") || u.User != nil {
			return headers{}, fmt.Errorf("%w: form origin %q: want scheme://host[:port]", ErrOptions, o)
		}
		h.formAction += " " + o
	}
	return h, nil
}

// permissions switches off what the pages do not use. Listed are the features
// that browsers grant to a page by default, and the credential features.
const permissions = "publickey-credentials-get=(self), publickey-credentials-create=(self), otp-credentials=(self), " +
	"clipboard-write=(self), identity-credentials-get=(), clipboard-read=(), camera=(), microphone=(), geolocation=(), " +
	"display-capture=(), payment=(), usb=(), serial=(), hid=(), midi=(), accelerometer=(), gyroscope=(), " +
	"magnetometer=(), fullscreen=(), autoplay=(), picture-in-picture=(), screen-wake-lock=(), xr-spatial-tracking=(), " +
	"browsing-topics=()"

// set writes the headers of a page. Scripts and styles run by nonce, not by 'self': on a
// gated host "self" would include everything the app behind us serves.
//
// A page whose form an application answers names its origin to it, which a form without any
// referrer would hide, and leaves to the application where its answer leads: browsers hold
// form-action against redirects too.
func (s headers) set(h http.Header, m Page, nonce string) {
	formAction, referrer := s.formAction, "no-referrer"
	if _, ok := m.(interface{ handsOver() }); ok {
		formAction, referrer = "'self' http: https:", "strict-origin"
	}
	scripts, styles := "'none'", "'none'"
	if nonce != "" {
		scripts = "'nonce-" + nonce + "'"
		styles = scripts
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src "+scripts+"; style-src "+styles+
		"; img-src 'self'; connect-src 'self'; form-action "+formAction+
		"; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", referrer)
	h.Set("Cache-Control", "no-store")
	h.Set("Permissions-Policy", permissions)
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Del("Content-Encoding")
	h.Del("Content-Length")
}
