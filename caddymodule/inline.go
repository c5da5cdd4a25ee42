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

	"github.com/stepgate/stepgate/policy"
)

// InlineRule is a policy of one rule that stands in the configuration itself. Requests that
// it does not match pass to what comes behind the gate.
type InlineRule struct {
	// Path that the rule is for, in the form of the policy file: /a or /a/*.
	// Default: every path.
	Path string `json:"path,omitempty"`
	// Require names requirements, factors or built-ins. All of them are needed.
	// Default: none.
	Require []string `json:"require,omitempty"`
	// Within is how fresh each factor must be.
	// Default: as long as the session lasts.
	Within caddy.Duration `json:"within,omitempty"`
	// Deny refuses every request.
	// Default: false.
	Deny bool `json:"deny,omitempty"`
}

// policy loads the rule, by way of the policy file's own grammar. The error says what is wrong
// without the place in a text that nobody wrote.
func (i *InlineRule) policy() (*policy.Policy, error) {
	type object = map[string]any
	outcome := object{"deny": true}
	switch {
	case i.Deny == (len(i.Require) > 0):
		return nil, errors.New("a rule either requires something or denies")
	case !i.Deny:
		need := object{"all_of": i.Require}
		if i.Within != 0 {
			need["max_age"] = time.Duration(i.Within).String()
		}
		outcome = object{"require": need}
	case i.Within != 0:
		return nil, errors.New("“within” belongs to a requirement")
	}
	file := object{"version": 1, "default": outcome}
	if i.Path != "" {
		rule := object{"name": "inline", "match": object{"path": i.Path}}
		for key, value := range outcome {
			rule[key] = value
		}
		file["rules"] = []object{rule}
		file["default"] = object{"allow": true}
	}
	text, err := json.Marshal(file)
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

// unmarshal reads what follows “require” or “deny”. Syntax:
//
//	require <name>... [within <duration>]
//	deny
func (i *InlineRule) unmarshal(d *caddyfile.Dispenser) error {
	args := []string{}
	switch d.Val() {
	case "deny":
		i.Deny = true
		if d.NextArg() {
			return d.ArgErr()
		}
	default:
		args = d.RemainingArgs()
	}
	if at := slices.Index(args, "within"); at >= 0 {
		if len(args) != at+2 {
			return d.Err("“within” is followed by one duration, such as 10m, at the end of the line")
		}
		span, err := caddy.ParseDuration(args[at+1])
		if err != nil || span < time.Second {
			return d.Errf("%q is no duration of a second or more; write one like 10m", args[at+1])
		}
		i.Within, args = caddy.Duration(span), args[:at]
	}
	i.Require = args
	if _, err := i.policy(); err != nil {
		return d.Err(err.Error())
	}
	return nil
}
