package policy

// The keys of a file of cases.
var casesKeys = keys{
	{"now", "The time of all cases that give none of their own. Default: the time of the test.", instant},
	{"cases", "Requests with what is expected of them.", list(see("case"))},
}

var instant = object{{"type", "string"}, {"format", "date-time"}, {"examples", []string{"2026-03-14T12:00:00Z"}}}

var caseKeys = keys{
	{"name", "What the case shows. Each name stands once.", object{{"type", scalarTypes}, {"minLength", 1}}},
	{"request", "The request that is made.", see("request")},
	{"user", "The e-mail address or id of who asks. Without user, groups and factors nobody is signed in.", object{{"type", scalarTypes}, {"minLength", 1}}},
	{"groups", "The groups of who asks.", oneOrMore(nil, "staff")},
	{"factors", "What who asks has proven, and how long ago.", object{{"type", "array"}, {"items", see("proven")}}},
	{"remembered", "How long ago the device was remembered. Default: it is not.", age("1d")},
	{"now", "The time of the request.", instant},
	{"expect", "What must happen. “refused” is a request that programs read in different ways: no rule is asked.", object{{"enum", outcomes}}},
	{"rule", "The rule that must decide. Default: any.", object{{"type", scalarTypes}, {"minLength", 1}}},
	{"floor", "The floor that must be missing something. Default: any.", object{{"type", scalarTypes}, {"minLength", 1}}},
	{"missing", "The alternative sets of factors that must be missing, in any order. Default: any.", object{
		{"type", "array"}, {"items", oneOrMore(nil)}, {"examples", []any{[][]string{{"passkey"}, {"webauthn"}}}},
	}},
}

var caseRequestKeys = keys{
	{"method", "The method. Default: GET.", object{{"type", scalarTypes}, {"minLength", 1}, {"examples", []string{"POST"}}}},
	{"url", "The absolute URL.", object{{"type", "string"}, {"minLength", 1}, {"examples", []string{"https://erp.example.com/admin/users?format=csv"}}}},
	{"client_ip", "The client's address. Default: unknown.", object{{"type", "string"}, {"minLength", 1}, {"examples", []string{"203.0.113.7"}}}},
	{"headers", "The headers, by their names.", object{{"type", "object"}, {"additionalProperties", oneOrMore(nil)}}},
}

// provenKeys describe a factor that was proven.
var provenKeys = keys{
	{"factor", "The factor that was proven.", see("factor")},
	{"age", "How long ago. Default: 0s.", age("10m")},
	{"once", "The one rule or floor that the proof was made for. Default: an ordinary proof.", object{{"type", scalarTypes}, {"minLength", 1}}},
	{"user_verification", "The authenticator verified its user.", object{{"enum", []string{"required"}}}},
	{"attachment", "Built into the machine (platform), or a key of its own (cross-platform).", object{{"enum", attachments}}},
	{"aaguid", "The model of the authenticator.", object{{"type", "string"}, {"pattern", uuidText.String()}}},
	{"provider", "The name of the identity provider.", object{{"type", "string"}, {"pattern", variantName.String()}}},
}

// age is a span of time that may be none.
func age(examples ...string) object {
	return object{{"anyOf", []any{duration(examples...), object{{"const", 0}}}}}
}
