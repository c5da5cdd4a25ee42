package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/policy"
)

// maxPolicyBody bounds a policy file that is sent to the server.
const maxPolicyBody = 8 << 20

// policyIn is the body of a call about a policy file.
type policyIn struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// readiness answers who could meet a policy. Nothing is changed; the method is POST because of
// the body.
func (p *people) readiness(r *http.Request) (any, error) {
	var in policyIn
	d := json.NewDecoder(io.LimitReader(r.Body, maxPolicyBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, &flow.Error{Type: "invalid_request", Status: http.StatusBadRequest, Detail: "the body is not valid: " + err.Error()}
	}
	loaded, err := policy.Load(in.Name, []byte(in.Text))
	if err != nil {
		return nil, &flow.Error{Type: "invalid_policy", Status: http.StatusBadRequest, Detail: err.Error()}
	}
	return p.admin.Readiness(r.Context(), loaded)
}

func policyReadiness() *cobra.Command {
	m := new(remote)
	c := &cobra.Command{
		Use: "readiness FILE", Short: "Tells which users could not meet a policy with what they have enrolled, and what would help", Args: cobra.ExactArgs(1),
		Long: "Asks the running server, or with --config the store when no server runs. Nothing is changed.\nExits with 0 when everybody could meet every rule, 1 when somebody could not, 2 when the policy cannot be read or nobody can be asked.",
		RunE: run(func(c *cobra.Command, args []string) error {
			unusable := func(err error) error { return &exitError{status: exitUnusable, text: err.Error()} }
			if _, err := readPolicy(args[0]); err != nil {
				return unusable(err)
			}
			text, err := os.ReadFile(args[0])
			if err != nil {
				return unusable(err)
			}
			var found flow.Readiness
			if err := m.call(http.MethodPost, "policy/readiness", policyIn{Name: args[0], Text: string(text)}, &found); err != nil {
				return unusable(err)
			}
			err = m.print(c, found, func(w io.Writer) error { return readinessText(w, &found) })
			if err == nil && !found.Ready() {
				err = &exitError{status: exitFindings}
			}
			return err
		}),
	}
	m.flags(c)
	return c
}

// readinessText lists first what somebody cannot meet.
func readinessText(w io.Writer, found *flow.Readiness) error {
	var b strings.Builder
	fine := 0
	for _, r := range found.Rules {
		if r.Unready == 0 {
			fine++
			continue
		}
		fmt.Fprintf(&b, "%s: %d of %s cannot meet %s\n", demandText(&r), r.Unready, plural(r.Ready+r.Unready, "user"), r.Required)
		for _, u := range r.Lacking {
			fmt.Fprintf(&b, "    %s\n", lackingText(&u))
		}
		if more := r.Unready - len(r.Lacking); more > 0 {
			fmt.Fprintf(&b, "    and %d more\n", more)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%s, %d of them locked; %d of %s can be met by everybody whom they concern\n",
		plural(found.Users, "user"), found.Locked, fine, plural(len(found.Rules), "rule"))
	_, err := io.WriteString(w, b.String())
	return err
}

func demandText(r *flow.RuleReadiness) string {
	kind := "rule"
	switch {
	case r.Floor:
		kind = "floor"
	case r.Rule == "default":
		return "default"
	}
	if r.ReportOnly {
		kind += ", only reported"
	}
	return fmt.Sprintf("%s (%s)", r.Rule, kind)
}

func lackingText(u *flow.UserReadiness) string {
	out := u.Email
	if out == "" {
		out = u.UserID
	}
	if u.Locked {
		out += " (locked)"
	}
	if u.NoWayIn {
		out += " has no way to sign in;"
	}
	if len(u.Enrol) == 0 {
		return out + " nothing that is offered would help"
	}
	sets := make([]string, len(u.Enrol))
	for i, set := range u.Enrol {
		sets[i] = strings.Join(set, " and ")
	}
	return out + " would need " + strings.Join(sets, ", or ")
}
