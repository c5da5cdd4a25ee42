package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/policy"
)

// The exit statuses of the policy commands.
const (
	exitFindings = 1
	exitUnusable = 2
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "policy", Usage: "check|explain|test|lint|diff|simulate|readiness|schema|import", Short: "Checks, explains, tests and compares policy files",
		CobraFunc: func(c *cobra.Command) {
			c.AddCommand(policyCheck(), policyExplain(), policyTest(), policyLint(), policyDiff(), policySimulate(), policyReadiness(), policySchema(), policyImport())
		},
	})
}

func policyCheck() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "check FILE", Short: "Reports every mistake of a policy file with its line and column", Args: cobra.ExactArgs(1),
		Long: "Exits with 0 when the file is valid, 1 when it is not, 2 when it cannot be read.",
		RunE: run(func(c *cobra.Command, args []string) error {
			p, err := readPolicy(args[0])
			var bad *policy.LoadError
			if err != nil && !errors.As(err, &bad) {
				return err
			}
			problems := []policy.Problem{}
			if bad != nil {
				problems = bad.Problems
			}
			if asJSON {
				if err := printJSON(c.OutOrStdout(), map[string]any{"valid": bad == nil, "problems": problems}); err != nil {
					return err
				}
			} else if bad == nil {
				rules := fmt.Sprint(len(p.Rules()), " rules")
				if len(p.Rules()) == 1 {
					rules = "1 rule"
				}
				fmt.Fprintf(c.OutOrStdout(), "%s is valid: %s\n", args[0], rules)
			} else {
				for _, problem := range problems {
					fmt.Fprintln(c.OutOrStdout(), problem)
				}
			}
			if bad != nil {
				return &exitError{status: exitFindings}
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	return c
}

// readPolicy loads a policy file. The error is a *policy.LoadError for an invalid one.
func readPolicy(path string) (*policy.Policy, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &exitError{status: exitUnusable, text: err.Error()}
	}
	return policy.Load(path, data)
}

// question is what explain asks the policy.
type question struct {
	method, url, user, clientIP, factors, now string
	request                                   string
	groups, headers, logs                     []string
	// logged says what was decided about the request of the log.
	logged string
	json   bool
}

func policyExplain() *cobra.Command {
	var q question
	c := &cobra.Command{
		Use: "explain FILE", Short: "Tells what a policy decides about a request, and why, rule by rule", Args: cobra.ExactArgs(1),
		Long: "With --url, about the request that the options describe. With --request, about a request of the decision log, named by the reference that its answer carried.\nExits with 2 when the policy, the options or the log cannot be read.",
		Example: "  stepgate policy explain policy.yaml --method POST --url https://erp.example.com/admin/users --user alice@example.com --factors password@10m,totp@1m\n" +
			"  stepgate policy explain policy.yaml --request request-u3mq… --log /var/log/stepgate/decisions.jsonl",
		RunE: run(func(c *cobra.Command, args []string) error {
			p, err := readPolicy(args[0])
			if err != nil {
				return &exitError{status: exitUnusable, text: err.Error()}
			}
			ask := q.ask
			if q.request != "" {
				ask = func(p *policy.Policy) (policy.Explanation, error) { return q.askAgain(c.ErrOrStderr(), p) }
			}
			e, err := ask(p)
			if err != nil {
				return &exitError{status: exitUnusable, text: err.Error()}
			}
			if q.json {
				return printJSON(c.OutOrStdout(), e)
			}
			if q.logged != "" {
				fmt.Fprintln(c.OutOrStdout(), q.logged)
			}
			return e.Text(c.OutOrStdout(), colored())
		}),
	}
	f := c.Flags()
	f.StringVar(&q.method, "method", http.MethodGet, "The request method")
	f.StringVar(&q.url, "url", "", "The request URL")
	f.StringVar(&q.request, "request", "", "The reference of a request in the decision log")
	f.StringArrayVar(&q.logs, "log", nil, "The decision log that has the request; may be repeated")
	f.StringVar(&q.user, "user", "", "The user's e-mail address or id; without it and without factors, nobody is signed in")
	f.StringArrayVar(&q.groups, "group", nil, "A group of the user; may be repeated")
	f.StringVar(&q.clientIP, "client-ip", "", "The client's address")
	f.StringArrayVar(&q.headers, "header", nil, "A header, “Name: value”; may be repeated")
	f.StringVar(&q.factors, "factors", "", "What was proven, and how long ago: password@10m,totp@1m")
	f.StringVar(&q.now, "now", "", "The time of the request, RFC 3339")
	f.BoolVar(&q.json, "json", false, "Print JSON")
	c.MarkFlagsOneRequired("url", "request")
	c.MarkFlagsRequiredTogether("request", "log")
	for _, described := range []string{"method", "url", "user", "group", "client-ip", "header", "factors", "now"} {
		c.MarkFlagsMutuallyExclusive("request", described)
	}
	return c
}

// askAgain decides about a request of the decision log as of then, and says what was decided.
func (q *question) askAgain(told io.Writer, p *policy.Policy) (policy.Explanation, error) {
	e, err := findDecision(told, q.logs, q.request)
	if err != nil {
		return policy.Explanation{}, err
	}
	who := "nobody who was signed in"
	if e.Visitor != nil {
		who = cmp.Or(e.Visitor.Email, e.Visitor.UserID)
	}
	form := ""
	if e.Held != "" {
		form = ", form " + e.Held
	}
	q.logged = fmt.Sprintf("%s %q on %q by %s from %s at %s\nlogged: %s%s\n", e.Method, e.Path, e.Host, who, cmp.Or(e.ClientIP, "an unknown address"), e.Time.Format(time.RFC3339),
		side(policy.Side{Outcome: e.Outcome, Rule: cmp.Or(e.Rule, e.Reason), Floor: e.Floor}), form)
	return e.Explain(p)
}

// ask decides about the request of the question, as the gate would.
func (q *question) ask(p *policy.Policy) (policy.Explanation, error) {
	now := time.Now().UTC()
	if q.now != "" {
		var err error
		if now, err = time.Parse(time.RFC3339, q.now); err != nil {
			return policy.Explanation{}, fmt.Errorf("--now: %w", err)
		}
	}
	var ip netip.Addr
	if q.clientIP != "" {
		var err error
		if ip, err = netip.ParseAddr(q.clientIP); err != nil {
			return policy.Explanation{}, fmt.Errorf("--client-ip: %w", err)
		}
	}
	header := make(http.Header)
	for _, h := range q.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return policy.Explanation{}, fmt.Errorf("--header %q: write it like “Name: value”", h)
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	s, err := q.subject(now)
	if err != nil {
		return policy.Explanation{}, err
	}
	return explained(p, q.method, q.url, ip, header, s, now)
}

// explained decides about one request as the gate would: what it refuses, no policy is asked.
func explained(p *policy.Policy, method, url string, ip netip.Addr, header map[string][]string, s *policy.Subject, now time.Time) (policy.Explanation, error) {
	read, err := gate.ReadURL(url)
	if err != nil {
		return policy.Explanation{}, err
	}
	if read.Refused != "" {
		return policy.Refused(read.Refused), nil
	}
	r := policy.Request{Method: method, Host: read.Host, Path: read.Path, RawQuery: read.RawQuery, Header: header, ClientIP: ip}
	return p.Explain(&r, s, now), nil
}

// subject is the visitor of the question; nil for nobody.
func (q *question) subject(now time.Time) (*policy.Subject, error) {
	proven, err := policy.ParseFactors(q.factors, now)
	if err != nil {
		return nil, fmt.Errorf("--factors: %w", err)
	}
	if q.user == "" && len(q.groups) == 0 && len(proven) == 0 {
		return nil, nil
	}
	s := &policy.Subject{ID: q.user, Email: q.user, Groups: q.groups, Factors: proven, StartedAt: now}
	if s.ID == "" {
		s.ID, s.Email = "user", "user@example.com"
	}
	return s, nil
}

// colored tells whether output goes to a terminal whose user does not mind colours.
func colored() bool { return os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(os.Stdout.Fd())) }

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
