package oidctest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Withhold makes ID tokens leave claims out, so that only userinfo of an oidc provider tells them.
func (p *Provider) Withhold(claims ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.withheld = claims
}

// Sign makes userinfo answer with a signed token.
func (p *Provider) Sign() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signs = true
}

// UserInfos is how often somebody came to userinfo.
func (p *Provider) UserInfos() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.informed
}

// withhold takes from the claims of an ID token what only userinfo tells.
func (p *Provider) withhold(c map[string]any) {
	if strings.HasPrefix(p.fault, "userinfo: ") { // it must be asked to be seen
		delete(c, "email") // email_verified stays, and speaks of nothing
	}
	for _, name := range p.withheld {
		delete(c, name)
	}
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.informed++
	p.mu.Unlock()
	if p.breaks(w, r, "userinfo") {
		return
	}
	access, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	defer p.mu.Unlock()
	g, known := p.grants[access]
	if !ok || !known || r.Method != http.MethodGet {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	c := maps.Clone(p.users[g.user])
	if p.fault == "email_verified: of none" {
		delete(c, "email")
	}
	if f := userInfoFaults[p.fault]; f != nil {
		f(p, c)
	}
	signed, isSigned := signedFaults[p.fault]
	switch {
	case p.signs || isSigned:
		c["iss"], c["aud"] = p.server.URL, p.opts.ClientID
		if signed == nil {
			signed = func(p *Provider, c map[string]any) (string, error) { return p.signedRight(c) }
		}
		text, err := signed(p, c)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/jwt; charset=utf-8")
		_, _ = w.Write([]byte(text))
	case textFaults[p.fault] != nil:
		raw, _ := json.Marshal(c) // what was read as JSON
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(textFaults[p.fault](p, string(raw))))
	default:
		answer(w, http.StatusOK, c)
	}
}

func (p *Provider) signedRight(c map[string]any) (string, error) {
	return sign(p.keys[len(p.keys)-1], p.opts.Algorithm, c, nil)
}

// userInfoFaults change what userinfo says. Where there is one signature, it is right.
var userInfoFaults = func() map[string]func(*Provider, map[string]any) {
	out := map[string]func(*Provider, map[string]any){
		"userinfo: sub other":                   set("sub", "bob"),
		"userinfo: sub in capitals":             set("sub", "ALICE"),
		"userinfo: sub with space":              set("sub", "alice "),
		"userinfo: sub empty":                   set("sub", ""),
		"userinfo: sub absent":                  unset("sub"),
		"userinfo: sub a list":                  set("sub", []string{"alice"}),
		"userinfo: sub second spelling":         set("Sub", "bob"),
		"userinfo: email_verified of an absent": unset("email"),
		"userinfo: email_verified of a list":    set("email", []string{"alice@example.org"}),
	}
	for name, f := range claimFaults { // the spellings of what is no true
		if strings.HasPrefix(name, "email_verified: ") && name != "email_verified: of none" {
			out["userinfo: "+name] = f
		}
	}
	return out
}()

// signedFaults are those of a userinfo that is signed.
var signedFaults = func() map[string]func(*Provider, map[string]any) (string, error) {
	said := func(f func(*Provider, map[string]any)) func(*Provider, map[string]any) (string, error) {
		return func(p *Provider, c map[string]any) (string, error) {
			f(p, c)
			return p.signedRight(c)
		}
	}
	out := map[string]func(*Provider, map[string]any) (string, error){
		"userinfo: signed, sub other":  said(set("sub", "bob")),
		"userinfo: signed, iss other":  said(set("iss", "https://attacker.example")),
		"userinfo: signed, iss absent": said(unset("iss")),
		"userinfo: signed, aud other":  said(set("aud", "somebody-else")),
		"userinfo: signed, aud absent": said(unset("aud")),
		"userinfo: signed, exp past":   said(at("exp", -time.Hour)),
		"userinfo: signed, ISS beside": said(set("ISS", "https://attacker.example")),
		"userinfo: signed, encrypted": func(*Provider, map[string]any) (string, error) {
			return "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AAAA.AAAA.AAAA.AAAA", nil
		},
		"userinfo: signed, JSON instead": func(_ *Provider, c map[string]any) (string, error) {
			raw, err := json.Marshal(c)
			return string(raw), err
		},
	}
	for name, f := range signFaults {
		out["userinfo: signed, "+name] = f
	}
	return out
}()

// textFaults change the text of an answer that says it is JSON.
var textFaults = map[string]func(p *Provider, right string) string{
	"userinfo: two documents": func(_ *Provider, right string) string { return right + right },
	"userinfo: a list":        func(_ *Provider, right string) string { return "[" + right + "]" },
	"userinfo: a text":        func(*Provider, string) string { return `"alice"` },
	"userinfo: nothing":       func(*Provider, string) string { return "" },
	"userinfo: half":          func(_ *Provider, right string) string { return right[:len(right)/2] },
	"userinfo: token as JSON": func(p *Provider, right string) string {
		var c map[string]any
		_ = json.Unmarshal([]byte(right), &c) // it was written by us
		token, _ := p.signedRight(c)
		return token
	},
}

func userInfoOutcomes() []Fault {
	oidc := []string{"oidc"}
	return slices.Concat(
		namesOf(userInfoFaults, func(name string) Fault {
			if strings.HasPrefix(name, "userinfo: email_verified") {
				return Fault{name, oidc, Unverified}
			}
			return Fault{name, oidc, Refused}
		}),
		namesOf(signedFaults, func(name string) Fault { return Fault{name, oidc, Refused} }),
		namesOf(textFaults, func(name string) Fault { return Fault{name, oidc, Unavailable} }),
		faults(oidc, Refused, "userinfo: 401", "userinfo: 404", "userinfo: 400"),
		broken(oidc, "userinfo"),
	)
}
