package policy

import (
	"bytes"
	"encoding/json"
	"slices"
)

// This file writes JSON Schemas (draft 2020-12) of the files that this package reads, for
// editors. A schema knows the shape of a file. It does not see what connects its places: names
// that are given twice or refer to nothing, rules that can never match, expressions.

// Where the schemas are published.
const (
	policySchemaID = "https://raw.githubusercontent.com/stepgate/stepgate/main/policy/policy.schema.json"
	casesSchemaID  = "https://raw.githubusercontent.com/stepgate/stepgate/main/policy/cases.schema.json"
)

// Schema is the JSON Schema of policy files.
func Schema() []byte {
	return write(append(head(policySchemaID, "Stepgate policy", "What each request to a gated site needs."),
		append(closed(topKeys, "version", "default"), member{"$defs", object{
			{"rule", ruleSchema()},
			{"floor", closed(floorKeys, "require")},
			{"default", append(closed(outcomeKeys), exactlyOne(outcomeKeys))},
			{"match", closed(matchKeys)},
			{"requirement", requirementSchema()},
			{"factor", factorSchema()},
		}})...))
}

// CasesSchema is the JSON Schema of files of cases (see LoadCases).
func CasesSchema() []byte {
	one := append(closed(caseKeys, "name", "request", "expect"), member{"dependentSchemas", object{
		{"remembered", object{{"anyOf", []any{needs("user"), needs("groups"), needs("factors")}}}},
	}})
	return write(append(head(casesSchemaID, "Stepgate policy cases", "Requests with what a policy must make of them."),
		append(closed(casesKeys, "cases"), member{"$defs", object{
			{"case", one},
			{"request", closed(caseRequestKeys, "url")},
			{"proven", object{{"anyOf", []any{see("factor"), closed(provenKeys, "factor")}}}},
			{"factor", factorSchema()},
		}})...))
}

func head(id, title, about string) object {
	return object{{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"$id", id}, {"title", title}, {"description", about}}
}

// ruleSchema is a rule. Headers cannot stand beside allow.
func ruleSchema() object {
	return append(closed(ruleKeys, "name"), exactlyOne(outcomeKeys),
		member{"dependentSchemas", object{{"allow", object{{"properties", object{{"match", object{{"properties", object{{"header", false}}}}}}}}}}})
}

func requirementSchema() object {
	oneOf := []any{}
	for _, b := range builtinAbout {
		oneOf = append(oneOf, object{{"const", b.name}, {"description", b.about}})
	}
	oneOf = append(oneOf, see("factor"),
		object{{"type", "string"}, {"minLength", 1}, {"maxLength", 100}, {"description", "A name under “requirements”."}},
		requirementMap())
	return object{{"description", "What must be proven."}, {"anyOf", oneOf}}
}

// requirementMap is a requirement that is a map.
func requirementMap() object {
	only := func(factors ...string) object {
		return object{{"required", []string{"factor"}}, {"properties", object{{"factor", object{{"enum", factors}}}}}}
	}
	return append(closed(requirementMapKeys), exactlyOne(requirementBodyKeys), member{"dependentSchemas", object{
		{"user_verification", only("webauthn", "passkey")},
		{"attachment", only("webauthn", "passkey")},
		{"aaguid", only("webauthn", "passkey")},
		{"provider", only("oauth")},
		{"recovery", only("totp")},
		{"remember_device", object{{"properties", object{{"once", false}, {"factor", false}, {"factors", object{{"minimum", 2}}}}}}},
	}})
}

// factorSchema is the name of a factor.
func factorSchema() object {
	oneOf := []any{}
	for _, name := range names {
		oneOf = append(oneOf, object{{"const", name}, {"description", factorAbout[name]}})
	}
	for _, chain := range chains {
		oneOf = append(oneOf, object{{"const", "crypto_wallet:" + chain}, {"description", "A wallet of this chain."}})
	}
	oneOf = append(oneOf, object{{"type", "string"}, {"pattern", "^oauth:[a-z0-9][a-z0-9_-]{0,62}$"}, {"description", "One identity provider, by the name that the configuration gives it."}, {"examples", []string{"oauth:google"}}})
	return object{{"description", "The name of a factor."}, {"anyOf", oneOf}}
}

// factorAbout says of each factor what it is.
var factorAbout = map[string]string{
	"passkey":       "A discoverable WebAuthn credential used with user verification. Resists phishing.",
	"webauthn":      "Any WebAuthn credential: a security key or a passkey. Resists phishing.",
	"totp":          "A code of an authenticator app. A recovery code may stand in for it.",
	"crypto_wallet": "A signature by a wallet.",
	"oauth":         "A sign-in at any identity provider.",
	"password":      "The password.",
	"sms_otp":       "A code by text message.",
	"whatsapp_otp":  "A code by WhatsApp.",
	"email_otp":     "A code by e-mail.",
	"magic_link":    "A link by e-mail.",
	"recovery_code": "A recovery code of the authenticator app.",
}

// builtinAbout says of each built-in what it asks for.
var builtinAbout = []struct{ name, about string }{
	{"signed_in", "Any valid session."},
	{"mfa", "Two factors that prove different things: {factors: 2}."},
	{"phishing_resistant", "Any WebAuthn factor."},
	{"aal2", "NIST SP 800-63B-4, AAL2: a user-verified WebAuthn factor, or a password together with totp, sms_otp or webauthn, each at most 24 hours old."},
	{"aal3", "NIST SP 800-63B-4, AAL3: a user-verified WebAuthn factor that cannot be backed up, or a password together with one, each at most 12 hours old."},
}

// object is a JSON object that keeps its order.
type object []member

type member struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, v := range []any{m.key, m.value} {
			if j == 1 {
				b.WriteByte(':')
			}
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			if err := e.Encode(v); err != nil {
				return nil, err
			}
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// write lays a schema out. It consists of texts, numbers, lists and objects, which all have a
// form in JSON.
func write(o object) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(o); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// scalarTypes are the types of values that the loader reads as a text.
var scalarTypes = []string{"string", "number", "boolean"}

func see(name string) object { return object{{"$ref", "#/$defs/" + name}} }

func list(items object) object {
	return object{{"type", "array"}, {"minItems", 1}, {"items", items}}
}

// oneOrMore is a text or a list of texts.
func oneOrMore(extra object, examples ...string) object {
	text := append(object{{"type", scalarTypes}, {"minLength", 1}}, extra...)
	if len(examples) > 0 {
		text = append(text, member{"examples", examples})
	}
	return object{{"anyOf", []any{text, list(text)}}}
}

// duration is a span of time as the loader reads it.
func duration(examples ...string) object {
	return object{{"type", "string"}, {"minLength", 1}, {"pattern", `^([0-9]{1,5}d)?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`}, {"examples", examples}}
}

// closed is a map with these keys and no other.
func closed(known keys, required ...string) object {
	out := object{{"type", "object"}, {"additionalProperties", false}}
	if len(required) > 0 {
		out = append(out, member{"required", required})
	}
	return append(out, member{"properties", known.properties()})
}

// exactlyOne asks for exactly one of the keys.
func exactlyOne(of keys) member {
	all := make([]any, len(of))
	for i, k := range of {
		all[i] = needs(k.name)
	}
	return member{"oneOf", all}
}

func needs(name string) object { return object{{"required", []string{name}}} }

// reserved is every name that no requirement can have: those of factors and built-ins.
func reserved() object {
	taken := slices.Clone(names)
	for _, b := range builtinAbout {
		taken = append(taken, b.name)
	}
	return object{{"anyOf", []any{object{{"enum", taken}}, object{{"pattern", ":"}}}}}
}
