package ui

import (
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// A browser that cannot do WebAuthn is told so, and offered no button that does nothing.
func TestWithoutPasskeysInABrowser(t *testing.T) {
	ctx, ok := browser(t)
	if !ok {
		return
	}
	origin, _ := site(t)
	do(t, ctx, chromedp.Navigate(origin+"/signed-out"))
	visible := func(selector string) bool {
		return eval[bool](t, ctx, `document.readyState === 'complete' && !!document.querySelector('`+selector+`')?.checkVisibility()`)
	}
	open := func(name string) { do(t, ctx, chromedp.Navigate(origin+"/"+name)) }
	pages := []string{"sign-in", "sign-in-passkey", "challenge-passkey", "add-passkey"}
	for _, name := range pages {
		open(name)
		if visible("[data-passkey-unsupported]") || !visible("[data-passkey-button]") {
			t.Errorf("%s: a browser that can is not offered it", name)
		}
	}
	for how, script := range map[string]string{
		"no WebAuthn": "delete window.PublicKeyCredential",
		"an old one":  "delete PublicKeyCredential.parseRequestOptionsFromJSON",
	} {
		added, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pages {
			open(name)
			if !visible("[data-passkey-unsupported]") || visible("[data-passkey-button]") {
				t.Errorf("%s, %s: nothing is said, or a button is offered", how, name)
			}
		}
		if _, err := chromedp.Call(ctx, page.RemoveScriptToEvaluateOnNewDocument, page.RemoveScriptToEvaluateOnNewDocumentParams(added)); err != nil {
			t.Fatal(err)
		}
	}
}

// A new key that the site did not keep is dropped by the browser, and the person is told why.
// After every other refusal the browser keeps it: the site may know it.
func TestRefusedPasskeysInABrowser(t *testing.T) {
	ctx, ok := browser(t)
	if !ok {
		return
	}
	origin, mux := site(t)
	do(t, ctx, chromedp.Navigate(origin+"/signed-out"))
	key := virtualKey(t, ctx)
	options := map[string]any{
		"challenge": "AAECAwQFBgcICQoLDA0ODw", "rp": map[string]any{"id": "localhost", "name": "x"},
		"user":                   map[string]any{"id": "AAECAwQFBgcICQoLDA0ODw", "name": "ada", "displayName": "Ada"},
		"pubKeyCredParams":       []map[string]any{{"type": "public-key", "alg": -7}, {"type": "public-key", "alg": -257}},
		"authenticatorSelection": map[string]any{"residentKey": "required", "userVerification": "required"},
	}
	mux.HandleFunc("POST "+PathAPI+"webauthn/register/start", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 200, map[string]any{"publicKey": options})
	})
	kind := ""
	mux.HandleFunc("POST "+PathAPI+"webauthn/register", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 403, map[string]any{"error_type": kind, "detail": "Refused: " + kind})
	})
	for refusal, kept := range map[string]int{
		"authenticator_not_accepted": 0, "too_many": 0, "webauthn_incorrect": 0,
		"webauthn_expired": 1, "duplicate_webauthn_registration": 1, "store_unavailable": 1, "": 1,
	} {
		kind = refusal
		do(t, ctx, chromedp.Navigate(origin+"/add-passkey"), chromedp.Click("[data-passkey-button]"), chromedp.WaitVisible("[data-passkey-problem]"))
		if got := eval[string](t, ctx, `document.querySelector('[data-passkey-problem]').textContent`); got != "Refused: "+refusal {
			t.Errorf("%s: %q", refusal, got)
		}
		r, err := chromedp.Call(ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: key})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Credentials) != kept {
			t.Errorf("%s: the browser keeps %d keys", refusal, len(r.Credentials))
		}
		if _, err := chromedp.Call(ctx, webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: key}); err != nil {
			t.Fatal(err)
		}
	}
}
