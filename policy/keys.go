package policy

import "slices"

// key is one key of a map in a file: what the loader takes, and what the schema of editors says
// about it.
type key struct {
	name string
	// about is what an editor shows beside the key.
	about string
	// value is the schema of what stands behind the key.
	value object
}

// keys are those of one kind of map. The loader and the schema read the same tables, so that
// neither knows a key that the other does not.
type keys []key

func (ks keys) names() []string {
	out := make([]string, len(ks))
	for i, k := range ks {
		out[i] = k.name
	}
	return out
}

func (ks keys) has(name string) bool {
	return slices.ContainsFunc(ks, func(k key) bool { return k.name == name })
}

// properties is the part of a schema that describes the keys.
func (ks keys) properties() object {
	out := make(object, len(ks))
	for i, k := range ks {
		out[i] = member{k.name, append(object{{"description", k.about}}, k.value...)}
	}
	return out
}

// The keys of a policy file.
var topKeys = keys{
	{"version", "The version of the grammar. It is 1.", object{{"const", 1}}},
	{"requirements", "Requirements with a name, which rules refer to. A name has letters, digits, “_”, “-” and spaces, and is none of a factor or a built-in.", object{
		{"type", "object"}, {"minProperties", 1},
		{"propertyNames", object{{"pattern", `^[^\x00-\x20:"\x7f]([^\x00-\x1f:"\x7f]*[^\x00-\x20:"\x7f])?$`}, {"maxLength", 100}, {"not", reserved()}}},
		{"additionalProperties", see("requirement")},
		{"examples", []any{object{{"sudo", object{{"all_of", []string{"password", "totp"}}, {"max_age", "10m"}}}}}},
	}},
	{"rules", "Read from the top: the first rule whose conditions all hold decides. A rule that an earlier one leaves no request is a mistake.", list(see("rule"))},
	{"minimum", "Floors: what must be met on top of whatever rule or default decided, “allow” included. A “deny” stays a deny.", list(see("floor"))},
	{"default", "What happens when no rule matched. It reports itself as rule “default”.", see("default")},
}

var outcomeKeys = keys{
	{"allow", "Everybody may pass, without a sign-in. Path and client_ip are then compared exactly.", object{{"const", true}}},
	{"deny", "Nobody may pass, whatever they prove.", object{{"const", true}}},
	{"require", "What must be proven: a factor, a built-in, a name under “requirements”, or a map. Whoever lacks something is asked for it.", see("requirement")},
}

var conditionKeys = keys{
	{"match", "The requests that this is for. Every key that is given must hold; within a list, one value is enough. Without it: every request.", see("match")},
	{"when", "A condition beside “match”, as a CEL expression over request, user, session, claims and now. An error while it is evaluated counts as a match for “require” and “deny”, and as none for “allow”.", object{
		{"type", []string{"string", "boolean"}}, {"minLength", 1}, {"maxLength", maxExpression},
		{"examples", []string{"'contractors' in user.groups && now.getHours('Europe/Berlin') >= 20", "!inNet(request.client_ip, ['10.0.0.0/8'])"}},
	}},
	{"report_only", "It is evaluated, logged and counted, and not applied. Good for trying out a stricter rule.", object{{"type", "boolean"}}},
}

var ruleKeys = slices.Concat(keys{
	{"name", "The name of the rule in logs, answers and explanations. Each stands once.", ruleName},
}, conditionKeys, outcomeKeys)

var floorKeys = slices.Concat(keys{
	{"name", "The name of the floor in logs, answers and explanations. Without one it is called “minimum 1” and so on.", ruleName},
}, conditionKeys, keys{
	{"require", "What must be met on top of what was decided.", see("requirement")},
})

var ruleName = object{{"type", scalarTypes}, {"minLength", 1}, {"maxLength", 200}, {"not", object{{"const", "default"}}}}

