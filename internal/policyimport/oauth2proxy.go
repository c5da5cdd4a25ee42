package policyimport

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// OAuth2Proxy makes a policy of oauth2-proxy's configuration file (TOML), as its documentation
// describes the options (configuration/overview). name is the file's name for messages; read
// reads the file of addresses that authenticated_emails_file names. The error is ErrInput for a
// file that is none.
func OAuth2Proxy(name string, data []byte, read func(path string) ([]byte, error)) (Result, error) {
	config, err := readProxy(name, data)
	if err != nil {
		return Result{}, err
	}
	p := &proxyImport{config: config}
	p.header = []string{"Made by “stepgate policy import oauth2-proxy” from " + name + "."}
	for _, step := range []func() error{p.preflight, p.trusted, p.routes, func() error { return p.people(read) }} {
		if err := step(); err != nil {
			return Result{}, err
		}
	}
	p.others()
	return p.finish()
}

type proxyImport struct {
	document
	config *proxyConfig
}

func (p *proxyImport) preflight() error {
	if p.config.is("skip_auth_preflight") {
		p.keep(&entry{name: "preflight", notes: []string{"skip_auth_preflight"}, level: open, match: []condition{{"method", []string{"OPTIONS"}}}})
	}
	return nil
}

func (p *proxyImport) trusted() error {
	list, err := p.config.texts("trusted_ips")
	if err != nil {
		return err
	}
	var nets []string
	for _, text := range list {
		n, ok := network(strings.TrimSpace(text))
		if !ok {
			p.fallback.differ("trusted_ips: %q is no network, and nobody is let in by it", text)
			continue
		}
		nets = append(nets, n)
	}
	if len(nets) > 0 {
		p.keep(&entry{name: "trusted addresses", notes: []string{"trusted_ips"}, level: open, match: []condition{{"client_ip", nets}}})
	}
	return nil
}

var (
	methodAndPath = regexp.MustCompile(`!?=`)
	methodName    = regexp.MustCompile(`^[A-Z]+$`)
)

// routes are the requests that pass without a sign-in: a pattern for the path, or a method with
// a pattern, or with “!=” a pattern that the path must not match.
func (p *proxyImport) routes() error {
	expressions, err := p.config.texts("skip_auth_regex")
	if err != nil {
		return err
	}
	for i, re := range expressions {
		p.route(fmt.Sprintf("open path %d", i+1), "skip_auth_regex "+re, "", re, false)
	}
	routes, err := p.config.texts("skip_auth_routes")
	if err != nil {
		return err
	}
	for i, route := range routes {
		method, path := "", route
		if parts := methodAndPath.Split(route, 2); len(parts) == 2 {
			method, path = strings.ToUpper(parts[0]), parts[1]
		}
		p.route(fmt.Sprintf("open route %d", i+1), "skip_auth_routes "+route, method, path, strings.Contains(route, "!="))
	}
	return nil
}

func (p *proxyImport) route(name, note, method, path string, negate bool) {
	e := &entry{name: name, notes: []string{note}, level: open}
	if why := usable(path); why != "" {
		e.differ("%q: %s", path, why)
		p.strict(e)
		return
	}
	switch {
	case method == "":
	case methodName.MatchString(method):
		e.match = append(e.match, condition{"method", []string{method}})
	default:
		p.fallback.notes = append(p.fallback.notes, fmt.Sprintf("left out, because no method is called %q: %s", method, note))
		return
	}
	expression := "request.path.matches(" + pattern(path) + ")"
	if simple, ok := openPath(path); ok && !negate {
		e.match = append(e.match, condition{"path", []string{simple}})
	} else if negate {
		e.when = []string{"!" + expression}
	} else {
		e.when = []string{expression}
	}
	p.keep(e)
}

