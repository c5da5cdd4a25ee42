// Package ui holds the pages that people see: templates, style sheet, small
// ES modules, and the security headers that go with them.
//
// It knows nothing of factors, flows or stores: the portal fills plain view
// models and calls [Pages.Render]. Every page works without JavaScript except
// where a browser API needs it (passkeys, wallets), loads nothing from
// elsewhere, and holds no inline script or style.
//
// The comment of each view model lists the fields that its forms post.
package ui
