package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/internal/decisions"
	"github.com/stepgate/stepgate/policy"
)

// simulation is the answer of “policy simulate”.
type simulation struct {
	decisions.Simulation
	// SkippedLines is how many lines of the logs are no decisions.
	SkippedLines int `json:"skipped_lines"`
}

func policySimulate() *cobra.Command {
	var logs []string
	var since, of string
	var asJSON bool
	c := &cobra.Command{
		Use: "simulate FILE --log DECISIONS", Short: "Judges logged requests again by another policy and lists whose would change", Args: cobra.ExactArgs(1),
		Long:    "Reads the decision log of the server (the option decision_log), rolled files with “.gz” too.\nExits with 0 when no outcome changes, 1 when one does, 2 when the policy or a log cannot be read.",
		Example: "  stepgate policy simulate stricter.yaml --log /var/log/stepgate/decisions.jsonl --since 24h",
		RunE: run(func(c *cobra.Command, args []string) error {
			unusable := func(err error) error { return &exitError{status: exitUnusable, text: err.Error()} }
			p, err := readPolicy(args[0])
			if err != nil {
				return unusable(err)
			}
			from, err := oldest(since, time.Now())
			if err != nil {
				return unusable(err)
			}
			s := decisions.NewSimulator(p)
			skipped, err := readLogs(c.ErrOrStderr(), logs, func(e decisions.Entry) error {
				if e.Time.Before(from) {
					return nil
				}
				return badEntry(s.Add(&e))
			})
			if err != nil {
				return unusable(err)
			}
			name, err := decidedBy(s.Policies(), of, args[0])
			if err != nil {
				return unusable(err)
			}
			out := simulation{Simulation: s.Result(name), SkippedLines: skipped}
			if asJSON {
				err = printJSON(c.OutOrStdout(), out)
			} else {
				err = simulationText(c.OutOrStdout(), &out, colored())
			}
			if err == nil && len(out.Changes) > 0 {
				err = &exitError{status: exitFindings}
			}
			return err
		}),
	}
	f := c.Flags()
	f.StringArrayVar(&logs, "log", nil, "A decision log; may be repeated")
	f.StringVar(&since, "since", "", "Only requests of this time until now, such as 24h or 7d")
	f.StringVar(&of, "policy", "", "Only requests that this policy file of the server decided about; needed when the log has several")
	f.BoolVar(&asJSON, "json", false, "Print JSON")
	if err := c.MarkFlagRequired("log"); err != nil {
		panic(err) // the flag is defined above
	}
	return c
}

// oldest is the time from which requests count.
func oldest(since string, now time.Time) (time.Time, error) {
	if since == "" {
		return time.Time{}, nil
	}
	span, err := caddy.ParseDuration(since)
	if err != nil || span <= 0 {
		return time.Time{}, fmt.Errorf("--since: %q is no duration; write one like 24h or 7d", since)
	}
	return now.Add(-span), nil
}

// decidedBy chooses the policy whose requests are judged again: the one that was named, else
// the file itself, else the only file in the log. Rules that stand in the configuration are
// never meant, unless named.
func decidedBy(found []string, named, file string) (string, error) {
	if named != "" {
		for _, name := range found {
			if name == named {
				return name, nil
			}
		}
		return "", fmt.Errorf("--policy: the log has no requests that %q decided about; it has those of %s", named, quoted(found))
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	var files []string
	for _, name := range found {
		if name == path {
			return name, nil
		}
		if filepath.IsAbs(name) {
			files = append(files, name)
		}
	}
	switch len(files) {
	case 0:
		return "", nil
	case 1:
		return files[0], nil
	}
	return "", fmt.Errorf("several policies decided about the requests of the log; name one with --policy: %s", quoted(files))
}

func quoted(names []string) string {
	if len(names) == 0 {
		return "no policy"
	}
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(out, ", ")
}

func simulationText(w io.Writer, s *simulation, color bool) error {
	var b strings.Builder
	changed := 0
	for _, c := range s.Changes {
		changed += c.Requests
		who := strings.Join(c.Users, ", ")
		switch more := c.UserCount - len(c.Users); {
		case who == "":
			who = "visitors who are not signed in"
		case more > 0:
			who += fmt.Sprintf(" and %d more", more)
		}
		b.WriteString(marked(side(c.Before)+" -> "+side(c.After)+"\n", c.Before, c.After, color))
		fmt.Fprintf(&b, "    %s by %s\n    for example %s %s at %s, %s\n", plural(c.Requests, "request"), who,
			c.Example.Method, c.Example.URL, c.Example.Time.Format(time.RFC3339), c.Example.RequestID)
		if len(c.Example.Missing) > 0 {
			e := policy.Explanation{Missing: c.Example.Missing}
			for line := range strings.Lines(e.MissingText()) {
				fmt.Fprintf(&b, "    %s", line)
			}
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%d of %s would change", changed, plural(s.Requests, "logged request"))
	if s.Policy != "" {
		fmt.Fprintf(&b, " that %s had decided about", s.Policy)
	}
	b.WriteByte('\n')
	if s.Partial > 0 {
		fmt.Fprintf(&b, "%s could not be judged: the log does not hold all that the rules read\n", plural(s.Partial, "request"))
	}
	if len(s.Unlogged) > 0 {
		fmt.Fprintf(&b, "the log has nothing of %s; requests were judged as if without\n", strings.Join(s.Unlogged, ", "))
	}
	if s.SkippedLines > 0 {
		fmt.Fprintf(&b, "%s of the log could not be read\n", plural(s.SkippedLines, "line"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

var errFound = errors.New("found")

// findDecision looks a logged decision up by the reference of its answer. A later one with the
// same reference, of another gate of the same route, does not count.
func findDecision(told io.Writer, logs []string, requestID string) (decisions.Entry, error) {
	var out decisions.Entry
	_, err := readLogs(told, logs, func(e decisions.Entry) error {
		if e.RequestID == requestID {
			out = e
			return errFound
		}
		return nil
	})
	switch {
	case errors.Is(err, errFound):
		return out, nil
	case err != nil:
		return out, err
	}
	return out, fmt.Errorf("no decision with the reference %q is in the log; of allowed requests only some may be", requestID)
}