// people says who may pass with a sign-in: an address of a domain or of the file, and a group
// where groups are named.
func (p *proxyImport) people(read func(string) ([]byte, error)) error {
	domains, err := p.config.texts("email_domains")
	if err != nil {
		return err
	}
	groups, err := p.config.texts("allowed_groups")
	if err != nil {
		return err
	}
	addresses, err := p.addresses(read)
	if err != nil {
		return err
	}
	base := entry{level: signedIn}
	if len(groups) > 0 {
		base.match = append(base.match, condition{"group", groups})
	}
	if err := p.memberships(&base); err != nil {
		return err
	}
	everybody, endings := mailDomains(domains)
	p.fallback.level = denied
	switch {
	case everybody && len(base.match)+len(base.when) == 0:
		p.fallback.level = signedIn
		p.fallback.notes = append(p.fallback.notes, `email_domains = ["*"]`)
		return nil
	case everybody:
		e := base
		e.name, e.notes = "members", []string{"allowed_groups and the like"}
		p.keep(&e)
		return nil
	case len(endings)+len(addresses) == 0:
		p.fallback.differ("no email_domains and no authenticated_emails_file: nobody may sign in")
		return nil
	}
	if len(addresses) > 0 {
		e := base
		e.name, e.notes = "people of the file", []string{"authenticated_emails_file"}
		e.match = append([]condition{{"user", addresses}}, base.match...)
		p.keep(&e)
	}
	for i, part := range chunks(endings) {
		e := base
		e.name, e.notes = fmt.Sprintf("people of the domains %d", i+1), []string{"email_domains"}
		e.when = append([]string{anyOf(part)}, base.when...)
		p.keep(&e)
	}
	return nil
}

// addresses are those of the file that the configuration names.
func (p *proxyImport) addresses(read func(string) ([]byte, error)) ([]string, error) {
	path, _ := p.config.values["authenticated_emails_file"].(string)
	if path == "" {
		return nil, nil
	}
	data, err := read(path)
	if err != nil {
		p.fallback.differ("authenticated_emails_file cannot be read, and nobody is let in by it: %v", err)
		return nil, nil
	}
	return emails(data)
}

// mailDomains are conditions for domains of addresses. A domain that begins with a dot, or with
// “*.”, stands for those below it.
func mailDomains(domains []string) (everybody bool, endings []string) {
	for _, d := range domains {
		d = strings.ToLower(d)
		below, deep := strings.CutPrefix(d, "*.")
		if !deep {
			below, deep = strings.CutPrefix(d, ".")
		}
		switch {
		case d == "*":
			everybody = true
		case deep:
			endings = append(endings, `user.email.lowerAscii().endsWith(`+quote("."+below)+")")
		default:
			endings = append(endings, `user.email.lowerAscii().endsWith(`+quote("@"+d)+")")
		}
	}
	return everybody, endings
}

// membership is the name of an option that lets in only members of something that the provider
// knows: github_org, google_groups, allowed_roles and so on, also those that this import has
// never heard of. Each becomes a group, which is empty until somebody fills it.
var membership = regexp.MustCompile(`allowed|_(groups?|tenants?|orgs?|teams?|repo|repository|roles?|users|projects?)$`)

// notMemberships are options that are called so and are read elsewhere, or do not say who gets in.
var notMemberships = []string{"allowed_groups", "htpasswd_user_groups"}

// anyTenant are the values of azure_tenant that name none.
var anyTenant = []string{"common", "organizations", "consumers"}

func (p *proxyImport) memberships(base *entry) error {
	for _, option := range slices.Sorted(maps.Keys(p.config.values)) {
		if !membership.MatchString(option) || slices.Contains(notMemberships, option) {
			continue
		}
		members, err := p.config.texts(option)
		if err != nil {
			return err
		}
		if len(members) == 0 || option == "azure_tenant" && slices.Contains(anyTenant, members[0]) {
			continue
		}
		base.when = append(base.when, "user.groups.exists(g, g in "+texts(members)+")")
		base.differ("%s: the provider's members are not known here; give people the group %s, or map it from a claim", option, strings.Join(members, " or "))
	}
	return nil
}

// others are options that change who gets in, or what they get, in ways that no policy has.
func (p *proxyImport) others() {
	for option, why := range map[string]string{
		"skip_jwt_bearer_tokens": "a bearer token is no session here: programs that send one are asked to sign in",
		"extra_jwt_issuers":      "a bearer token is no session here: programs that send one are asked to sign in",
		"htpasswd_file":          "people who sign in by htpasswd need an account here",
		"htpasswd_user_groups":   "people who sign in by htpasswd need their groups here",
	} {
		if p.config.is(option) {
			p.fallback.differ("%s: %s", option, why)
		}
	}
	if p.config.is("api_routes") {
		p.fallback.notes = append(p.fallback.notes, "api_routes: not needed; programs get an answer of their own, by what they say they are")
	}
	slices.Sort(p.fallback.differs)
}
