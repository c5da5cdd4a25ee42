package policy

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

func mustCompile(t testing.TB, text string) *condition {
	t.Helper()
	c, wrong := compile(text)
	if len(wrong) > 0 {
		t.Fatalf("%s: %v", text, wrong)
	}
	return c
}

// An expression says yes, no, that it depends on who asks, or that it failed.
func TestConditions(t *testing.T) {
	r := ask(t, "POST https://a.test/Export/x?k=v&k=w&empty from 10.1.2.3 header X-Beta=on header User-Agent=Bot")
	s := who(t, "boss@example.com staff claim level=high with password@2h,passkey@1m,oauth:google,crypto_wallet:solana")
	s.Factors[0].Details = &Details{Sequence: "PRIMARY", CreatedAt: noon.Add(-48 * time.Hour), UpdatedAt: noon}
	s.Factors[2].Details = &Details{Address: "subject", EmailID: "email-1"}
	s.Factors = append(s.Factors, Factor{Name: "totp", ID: "t", At: noon, ForRule: "transfer"})
	for text, want := range map[string]string{
		// the request
		"request.host == 'a.test' && request.method == 'POST' && request.path == '/Export/x'":                                        "yes yes",
		"request.query.k == ['v', 'w'] && 'empty' in request.query && request.query.empty == ['']":                                   "yes yes",
		"has(request.query.k) && !has(request.query.nothing)":                                                                        "yes yes",
		"request.query.nothing[0] == 'x'":                                                                                            "failed failed",
		"request.query.exists(k, k == 'empty')":                                                                                      "yes yes",
		"request.headers['x-beta'][0] == 'on' && 'user-agent' in request.headers":                                                    "yes yes",
		"'X-Beta' in request.headers":                                                                                                "no no",
		"request.headers.exists(h, h == 'x-beta') && size(request.headers) == 2":                                                     "yes yes",
		"request.headers == {'x-beta': ['on'], 'user-agent': ['Bot']}":                                                               "yes yes",
		"{'x-beta': ['on'], 'user-agent': ['Bot']} == request.headers":                                                               "yes yes",
		"request.client_ip == '10.1.2.3' && inNet(request.client_ip, '10.0.0.0/8')":                                                  "yes yes",
		"request.path.lowerAscii().split('/')[1] == 'export'":                                                                        "yes yes",
		"now == timestamp('2026-03-14T12:00:00Z') && now.getHours('Europe/Berlin') == 13":                                            "yes yes",
		"now.getHours() == 12 && now.getDate('-11:30') == 14 && now.getMinutes('05:45') == 45":                                       "yes yes",
		"now.getDayOfWeek() == 6 && now.getFullYear('UTC') == 2026 && now.getMonth('UTC') == 2":                                      "yes yes",
		"now.getDayOfMonth('UTC') == 13 && now.getDayOfYear('UTC') == 72 && now.getSeconds('UTC') + now.getMilliseconds('UTC') == 0": "yes yes",
		// the visitor
		"user.id == 'boss@example.com' && user.email == user.id && user.name == ''": "yes depends",
		"'staff' in user.groups":                      "yes depends",
		"claims.level == 'high'":                      "yes depends",
		"user.custom_claims.level == 'low'":           "no depends",
		"claims.nothing == 'x'":                       "failed depends",
		"has(claims.nothing)":                         "no depends",
		"now - session.started_at == duration('10m')": "yes depends",
		"session.authentication_factors.size() == 4":  "yes depends", // not the one for a rule
		"session.authentication_factors[0].product == 'password' && session.authentication_factors[0].type == 'password' && session.authentication_factors[0].delivery_method == 'knowledge'": "yes depends",
		"session.authentication_factors[0].sequence_order == 'PRIMARY' && now - session.authentication_factors[0].created_at == duration('48h')":                                              "yes depends",
		"session.authentication_factors.exists_one(f, has(f.webauthn_factor) && f.webauthn_factor.user_verified && f.webauthn_factor.discoverable)":                                           "yes depends",
		"session.authentication_factors.exists(f, has(f.google_oauth_factor) && f.google_oauth_factor.provider_subject == 'subject' && f.google_oauth_factor.email_id == 'email-1')":          "yes depends",
		"session.authentication_factors.exists(f, has(f.oidc_oauth_factor))":                                                                                                                  "no depends",
		"session.authentication_factors.exists(f, f.crypto_wallet_factor.crypto_wallet_type == 'solana' && f.delivery_method == 'crypto_wallet')":                                             "yes depends",
		"session.authentication_factors.all(f, f.email_factor.email_address == '')":                                                                                                           "yes depends",
		"session.authentication_factors.exists(f, now - f.last_authenticated_at > duration('1h') && f.updated_at == now)":                                                                     "yes depends",
		"session.authentication_factors[0] == session.authentication_factors[1]":                                                                                                              "no depends",
		// both: the request half decides where it can
		"request.method == 'GET' && user.id == 'boss@example.com'":         "no no",
		"user.id == 'boss@example.com' && request.method == 'GET'":         "no no",
		"request.method == 'POST' && user.id == 'boss@example.com'":        "yes depends",
		"request.method == 'POST' || user.id == 'x'":                       "yes yes",
		"request.query.nothing[0] == 'x' && user.id == 'x'":                "no depends",
		"request.query.nothing[0] == 'x' && user.id == 'boss@example.com'": "failed depends",
		"['a', 'b'].exists(x, x == user.id) || request.method == 'GET'":    "no depends",
		"request.method == 'GET' ? true : user.id == 'x'":                  "no depends",
		"request.method == 'GET' ? user.id == 'x' : false":                 "no no",
	} {
		c := mustCompile(t, text)
		var got []string
		for _, s := range []*Subject{s, nil} {
			h, err := c.eval(&question{r: *r, s: s, now: noon})
			word := map[held]string{no: "no", yes: "yes", nameless: "depends"}[h]
			if err != nil {
				word = "failed"
			}
			got = append(got, word)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, expected %s", text, strings.Join(got, " "), want)
		}
	}
}

