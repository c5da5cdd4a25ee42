package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/stepgate/stepgate/policy"
)

// InlineRule is a policy of one rule that stands in the configuration itself. It is read by
// way of the policy file's own grammar. Requests that it does not match pass to what comes
// behind the gate.
//
// What a rule requires or denies always holds, on top of all other gates of the route. What it
// allows, the gates behind it that have a policy file no longer judge; only the floors
// (“minimum”) of the file are held against it.
type InlineRule struct {
	// Path that the rule is for, in the form of the policy file: /a or /a/*. Rules that allow
	// compare it exactly, the others in every spelling.
	// Default: every path.
	Path string `json:"path,omitempty"`
	// Require names factors, built-ins, or requirements of the app's policy file, whose later
	// changes apply here too. All of them are needed.
	// Default: none.
	Require []string `json:"require,omitempty"`
	// Within is how fresh each factor must be.
	// Default: as long as the session lasts.
	Within caddy.Duration `json:"within,omitempty"`
	// Allow lets every request pass, without a sign-in.
	// Default: false.
	Allow bool `json:"allow,omitempty"`
	// Deny refuses every request.
	// Default: false.
	Deny bool `json:"deny,omitempty"`
}

// name is what decisions call the rule.
func (i *InlineRule) name() string {
	if i.Path == "" {
		return "inline"
	}
	return "inline " + i.Path
}

// matcher takes at least what the rule is for.
func (i *InlineRule) matcher() caddyhttp.MatchPath {
	if base, below := strings.CutSuffix(i.Path, "/*"); below && base != "" {
		return caddyhttp.MatchPath{base, i.Path}
	}
	return caddyhttp.MatchPath{i.Path}
}

// policy compiles the rule. base gives the named requirements a meaning; it may be nil. The
// error says what is wrong without the place in a text that nobody wrote.
func (i *InlineRule) policy(base *policy.Policy) (*policy.Policy, error) {
	type object = map[string]any
	rule := object{"name": i.name()}
	if i.Path != "" {
		rule["match"] = object{"path": i.Path}
	}
	switch {
	case count(i.Allow, i.Deny, len(i.Require) > 0) != 1:
		return nil, errors.New("a rule does one of three: it requires something, allows or denies")
	case len(i.Require) == 0 && i.Within != 0:
		return nil, errors.New("“within” belongs to a requirement")
	case i.Allow:
		rule["allow"] = true
	case i.Deny:
		rule["deny"] = true
	default:
		needs := make([]any, len(i.Require))
		for at, name := range i.Require {
			if needs[at] = name; base != nil && base.Requirement(name) != nil {
				needs[at] = base.Requirement(name)
			}
		}
		need := object{"all_of": needs}
		if i.Within != 0 {
			need["max_age"] = time.Duration(i.Within).String()
		}
		rule["require"] = need
	}
	// What the rule is not for passes: the gates behind it judge it.
	text, err := json.Marshal(object{"version": 1, "rules": []object{rule}, "default": object{"allow": true}})
	if err != nil {
		return nil, fmt.Errorf("inline rule: %w", err)
	}
	p, err := policy.Load("inline rule", text)
	var bad *policy.LoadError
	if errors.As(err, &bad) {
		var messages []string
		for _, problem := range bad.Problems {
			messages = append(messages, problem.Message)
		}
		return nil, errors.New(strings.Join(slices.Compact(messages), "; "))
	}
	return p, err
}

// check finds what is wrong with the rule whatever the policy file holds: names that only that
// file can explain stand for something.
func (i *InlineRule) check() error {
	probe := *i
	probe.Require = slices.Clone(i.Require)
	var none policy.Policy
	for at, name := range probe.Require {
		if name != "" && none.Requirement(name) == nil && !strings.ContainsAny(name, ":/{}\"") {
			probe.Require[at] = "mfa"
		}
	}
	_, err := probe.policy(nil)
	return err
}

func count(conditions ...bool) int {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// unmarshal reads what follows “require”, “allow” or “deny”. Syntax:
//
//	require <name>... [within <duration>]
//	allow
//	deny
func (i *InlineRule) unmarshal(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "allow", "deny":
		i.Allow, i.Deny = d.Val() == "allow", d.Val() == "deny"
		if d.NextArg() {
			return d.ArgErr()
		}
		return nil
	}
	args := d.RemainingArgs()
	if at := slices.Index(args, "within"); at >= 0 {
		if len(args) != at+2 {
			return d.Err("“within” is followed by one duration, such as 10m, at the end of the line")
		}
		span, err := freshness(args[at+1])
		if err != nil {
			return d.Err(err.Error())
		}
		i.Within, args = span, args[:at]
	}
	i.Require = args
	if err := i.check(); err != nil {
		return d.Err(err.Error())
	}
	return nil
}

// freshness reads how old a factor may be.
func freshness(text string) (caddy.Duration, error) {
	span, err := caddy.ParseDuration(text)
	if err != nil || span < time.Second {
		return 0, fmt.Errorf("%q is no duration of a second or more; write one like 10m", text)
	}
	return caddy.Duration(span), nil
}
