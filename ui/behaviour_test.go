package ui

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// posted waits for one form that the browser sends to path.
func posted(mux *http.ServeMux, path string) <-chan *http.Request {
	got := make(chan *http.Request, 4)
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		got <- r
		http.Redirect(w, r, "/signed-out", http.StatusSeeOther)
	})
	return got
}

// wantForm waits for the form, which must hold exactly the fields given.
func wantForm(t *testing.T, ctx context.Context, got <-chan *http.Request, fields string) *http.Request {
	t.Helper()
	select {
	case r := <-got:
		want, err := url.ParseQuery(fields)
		if err != nil {
			t.Fatal(err)
		}
		if r.PostForm.Encode() != want.Encode() {
			t.Errorf("posted %q, want %q", r.PostForm.Encode(), want.Encode())
		}
		return r
	case <-ctx.Done():
		t.Fatal("no form came")
		return nil
	}
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A test server whose client is gone has nobody to tell.
	_ = json.NewEncoder(w).Encode(v)
}

// The scripts, as people use them.
func TestScriptsInABrowser(t *testing.T) {
	ctx, ok := browser(t)
	if !ok {
		return
	}
	origin, mux := site(t)
	challenge := posted(mux, PathChallenge)
	signIn := posted(mux, PathSignIn)
	passkeys := posted(mux, PathPasskeys)
	codes := posted(mux, PathRecoveryCodes)
	do(t, ctx, chromedp.Navigate(origin+"/signed-out"))
	said := listen(t, ctx)
	open := func(t *testing.T, name string) {
		t.Helper()
		do(t, ctx, chromedp.Navigate(origin+"/"+name))
	}
	landed := chromedp.WaitVisible(".badge.good")

	t.Run("six digits submit themselves", func(t *testing.T) {
		open(t, "challenge-totp")
		do(t, ctx, chromedp.SendKeys("#code", "123456"))
		r := wantForm(t, ctx, challenge, "csrf=csrf-token&flow=flow-id&method=totp&code=123456&action=verify")
		// With Referrer-Policy no-referrer, browsers send the origin of a form as
		// "null"; Sec-Fetch-Site tells where it came from.
		if r.Header.Get("Origin") != "null" || r.Header.Get("Sec-Fetch-Site") != "same-origin" || r.Header.Get("Referer") != "" {
			t.Errorf("Origin %q, Sec-Fetch-Site %q, Referer %q", r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Referer"))
		}
		do(t, ctx, landed)
	})
	t.Run("a pasted code may hold spaces", func(t *testing.T) {
		open(t, "sign-in-code")
		eval[bool](t, ctx, `(() => { const i = document.getElementById('code'); i.focus(); return document.execCommand('insertText', false, ' 482 913 '); })()`)
		wantForm(t, ctx, signIn, "csrf=csrf-token&flow=flow-id&code=482913&action=verify")
		do(t, ctx, landed)
	})
	t.Run("a form is sent once", func(t *testing.T) {
		open(t, "challenge-password")
		n := eval[int](t, ctx, `(() => { let n = 0; const f = document.querySelector('#password').form; document.querySelector('#password').value = 'x';
			addEventListener('submit', e => { if (!e.defaultPrevented) n++; e.preventDefault(); });
			for (let i = 0; i < 5; i++) f.requestSubmit(f.querySelector('.primary')); return n; })()`)
		if n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
	t.Run("show the password", func(t *testing.T) {
		open(t, "sign-in")
		do(t, ctx, chromedp.Click("[data-reveal]"))
		if got := eval[string](t, ctx, `document.querySelector('#password').type + document.querySelector('[data-reveal]').textContent`); got != "textHide" {
			t.Error(got)
		}
	})
	t.Run("another way in needs no password", func(t *testing.T) {
		open(t, "sign-in-wrong")
		do(t, ctx, chromedp.Click(`button[value=email_otp]`))
		wantForm(t, ctx, signIn, "csrf=csrf-token&flow=flow-id&email=ada@example.com&password=&action=email_otp")
		do(t, ctx, landed)
	})
	t.Run("without an e-mail address nothing is sent", func(t *testing.T) {
		open(t, "sign-in")
		do(t, ctx, chromedp.Click(`button[value=email_otp]`))
		if at := eval[string](t, ctx, `document.activeElement.id + location.pathname`); at != "email/sign-in" {
			t.Error(at)
		}
	})
	t.Run("recovery codes", func(t *testing.T) {
		open(t, "recovery-codes")
		name := eval[string](t, ctx, `(() => { let name; HTMLAnchorElement.prototype.click = function () { name = this.download + this.href.slice(0, 5); }; document.querySelector('[data-codes-save]').click(); return name; })()`)
		if name != "stepgate-recovery-codes-erp.example.com.txtblob:" {
			t.Error(name)
		}
		do(t, ctx, chromedp.Click("#saved"), chromedp.Click(`button[value=saved]`))
		wantForm(t, ctx, codes, "csrf=csrf-token&flow=flow-id&saved=yes&action=saved")
		do(t, ctx, landed)
	})
	t.Run("strength of a password", func(t *testing.T) {
		mux.HandleFunc("POST "+PathAPI+"passwords/strength_check", func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || !strings.Contains(string(body), `"email":"ada@example.com"`) {
				t.Errorf("body %s %v", body, err)
			}
			answerJSON(w, 200, map[string]any{"valid": false, "score": 1, "feedback": "Add another word."})
		})
		open(t, "password")
		do(t, ctx, chromedp.SendKeys("#password", "sesame"), chromedp.WaitVisible(`.strength[data-score="1"]`))
		if got := eval[string](t, ctx, `document.querySelector('.strength p').textContent`); got != "Add another word." {
			t.Error(got)
		}
	})
	t.Run("outbox loads again", func(t *testing.T) {
		mux.HandleFunc("GET "+PathOutboxJSON, func(w http.ResponseWriter, _ *http.Request) {
			answerJSON(w, 200, []map[string]any{{"sent_at": noon}})
		})
		open(t, "outbox-empty")
		for again := false; !again; {
			// While the page is loading there is nothing to ask.
			v, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`performance.getEntriesByType('navigation')[0].type === 'reload'`))
			if ctx.Err() != nil {
				t.Fatal(ctx.Err())
			}
			again = err == nil && v
		}
	})
	t.Run("on to the identity provider", func(t *testing.T) {
		p := newPages(t, Options{})
		mux.HandleFunc("GET /leave-us", func(w http.ResponseWriter, _ *http.Request) {
			if err := p.Render(w, 200, Leave{Label: "Google", URL: origin + "/signed-out", Cancel: "/"}); err != nil {
				t.Error(err)
			}
		})
		open(t, "leave-us")
		do(t, ctx, landed)
	})
	t.Run("passkeys", func(t *testing.T) {
		open(t, "signed-out")
		virtualKey(t, ctx)
		api := passkeyAPI(t, mux)
		open(t, "add-passkey")
		do(t, ctx, chromedp.SendKeys("#name", "My laptop"), chromedp.Click("[data-passkey-button]"))
		wantForm(t, ctx, passkeys, "csrf=csrf-token&flow=flow-id&action=added&name=My laptop")
		if c := <-api; c["name"] != "My laptop" || c["flow"] != "flow-id" || c["credential"].(map[string]any)["type"] != "public-key" {
			t.Errorf("registered %v", c)
		}
		do(t, ctx, landed)
		open(t, "challenge-passkey")
		do(t, ctx, chromedp.Click("[data-passkey-button]"))
		wantForm(t, ctx, challenge, "csrf=csrf-token&flow=flow-id&method=passkey&action=continue")
		if c := <-api; c["flow"] != "flow-id" || c["credential"].(map[string]any)["response"].(map[string]any)["signature"] == "" {
			t.Errorf("authenticated %v", c)
		}
		do(t, ctx, landed)
		// On the sign-in page autofill offers it without a click.
		open(t, "sign-in")
		wantForm(t, ctx, signIn, "csrf=csrf-token&flow=flow-id&action=continue")
		<-api
		do(t, ctx, landed)
	})
	t.Run("an app asks for a step-up", func(t *testing.T) { stepUp(t, ctx, origin, mux) })
	for _, m := range said.take() {
		t.Errorf("console: %s", m)
	}
}