// What a client sends beyond the bounds of a condition makes it fail; nothing is computed.
func TestConditionsAreBounded(t *testing.T) {
	long := strings.Repeat("a", maxText+1)
	many := map[string][]string{}
	for i := range maxEntries + 1 {
		many[headerName("x-"+strings.Repeat("a", i+1))] = []string{""}
	}
	for name, c := range map[string]struct {
		text string
		r    Request
	}{
		"path":          {"request.path == ''", Request{Path: long}},
		"raw query":     {"request.raw_query == ''", Request{RawQuery: long}},
		"host":          {"request.host == ''", Request{Host: long}},
		"header":        {"'x' in request.headers", Request{Header: map[string][]string{"Cookie": {long}}}},
		"headers":       {"'x' in request.headers", Request{Header: many}},
		"header lines":  {"'x' in request.headers", Request{Header: map[string][]string{"X": make([]string, maxEntries+1)}}},
		"query":         {"'x' in request.query", Request{RawQuery: strings.Repeat("a&", maxEntries+1)}},
		"query value":   {"'x' in request.query", Request{RawQuery: "a=" + long}},
		"broken query":  {"'x' in request.query", Request{RawQuery: "a=%"}},
		"address":       {"request.client_ip == ''", Request{}},
		"costly claims": {"claims.a.all(x, x == 0)", Request{}},
	} {
		s := &Subject{CustomClaims: map[string]any{"a": make([]int, 50_000)}}
		if h, err := mustCompile(t, c.text).eval(&question{r: c.r, s: s, now: noon}); err == nil {
			t.Errorf("%s: %v", name, h)
		}
	}
}

// One expression in many rules is one program, and no memory is taken without any.
func TestConditionsAreShared(t *testing.T) {
	p := load(t, "version: 1\nrules:\n  - {name: a, match: {path: /a}, when: user.id == 'x', deny: true}\n  - {name: b, match: {path: /b}, when: user.id == 'x', deny: true}\ndefault: {deny: true}\n")
	if p.rules[0].match.when != p.rules[1].match.when {
		t.Error("compiled twice")
	}
	r := ask(t, "GET https://a.test/c")
	if n := testing.AllocsPerRun(100, func() { _ = p.Decide(r, nil, noon) }); n != 0 {
		t.Errorf("%v allocations for a rule without a condition", n)
	}
}

func FuzzWhen(f *testing.F) {
	for _, c := range chapters(f) {
		p := load(f, c.Policy)
		for _, text := range whens(p) {
			f.Add(text)
		}
	}
	for _, text := range []string{
		"", "true", "((((((((((", "[[[[[[[[", "-------1", "!!!!true", "a.b.c.d.e", "'\\u0000' in request.query", "request.path.replace('', 'aaaa')",
		"'%s'.format([request.path])", "[1,2,3].map(x, [1,2,3].map(y, x * y)) == []", "request.headers.map(h, h).join('') == ''", "b'\\377' == b''", "9223372036854775807 + 1 == 0",
		"now + duration('999999h') > now", "dyn(1) == dyn('a')", "type(1) == int", "request.path.split('').map(c, request.path).join('') == ''",
	} {
		f.Add(text)
	}
	r := ask(f, "POST https://a.test/Export/x?k=v&k=w from 10.1.2.3 header X-Beta=on")
	s := who(f, "u staff claim level=high with password,passkey")
	f.Fuzz(func(t *testing.T, text string) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		c, wrong := compile(text)
		if (c == nil) == (len(wrong) == 0) {
			t.Fatalf("%v, and wrong is %v", c, wrong)
		}
		for _, w := range wrong {
			if w.offset < 0 || w.message == "" {
				t.Fatalf("%+v", w)
			}
		}
		if c != nil {
			for _, s := range []*Subject{s, nil} {
				q := question{r: *r, s: s, now: noon}
				h, err := c.eval(&q)
				if s != nil && err == nil && h == nameless || !c.identity && err == nil && h == nameless {
					t.Fatal("depends on nobody")
				}
			}
			if len(c.parts()) == 0 {
				t.Fatal("no parts")
			}
		}
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if took > time.Second || after.TotalAlloc-before.TotalAlloc > 100<<20 {
			t.Fatalf("took %s and %d MiB", took, (after.TotalAlloc-before.TotalAlloc)>>20)
		}
	})
}

func BenchmarkWhen(b *testing.B) {
	p := load(b, `
version: 1
rules:
  - {name: a, match: {path: /finance/*}, when: "'contractors' in user.groups && now.getHours('Europe/Berlin') >= 20", deny: true}
default: {require: signed_in}
`)
	r, s := ask(b, "GET https://a.test/finance/x"), who(b, "u staff contractors with password,totp")
	for name, s := range map[string]*Subject{"signed in": s, "nobody": nil} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := p.Decide(r, s, noon); d.Rule() != "default" {
					b.Fatal(d.Rule())
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		mustCompile(b, "'contractors' in user.groups && now.getHours('Europe/Berlin') >= 20")
	}
}
