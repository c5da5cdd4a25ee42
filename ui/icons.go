package ui

import (
	"fmt"
	"html/template"
)

// shapes are line drawings on a 24 by 24 grid.
var shapes = map[string]string{ //nolint:gosec // drawings of keys, not keys
	"lock":     `<rect x="5" y="10.5" width="14" height="9.5" rx="2.5"/><path d="M8 10.5V7.75a4 4 0 0 1 8 0v2.75M12 14.5v1.75"/>`,
	"mail":     `<rect x="3.5" y="5.5" width="17" height="13" rx="2.5"/><path d="m4.5 7.5 6.2 5a2 2 0 0 0 2.6 0l6.2-5"/>`,
	"link":     `<path d="M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1"/>`,
	"phone":    `<rect x="7" y="3" width="10" height="18" rx="2.5"/><path d="M11 17.75h2"/>`,
	"chat":     `<path d="M4 20l1.3-4A8 8 0 1 1 8.5 19z"/>`,
	"globe":    `<circle cx="12" cy="12" r="8.5"/><path d="M3.5 12h17M12 3.5c2.3 2.3 3.5 5.2 3.5 8.5s-1.2 6.2-3.5 8.5c-2.3-2.3-3.5-5.2-3.5-8.5s1.2-6.2 3.5-8.5z"/>`,
	"app":      `<rect x="7" y="3" width="10" height="18" rx="2.5"/><circle cx="12" cy="11" r="2.75"/><path d="M12 9.5V11l1 .6M11 17.75h2"/>`,
	"lifebuoy": `<circle cx="12" cy="12" r="8.5"/><circle cx="12" cy="12" r="3.5"/><path d="m6 6 3.5 3.5M14.5 14.5 18 18M18 6l-3.5 3.5M9.5 14.5 6 18"/>`,
	"key":      `<circle cx="8" cy="12" r="4"/><path d="M12 12h8.5v3M17 12v2.25"/>`,
	"passkey":  `<circle cx="9.5" cy="8" r="3.5"/><path d="M3.5 19.5c0-3.3 2.7-5.5 6-5.5 1 0 2 .2 2.8.6"/><circle cx="17" cy="12.5" r="2.5"/><path d="M17 15v5l1.5-1.25L17 17.25"/>`,
	"wallet":   `<path d="M5.5 6.5H18A1.5 1.5 0 0 1 19.5 8v10a1.5 1.5 0 0 1-1.5 1.5H6A2.5 2.5 0 0 1 3.5 17V6.5A2 2 0 0 1 5.5 4.5H17v2"/><path d="M16 13h.5"/>`,
	"user":     `<circle cx="12" cy="8.5" r="4"/><path d="M4.5 20c.5-3.7 3.6-6 7.5-6s7 2.3 7.5 6"/>`,
	"laptop":   `<rect x="5" y="5" width="14" height="10" rx="2"/><path d="M3 18.5h18"/>`,
	"check":    `<path d="m5 12.5 4.5 4.5L19 7.5"/>`,
	"alert":    `<path d="M12 8.5v4.25M12 16.25v.01"/><circle cx="12" cy="12" r="8.75"/>`,
	"info":     `<path d="M12 11.25v4.75M12 8v.01"/><circle cx="12" cy="12" r="8.75"/>`,
	"shield":   `<path d="M12 3.5 5 6v5.5c0 4.3 2.9 7.5 7 9 4.1-1.5 7-4.7 7-9V6z"/><path d="m9 12 2.25 2.25L15.25 10"/>`,
	"stop":     `<circle cx="12" cy="12" r="8.75"/><path d="m6 6 12 12"/>`,
	"clock":    `<circle cx="12" cy="12" r="8.75"/><path d="M12 7.5V12l3 2"/>`,
	"right":    `<path d="m9.5 6 6 6-6 6"/>`,
	"inbox":    `<path d="M4 13.5 6.5 6A1.5 1.5 0 0 1 8 5h8a1.5 1.5 0 0 1 1.5 1L20 13.5V17a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2z"/><path d="M4 13.5h4.5l1 2h5l1-2H20"/>`,
	"wave":     `<path d="M8 20.5c-3-2-4-4.5-4-8.5M12 12V4.75a1.4 1.4 0 0 1 2.8 0V11M9.2 12V6.5a1.4 1.4 0 0 1 2.8 0M14.8 11V7a1.4 1.4 0 0 1 2.8 0v7c0 4-2.6 6.5-6 6.5-2.8 0-4.3-1.3-5.6-3.7L4.2 13.5c-.9-1.7 1.3-2.9 2.4-1.4L9.2 15"/>`,
}

// icon is an inline drawing that assistive technology passes over: words stand
// beside it.
func icon(name string) (template.HTML, error) {
	s, ok := shapes[name]
	if !ok {
		return "", fmt.Errorf("ui: no icon %q", name)
	}
	//nolint:gosec // G203: the drawings above are constants
	return template.HTML(`<svg class="icon" viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" ` +
		`stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">` + s + `</svg>`), nil
}
