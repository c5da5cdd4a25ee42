package oidctest

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Outcome is what a client must make of a fault.
type Outcome string

// The outcomes.
const (
	// Refused means that what was said is not acceptable.
	Refused Outcome = "refused"
	// Unavailable means that the provider does not work.
	Unavailable Outcome = "unavailable"
	// Denied means that the provider said no, in the way in which providers do.
	Denied Outcome = "denied"
	// Unverified means that the sign-in works and the e-mail address is not a verified one.
	Unverified Outcome = "unverified"
)

// Fault is one thing that a provider, or somebody on the way from it, can do wrong.
type Fault struct {
	Name string
	// Types are those of the providers that can have the fault.
	Types []string
	Want  Outcome
}

var (
	everyType  = []string{"oidc", "google", "microsoft", "apple", "github"}
	tokenTypes = []string{"oidc", "google", "microsoft", "apple"}
	namedTypes = []string{"oidc", "google"} // those that name themselves in every answer
)

// Faults are all that a provider can be told to do wrong.
var Faults = allFaults()

func allFaults() []Fault {
	return slices.Concat(
		faults(tokenTypes, Refused, "id_token: absent", "id_token: list"),
		namesOf(claimFaults, func(name string) Fault {
			f := Fault{name, tokenTypes, Refused}
			switch {
			case strings.HasPrefix(name, "email_verified: "):
				f.Want = Unverified
				if name == `email_verified: "true"` {
					f.Types = []string{"oidc", "google", "microsoft"} // Apple documents it
				}
			case strings.HasPrefix(name, "tenant: "):
				f.Types = []string{"microsoft"}
			}
			return f
		}),
		namesOf(signFaults, func(name string) Fault { return Fault{name, tokenTypes, Refused} }),
		namesOf(answerFaults, func(name string) Fault {
			f := Fault{name, everyType, Refused}
			switch {
			case name == "answer: iss absent":
				f.Types = namedTypes
			case strings.HasPrefix(name, "answer: error server") || strings.HasPrefix(name, "answer: error temporarily"):
				f.Want = Unavailable
			case strings.HasPrefix(name, "answer: error"):
				f.Want = Denied
			}
			return f
		}),
		namesOf(discoveryFaults, func(name string) Fault {
			if strings.HasPrefix(name, "discovery: userinfo") {
				return Fault{name, []string{"oidc"}, Refused} // of the others it is not read
			}
			return Fault{name, tokenTypes, Refused}
		}),
		userInfoOutcomes(),
		namesOf(githubFaults, func(name string) Fault { return Fault{name, []string{"github"}, Refused} }),
		faults([]string{"github"}, Unverified, "github: unverified"),
		faults(tokenTypes, Refused, "jwks: empty"),
		faults(everyType, Unavailable, "token: no access token"),
		broken(everyType, "token"), broken(tokenTypes, "discovery"), broken(tokenTypes, "jwks"),
		broken([]string{"github"}, "/user"), broken([]string{"github"}, "/user/emails"),
		faults(everyType, Refused, "token: 400", "token: error with 200", "token: error tells the code"),
		faults([]string{"github"}, Refused, "/user: 401", "/user/emails: 404"),
	)
}

func faults(types []string, want Outcome, names ...string) []Fault {
	var out []Fault
	for _, name := range names {
		out = append(out, Fault{name, types, want})
	}
	return out
}