var matchKeys = keys{
	{"host", "A host, or “*.example.com” for all hosts below it at any depth, itself not included. Letter case and port do not count.", oneOrMore(object{{"pattern", `^(\*\.)?[^*/?#\s]+$`}}, "erp.example.com", "*.example.com")},
	{"path", "A path, or “/a/*” for /a and everything below it. Decoded, and in any letter case; with “allow” the letter case counts.", oneOrMore(object{
		{"pattern", `^/([^*%?#;\\]*[^*%?#;\\/])?(/\*)?$|^/\*$`},
		{"not", object{{"pattern", `^/\.[sS][tT][eE][pP][gG][aA][tT][eE](/|$)`}, {"description", "The gateway's own pages."}}},
	}, "/admin/*", "/export")},
	{"path_regexp", "A regular expression (RE2) for the whole decoded path: it is anchored at both ends. In any letter case; with “allow” the letter case counts.", oneOrMore(object{{"maxLength", maxPattern}}, `/reports/\d{4}`)},
	{"method", "A method as it is sent. HEAD is another method than GET.", oneOrMore(object{{"pattern", "^[^a-z \t\r\n]+$"}}, "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")},
	{"query", "Query keys with the values that match, decoded; “true” means that the key is there. A request that repeats a key which a rule reads is refused.", object{
		{"type", "object"}, {"minProperties", 1}, {"additionalProperties", oneOrMore(nil)},
		{"examples", []any{object{{"format", []string{"csv", "xlsx"}}}, object{{"download", true}}}},
	}},
	{"header", "Header names with the values that match: the whole value of any line. Not beside “allow”, because clients choose their headers.", object{
		{"type", "object"}, {"minProperties", 1}, {"propertyNames", object{{"pattern", "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"}}}, {"additionalProperties", oneOrMore(nil)},
		{"examples", []any{object{{"X-Beta", "on"}}}},
	}},
	{"client_ip", "An address, or a network in CIDR form. An unknown address counts as a match for “require” and “deny”.", oneOrMore(object{{"pattern", `^([0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(/[0-9]{1,3})?)$`}}, "10.0.0.0/8", "2001:db8::/32", "203.0.113.7")},
	{"user", "An e-mail address, in any letter case, or a user id. A visitor who is not signed in is asked to sign in first.", oneOrMore(nil, "alice@example.com")},
	{"group", "A group of the user, exactly. A visitor who is not signed in is asked to sign in first.", oneOrMore(nil, "staff")},
}

// requirementBodyKeys are those of which a requirement has exactly one.
var requirementBodyKeys = keys{
	{"factor", "One factor.", see("factor")},
	{"all_of", "All of these are needed.", list(see("requirement"))},
	{"any_of", "One of these is enough.", list(see("requirement"))},
	{"factors", "So many factors that each two of them are a secure combination: they prove different things. A password and a code to the mailbox that resets it do not.", object{{"type", "integer"}, {"minimum", 1}, {"maximum", 4}}},
}

var requirementKeys = slices.Concat(requirementBodyKeys, keys{
	{"max_age", "How old each proof below may be, counted from when that factor was last proven. Of nested ages the smaller holds.", duration("5m", "12h")},
	{"once", "Only a proof made for this rule counts, and it serves one request.", object{{"const", true}}},
	{"remember_device", "How long a remembered device may stand in for the second of several factors: 1h to 90d. A device is remembered when the person asks for it after a complete proof.", duration("30d")},
})

var factorKeys = keys{
	{"user_verification", "The authenticator must have verified its user, by PIN or biometrics. For webauthn and passkey.", object{{"enum", []string{"required"}}}},
	{"attachment", "Built into the machine (platform), or a key of its own (cross-platform). For webauthn and passkey.", object{{"enum", attachments}}},
	{"aaguid", "The models of authenticators that count, by their AAGUID. For webauthn and passkey.", oneOrMore(object{{"pattern", uuidText.String()}}, "2fc0579f-8113-47ea-b116-bb5a8db9202a")},
	{"provider", "The name of the provider, as the configuration gives it. For oauth.", object{{"type", "string"}, {"pattern", variantName.String()}, {"examples", []string{"google"}}}},
	{"recovery", "Whether a recovery code may stand in for the authenticator app. For totp; true when it is not given.", object{{"type", "boolean"}}},
}

// requirementMapKeys are all keys of a requirement that is a map.
var requirementMapKeys = slices.Concat(requirementKeys, factorKeys)

var attachments = []string{"platform", "cross-platform"}