func virtualKey(t *testing.T, ctx context.Context) webauthn.AuthenticatorID {
	t.Helper()
	if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	r, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: "ctap2", Ctap2version: "ctap2_1", Transport: "internal", HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r.AuthenticatorID
}

// passkeyAPI stands in for the server: it hands out options and takes every
// credential.
func passkeyAPI(t *testing.T, mux *http.ServeMux) <-chan map[string]any {
	t.Helper()
	got := make(chan map[string]any, 4)
	text := "AAECAwQFBgcICQoLDA0ODw"
	mux.HandleFunc("POST "+PathAPI+"webauthn/register/start", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 200, map[string]any{"publicKey": map[string]any{
			"challenge": text, "rp": map[string]any{"id": "localhost", "name": "x"}, "user": map[string]any{"id": text, "name": "ada", "displayName": "Ada"},
			"pubKeyCredParams":       []map[string]any{{"type": "public-key", "alg": -7}, {"type": "public-key", "alg": -257}},
			"authenticatorSelection": map[string]any{"residentKey": "required", "userVerification": "required"},
		}})
	})
	mux.HandleFunc("POST "+PathAPI+"webauthn/authenticate/start", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 200, map[string]any{"publicKey": map[string]any{"challenge": text, "rpId": "localhost", "userVerification": "required"}})
	})
	take := func(w http.ResponseWriter, r *http.Request) {
		var v map[string]any
		if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
			t.Error(err)
		}
		got <- v
		answerJSON(w, 200, map[string]any{})
	}
	mux.HandleFunc("POST "+PathAPI+"webauthn/register", take)
	mux.HandleFunc("POST "+PathAPI+"webauthn/authenticate", take)
	return got
}