func namesOf[F any](m map[string]F, of func(string) Fault) []Fault {
	var out []Fault
	for name := range m {
		out = append(out, of(name))
	}
	slices.SortFunc(out, func(a, b Fault) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// broken are the ways in which an address can fail as a whole.
func broken(types []string, what string) []Fault {
	return faults(types, Unavailable, what+": 500", what+": 429", what+": HTML", what+": endless", what+": slow", what+": hangs up", what+": other host")
}

// breaks answers for an address that fails, and tells whether it does.
func (p *Provider) breaks(w http.ResponseWriter, r *http.Request, what string) bool {
	p.mu.Lock()
	how, ok := strings.CutPrefix(p.fault, what+": ")
	p.mu.Unlock()
	if !ok {
		return false
	}
	switch how {
	case "500":
		http.Error(w, "<h1>Internal Server Error</h1>", http.StatusInternalServerError)
	case "429":
		answer(w, http.StatusTooManyRequests, map[string]string{"error": "slow_down"})
	case "400":
		refuse(w, "invalid_grant")
	case "error tells the code":
		refuse(w, r.PostFormValue("code"))
	case "401":
		answer(w, http.StatusUnauthorized, map[string]string{"message": "Bad credentials"})
	case "404":
		http.NotFound(w, r)
	case "error with 200":
		answer(w, http.StatusOK, map[string]string{"error": "bad_verification_code"})
	case "HTML":
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>Sign in to the wireless network</title>"))
	case "endless":
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write([]byte(`{"issuer":"`))
		for chunk := []byte(strings.Repeat("a", 1<<16)); err == nil; {
			_, err = w.Write(chunk)
		}
	case "slow":
		_, _ = io.Copy(io.Discard, r.Body) // the server sees a client leave only once it has read all
		select {
		case <-r.Context().Done():
		case <-p.closing:
		}
	case "hangs up":
		panic(http.ErrAbortHandler)
	case "other host":
		_, port, _ := strings.Cut(r.Host, ":")
		http.Redirect(w, r, "http://localhost:"+port+"/canary?"+url.QueryEscape(what), http.StatusTemporaryRedirect) //nolint:gosec // to the provider itself, by its other name
	default:
		return false
	}
	return true
}

// answerFaults change what the browser brings back.
var answerFaults = map[string]func(*Provider, url.Values){
	"answer: access token":      func(_ *Provider, v url.Values) { v.Set("access_token", "a") },
	"answer: id_token":          func(_ *Provider, v url.Values) { v.Set("id_token", "a.b.c") },
	"answer: token, no code":    func(_ *Provider, v url.Values) { v.Del("code"); v.Set("access_token", "a") },
	"answer: signed response":   func(_ *Provider, v url.Values) { v.Set("response", "a.b.c") },
	"answer: code absent":       func(_ *Provider, v url.Values) { v.Del("code") },
	"answer: code empty":        func(_ *Provider, v url.Values) { v.Set("code", "") },
	"answer: code twice":        func(_ *Provider, v url.Values) { v.Add("code", v.Get("code")) },
	"answer: code made up":      func(_ *Provider, v url.Values) { v.Set("code", "x") },
	"answer: state absent":      func(_ *Provider, v url.Values) { v.Del("state") },
	"answer: state empty":       func(_ *Provider, v url.Values) { v.Set("state", "") },
	"answer: state twice":       func(_ *Provider, v url.Values) { v.Add("state", v.Get("state")) },
	"answer: state altered":     func(_ *Provider, v url.Values) { v.Set("state", v.Get("state")+"A") },
	"answer: other twice":       func(_ *Provider, v url.Values) { v["session_state"] = []string{"1", "2"} },
	"answer: iss other":         func(_ *Provider, v url.Values) { v.Set("iss", "https://attacker.example") },
	"answer: iss with slash":    func(p *Provider, v url.Values) { v.Set("iss", p.server.URL+"/") },
	"answer: iss empty":         func(_ *Provider, v url.Values) { v.Set("iss", "") },
	"answer: iss twice":         func(_ *Provider, v url.Values) { v["iss"] = []string{v.Get("iss"), "https://attacker.example"} },
	"answer: iss absent":        func(_ *Provider, v url.Values) { v.Del("iss") },
	"answer: error":             answers("access_denied", "The person said no."),
	"answer: error unknown":     answers("<script>", "\x1b[31m<b>\r\nfaked log line"+strings.Repeat("x", 5000)),
	"answer: error server":      answers("server_error", ""),
	"answer: error temporarily": answers("temporarily_unavailable", ""),
}

func answers(code, description string) func(*Provider, url.Values) {
	return func(_ *Provider, v url.Values) {
		v.Del("code")
		v.Set("error", code)
		if description != "" {
			v.Set("error_description", description)
		}
	}
}

// discoveryFaults change the document.
var discoveryFaults = map[string]func(map[string]any){
	"discovery: issuer other":      func(d map[string]any) { d["issuer"] = "https://attacker.example/{tenantid}/v2.0" },
	"discovery: issuer with slash": func(d map[string]any) { d["issuer"] = d["issuer"].(string) + "/" },
	"discovery: issuer absent":     func(d map[string]any) { delete(d, "issuer") },
	"discovery: token in clear":    func(d map[string]any) { d["token_endpoint"] = "http://attacker.example/token" },
	"discovery: keys in clear":     func(d map[string]any) { d["jwks_uri"] = "http://attacker.example/jwks" },
	"discovery: no keys":           func(d map[string]any) { delete(d, "jwks_uri") },
	"discovery: no token endpoint": func(d map[string]any) { delete(d, "token_endpoint") },
	"discovery: userinfo in clear": func(d map[string]any) { d["userinfo_endpoint"] = "http://attacker.example/userinfo" },
	"discovery: userinfo a file":   func(d map[string]any) { d["userinfo_endpoint"] = "file:///etc/passwd" },
	"discovery: script":            func(d map[string]any) { d["authorization_endpoint"] = "javascript:alert(1)" },
	"discovery: plain PKCE only":   func(d map[string]any) { d["code_challenge_methods_supported"] = []string{"plain"} },
}

// githubFaults change what GitHub says of a user.
var githubFaults = map[string]func(map[string]any){
	"github: id absent":   func(u map[string]any) { delete(u, "id") },
	"github: id zero":     func(u map[string]any) { u["id"] = 0 },
	"github: id negative": func(u map[string]any) { u["id"] = -1 },
}

func set(name string, value any) func(*Provider, map[string]any) {
	return func(_ *Provider, c map[string]any) { c[name] = value }
}

func unset(name string) func(*Provider, map[string]any) {
	return func(_ *Provider, c map[string]any) { delete(c, name) }
}

func at(name string, d time.Duration) func(*Provider, map[string]any) {
	return func(p *Provider, c map[string]any) { c[name] = p.opts.Now().Add(d).Unix() }
}

// claimFaults change what a token says. The signature is right.
var claimFaults = map[string]func(*Provider, map[string]any){
	"iss: other":           set("iss", "https://attacker.example"),
	"iss: with slash":      func(_ *Provider, c map[string]any) { c["iss"] = c["iss"].(string) + "/" },
	"iss: other case":      func(_ *Provider, c map[string]any) { c["iss"] = strings.Replace(c["iss"].(string), "http", "HTTP", 1) },
	"iss: absent":          unset("iss"),
	"aud: other":           set("aud", "somebody-else"),
	"aud: longer":          func(p *Provider, c map[string]any) { c["aud"] = p.opts.ClientID + "2" },
	"aud: absent":          unset("aud"),
	"aud: none":            set("aud", []string{}),
	"azp: other":           set("azp", "somebody-else"),
	"azp: number":          set("azp", 1),
	"azp: absent of two":   func(p *Provider, c map[string]any) { c["aud"] = []string{p.opts.ClientID, "somebody-else"} },
	"azp: other of two":    func(p *Provider, c map[string]any) { c["aud"], c["azp"] = []string{p.opts.ClientID, "b"}, "b" },
	"nonce: absent":        unset("nonce"),
	"nonce: empty":         set("nonce", ""),
	"nonce: other":         set("nonce", strings.Repeat("A", 43)),
	"nonce: longer":        func(_ *Provider, c map[string]any) { c["nonce"] = c["nonce"].(string) + "A" },
	"exp: past":            at("exp", -time.Hour),
	"exp: absent":          unset("exp"),
	"iat: future":          at("iat", time.Hour),
	"iat: old":             at("iat", -24*time.Hour),
	"iat: absent":          unset("iat"),
	"nbf: future":          at("nbf", time.Hour),
	"sub: empty":           set("sub", ""),
	"sub: absent":          unset("sub"),
	"sub: number":          set("sub", 7),
	"sub: too long":        set("sub", strings.Repeat("s", 2000)),
	"sub: second spelling": set("Sub", "bob"),
	"iss: second spelling": set("ISS", "https://attacker.example"),
	"nonce: another case":  func(_ *Provider, c map[string]any) { c["Nonce"] = c["nonce"]; delete(c, "nonce") },
	"at_hash: other":       set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"),
	"auth_time: future":    at("auth_time", time.Hour),
	"auth_time: absurd":    set("auth_time", 1e300),
	"auth_time: negative":  set("auth_time", -1),
	"tenant: absent":       unset("tid"),
	"tenant: empty":        func(p *Provider, c map[string]any) { c["tid"], c["iss"] = "", p.server.URL+"//v2.0" },
	"tenant: other":        set("tid", "00000000-0000-0000-0000-000000000000"),
	"tenant: a path":       func(p *Provider, c map[string]any) { c["tid"] = "x/y"; c["iss"] = p.server.URL + "/x/y/v2.0" },
	"tenant: the template": func(p *Provider, c map[string]any) {
		c["tid"] = "{tenantid}"
		c["iss"] = p.server.URL + "/{tenantid}/v2.0"
	},
	"tenant: no object":       unset("oid"),
	`email_verified: "true"`:  set("email_verified", "true"),
	`email_verified: "True"`:  set("email_verified", "True"),
	`email_verified: "1"`:     set("email_verified", "1"),
	`email_verified: "yes"`:   set("email_verified", "yes"),
	`email_verified: 1`:       set("email_verified", 1),
	`email_verified: [true]`:  set("email_verified", []any{true}),
	`email_verified: {}`:      set("email_verified", map[string]any{"value": true}),
	`email_verified: null`:    set("email_verified", nil),
	`email_verified: false`:   set("email_verified", false),
	`email_verified: "false"`: set("email_verified", "false"),
	`email_verified: absent`:  unset("email_verified"),
	`email_verified: of none`: unset("email"),
	`email_verified: in capitals`: func(_ *Provider, c map[string]any) {
		c["email_verified"], c["EMAIL_VERIFIED"] = false, true
	},
}

// signFaults change how a token is signed. What it says is right.
var signFaults = map[string]func(*Provider, map[string]any) (string, error){
	"alg: none":             func(_ *Provider, c map[string]any) (string, error) { return unsigned("none", c) },
	"alg: None":             func(_ *Provider, c map[string]any) (string, error) { return unsigned("None", c) },
	"alg: empty":            func(_ *Provider, c map[string]any) (string, error) { return unsigned("", c) },
	"alg: HS256 public key": hmacOfPublicKey,
	"alg: HS256 secret": func(p *Provider, c map[string]any) (string, error) {
		secret := append([]byte(p.opts.ClientSecret), make([]byte, 32)...)
		return sign(jose.JSONWebKey{Key: secret, KeyID: p.keys[0].KeyID}, jose.HS256, c, nil)
	},
	"kid: of another key": func(p *Provider, c map[string]any) (string, error) {
		return p.signedByStranger(c, func(k *jose.JSONWebKey) { k.KeyID = p.keys[0].KeyID }, nil)
	},
	"kid: unknown": func(p *Provider, c map[string]any) (string, error) { return p.signedByStranger(c, nil, nil) },
	"kid: absent": func(p *Provider, c map[string]any) (string, error) {
		return p.signedByStranger(c, func(k *jose.JSONWebKey) { k.KeyID = "" }, nil)
	},
	"header: jwk": func(p *Provider, c map[string]any) (string, error) {
		stranger, err := newKey(p.opts.Algorithm)
		if err != nil {
			return "", err
		}
		return sign(stranger, p.opts.Algorithm, c, map[jose.HeaderKey]any{"jwk": stranger.Public()})
	},
	"header: jku": func(p *Provider, c map[string]any) (string, error) {
		return p.signedByStranger(c, nil, map[jose.HeaderKey]any{"jku": p.server.URL + "/canary?jku", "x5u": p.server.URL + "/canary?x5u"})
	},
	"signature: wrong": func(p *Provider, c map[string]any) (string, error) {
		token, err := sign(p.keys[0], p.opts.Algorithm, c, nil)
		if err != nil {
			return "", err
		}
		at := strings.LastIndexByte(token, '.') + 10
		other := byte('A')
		if token[at] == other {
			other = 'B'
		}
		return token[:at] + string(other) + token[at+1:], nil
	},
	"signature: of other claims": func(p *Provider, c map[string]any) (string, error) {
		right, err := sign(p.keys[0], p.opts.Algorithm, c, nil)
		if err != nil {
			return "", err
		}
		c["sub"] = "bob"
		other, err := sign(p.keys[0], p.opts.Algorithm, c, nil)
		if err != nil {
			return "", err
		}
		return other[:strings.LastIndexByte(other, '.')] + right[strings.LastIndexByte(right, '.'):], nil
	},
	"signature: absent": func(p *Provider, c map[string]any) (string, error) {
		token, err := sign(p.keys[0], p.opts.Algorithm, c, nil)
		return token[:strings.LastIndexByte(token, '.')+1], err
	},
	"signature: no token at all": func(*Provider, map[string]any) (string, error) { return "nonsense", nil },
}

func unsigned(alg string, c map[string]any) (string, error) {
	token, err := plain(map[string]any{"alg": alg, "typ": "JWT"}, c)
	return token + ".", err
}

func hmacOfPublicKey(p *Provider, c map[string]any) (string, error) {
	public, err := publicPEM(p.keys[0])
	if err != nil {
		return "", err
	}
	return sign(jose.JSONWebKey{Key: public, KeyID: p.keys[0].KeyID}, jose.HS256, c, nil)
}

func (p *Provider) signedByStranger(c map[string]any, change func(*jose.JSONWebKey), header map[jose.HeaderKey]any) (string, error) {
	stranger, err := newKey(p.opts.Algorithm)
	if err != nil {
		return "", err
	}
	if change != nil {
		change(&stranger)
	}
	return sign(stranger, p.opts.Algorithm, c, header)
}