// stepUp lets a page of an app call fetch() of stepgate.js; the challenge is
// finished in the window that opens, and the request is sent again.
func stepUp(t *testing.T, ctx context.Context, origin string, mux *http.ServeMux) {
	t.Helper()
	confirmed := make(chan struct{})
	bodies := make(chan string, 4)
	mux.HandleFunc("GET /app", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'")
		_, _ = io.WriteString(w, "<!doctype html><title>App</title><h1>App</h1>")
	})
	mux.HandleFunc("DELETE /orders/7", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies <- string(b)
		select {
		case <-confirmed:
			answerJSON(w, 200, map[string]any{"deleted": true})
		default:
			w.Header().Set("Stepgate-Response", "step_up")
			answerJSON(w, 401, map[string]any{"challenge_url": PathChallenge + "?flow=flow-id"})
		}
	})
	mux.HandleFunc("GET "+PathChallenge, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("window") != "1" || r.URL.Query().Get("flow") != "flow-id" {
			t.Errorf("opened %s", r.URL)
		}
		close(confirmed)
		http.Redirect(w, r, "/done", http.StatusSeeOther)
	})
	mux.HandleFunc("GET "+PathAPI+"flows/flow-id", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 200, map[string]any{"missing": []any{[]any{}}})
	})
	mux.HandleFunc("GET "+PathAPI+"session", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 200, map[string]any{"session": map[string]any{"user_id": "u1"}})
	})
	do(t, ctx, chromedp.Navigate(origin+"/app"))
	got := eval[string](t, ctx, `(async () => {
		const s = await import('/.stepgate/assets/stepgate.js');
		const who = await s.session();
		const a = await s.fetch('/orders/7', {method: 'DELETE', body: 'because'}, {mode: 'none'});
		const r = await s.fetch('/orders/7', {method: 'DELETE', body: 'because'});
		return who.user_id + ' ' + a.status + ' ' + r.status + ' ' + (await r.json()).deleted + ' ' + document.body.childElementCount;
	})()`)
	if got != "u1 401 200 true 1" {
		t.Error(got)
	}
	for range 3 {
		if b := <-bodies; b != "because" {
			t.Errorf("body %q", b)
		}
	}
}
