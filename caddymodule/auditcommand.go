package caddymodule

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/flow"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "audit", Usage: "tail|verify", Short: "Shows what happened to accounts, and checks that nothing of it was changed",
		CobraFunc: func(c *cobra.Command) {
			m := new(remote)
			m.flags(c)
			c.AddCommand(m.auditTail(), m.auditVerify())
		},
	})
}

const (
	// maxTail bounds the entries of one answer.
	maxTail = 1000
	// followEvery is how often “tail --follow” asks for more.
	followEvery = time.Second
	// maxAuditLine bounds a line of an exported log, in bytes.
	maxAuditLine = 64 << 10
)

// auditPage is a part of the log.
type auditPage struct {
	Entries []audit.Entry `json:"entries"`
	// Next are the numbers of entries after which to go on.
	Next audit.Marks `json:"next"`
	// Emails are the addresses of those whom the entries name, by their ids.
	Emails map[string]string `json:"emails"`
}

// audit answers with the latest entries, or, with the parameter after, those that follow.
func (p *people) audit(r *http.Request) (any, error) {
	q := r.URL.Query()
	var page auditPage
	var err error
	if text := q.Get("after"); text != "" {
		var marks audit.Marks
		if err := json.Unmarshal([]byte(text), &marks); err != nil {
			return nil, &flow.Error{Type: "invalid_request", Status: http.StatusBadRequest, Detail: "after is no set of marks: " + err.Error()}
		}
		page.Entries, page.Next, err = p.engine.rt.events.After(r.Context(), marks)
	} else {
		page.Entries, page.Next, err = p.latest(r, q)
	}
	if err != nil {
		return nil, err
	}
	page.Emails = make(map[string]string)
	for _, e := range page.Entries {
		for _, id := range []string{e.UserID, e.ActorID} {
			if _, known := page.Emails[id]; known || id == "" {
				continue
			}
			page.Emails[id] = ""
			if u, err := p.admin.Find(r.Context(), id); err == nil {
				page.Emails[id] = u.PrimaryEmail().Address
			}
		}
	}
	return page, nil
}

func (p *people) latest(r *http.Request, q url.Values) ([]audit.Entry, audit.Marks, error) {
	limit, err := strconv.Atoi(q.Get("last"))
	if err != nil || limit < 0 || limit > maxTail {
		return nil, nil, &flow.Error{Type: "invalid_request", Status: http.StatusBadRequest, Detail: fmt.Sprintf("last is a number up to %d", maxTail)}
	}
	id := ""
	if name := q.Get("user"); name != "" {
		u, err := p.admin.Find(r.Context(), name)
		if err != nil {
			return nil, nil, err
		}
		id = u.ID
	}
	marks, err := p.engine.rt.events.Marks(r.Context())
	if err != nil {
		return nil, nil, err
	}
	list, err := p.engine.rt.events.Last(r.Context(), id, limit)
	return list, marks, err
}

// auditHeads is the answer to a check: how far each chain holds, or where one breaks.
type auditHeads struct {
	Heads []audit.Head `json:"heads"`
	Break string       `json:"break,omitempty"`
	// Noted tells of a head that was noted before whether the chain still has it.
	Noted string `json:"noted,omitempty"`
}

func (p *people) auditHeads(r *http.Request) (any, error) {
	heads, err := p.engine.rt.events.Verify(r.Context())
	var broken *audit.BreakError
	if errors.As(err, &broken) {
		return auditHeads{Break: broken.Error()}, nil
	}
	return auditHeads{Heads: heads}, err
}

func (m *remote) auditTail() *cobra.Command {
	var number int
	var user string
	var follow, all bool
	c := &cobra.Command{
		Use: "tail", Short: "Shows the latest entries", Args: cobra.NoArgs,
		Long: "Shows the latest entries, the newest last. With --json each is one line, whose member hash is the SHA-256 hash of the line without it:\n" +
			"what was exported can be checked with “audit verify FILE”, also much later and elsewhere.",
		Example: "  stepgate audit tail --user ada@example.com\n  stepgate audit tail --all --json > audit.jsonl",
		RunE: run(func(c *cobra.Command, _ []string) error {
			if number < 0 || number > maxTail {
				return fmt.Errorf("-n is 0 to %d; --all shows everything", maxTail)
			}
			if all && user != "" {
				return errors.New("--all shows everybody; leave --user out, or --all")
			}
			query := "last=" + strconv.Itoa(number) + "&user=" + url.QueryEscape(user)
			if all {
				query = "after=" + url.QueryEscape("{}")
			}
			for {
				var page auditPage
				if err := m.call(http.MethodGet, "audit?"+query, nil, &page); err != nil {
					return err
				}
				for i := range page.Entries {
					if err := m.printEntry(c.OutOrStdout(), &page.Entries[i], page.Emails, user); err != nil {
						return err
					}
				}
				if len(page.Entries) == 0 || !all {
					if !follow {
						return nil
					}
					time.Sleep(followEvery)
				}
				next, err := json.Marshal(page.Next)
				if err != nil {
					return fmt.Errorf("ask for more: %w", err)
				}
				query = "after=" + url.QueryEscape(string(next))
			}
		}),
	}
	f := c.Flags()
	f.IntVarP(&number, "lines", "n", 20, "How many entries")
	f.StringVar(&user, "user", "", "Only what is about a user, or was done by them")
	f.BoolVarP(&follow, "follow", "f", false, "Go on as entries come")
	f.BoolVar(&all, "all", false, "All entries that are kept")
	return c
}

// printEntry prints an entry, unless it is about another user than the one asked for.
func (m *remote) printEntry(w io.Writer, e *audit.Entry, emails map[string]string, user string) error {
	if user != "" && user != e.UserID && user != e.ActorID && !strings.EqualFold(user, emails[e.UserID]) && !strings.EqualFold(user, emails[e.ActorID]) {
		return nil
	}
	if m.json {
		return json.NewEncoder(w).Encode(e)
	}
	name := func(id string) string {
		if email := emails[id]; email != "" {
			return email
		}
		return id
	}
	parts := []string{e.Time.Local().Format(time.DateTime), string(e.Kind)}
	if e.Kind.Alarming() {
		parts[1] = "ALARM " + parts[1]
	}
	add := func(format, value string) {
		if value != "" {
			parts = append(parts, fmt.Sprintf(format, value))
		}
	}
	add("%s", e.Factor)
	add("%s", name(e.UserID))
	add("(%s)", e.Reason)
	add("from %s", e.IPAddress)
	switch {
	case e.ActorID != "":
		add("by %s", name(e.ActorID))
	case e.ByAdmin:
		parts = append(parts, "by a command")
	}
	if e.Count > 0 {
		parts = append(parts, fmt.Sprintf("%d of them", e.Count))
	}
	_, err := fmt.Fprintln(w, strings.Join(parts, "  "))
	return err
}

func (m *remote) auditVerify() *cobra.Command {
	var noted []string
	c := &cobra.Command{
		Use: "verify [FILE]", Short: "Checks that no entry is missing or was changed", Args: cobra.MaximumNArgs(1),
		Long: "Checks the chains of a running server, or those in a file that “audit tail --all --json” wrote, and prints their ends.\n" +
			"Note the ends elsewhere: with --head, the check fails if a chain has lost or changed the end that it had then.\n" +
			"Exits with 0 when everything holds, 1 when something does not, 2 when the file cannot be read.",
		Example: "  stepgate audit verify\n  stepgate audit verify --head accounts:1042:9f86d081884c7d65…",
		RunE: run(func(c *cobra.Command, args []string) error {
			heads, err := parseHeads(noted)
			if err != nil {
				return err
			}
			var out auditHeads
			if len(args) == 1 {
				out, err = verifyFile(args[0], heads)
			} else {
				out, err = m.verifyServer(heads)
			}
			if err != nil {
				return err
			}
			if err := m.print(c, out, func(w io.Writer) error { return headsText(w, out) }); err != nil {
				return err
			}
			if out.Break != "" || out.Noted != "" {
				return &exitError{status: exitFindings}
			}
			return nil
		}),
	}
	c.Flags().StringArrayVar(&noted, "head", nil, "An end of a chain as it was printed before, CHAIN:NUMBER:HASH; may be repeated")
	return c
}

func headsText(w io.Writer, out auditHeads) error {
	for _, text := range []string{out.Break, out.Noted} {
		if text != "" {
			fmt.Fprintln(w, text)
		}
	}
	for _, h := range out.Heads {
		fmt.Fprintf(w, "%s:%d:%s holds from entry %d\n", h.Chain, h.Last, h.Hash, h.First)
	}
	if len(out.Heads) == 0 && out.Break == "" {
		fmt.Fprintln(w, "there is no entry yet")
	}
	return nil
}

// verifyServer checks the chains of the server, and that they hold the heads noted before.
func (m *remote) verifyServer(noted []audit.Head) (auditHeads, error) {
	var out auditHeads
	if err := m.call(http.MethodGet, "audit/heads", nil, &out); err != nil {
		return auditHeads{}, err
	}
	for _, h := range noted {
		after, err := json.Marshal(audit.Marks{h.Chain: h.Last - 1})
		if err != nil {
			return auditHeads{}, fmt.Errorf("ask for a head: %w", err)
		}
		var page auditPage
		if err := m.call(http.MethodGet, "audit?after="+url.QueryEscape(string(after)), nil, &page); err != nil {
			return auditHeads{}, err
		}
		check := newHeadCheck(noted)
		for i := range page.Entries {
			check.see(&page.Entries[i])
		}
		if !check.seen[h] {
			out.Noted = lostHead(h)
		}
	}
	return out, nil
}

func lostHead(h audit.Head) string {
	return fmt.Sprintf("the chain %s does not hold the noted entry %d any more: it was changed, or is too old to be kept", h.Chain, h.Last)
}

// headCheck looks for noted heads.
type headCheck struct{ seen map[audit.Head]bool }

func newHeadCheck(noted []audit.Head) headCheck {
	c := headCheck{seen: make(map[audit.Head]bool)}
	for _, h := range noted {
		c.seen[h] = false
	}
	return c
}

func (c headCheck) see(e *audit.Entry) {
	h := audit.Head{Chain: e.Chain, Last: e.Seq, Hash: e.Hash}
	if _, noted := c.seen[h]; noted {
		c.seen[h] = true
	}
}

// verifyFile checks exported chains.
func verifyFile(path string, noted []audit.Head) (out auditHeads, err error) {
	f, err := os.Open(path)
	if err != nil {
		return auditHeads{}, &exitError{status: exitUnusable, text: err.Error()}
	}
	defer f.Close()
	var v audit.Verifier
	check := newHeadCheck(noted)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxAuditLine)
	for number := 1; lines.Scan(); number++ {
		e, err := audit.ParseEntry(lines.Bytes())
		if err == nil {
			err = v.Check(&e)
		}
		var broken *audit.BreakError
		if errors.As(err, &broken) {
			out.Break = fmt.Sprintf("%s:%d: %v", path, number, err)
			return out, nil
		}
		if err != nil {
			return auditHeads{}, &exitError{status: exitUnusable, text: fmt.Sprintf("%s:%d: %v", path, number, err)}
		}
		check.see(&e)
	}
	if err := lines.Err(); err != nil {
		return auditHeads{}, &exitError{status: exitUnusable, text: fmt.Sprintf("%s: %v", path, err)}
	}
	for _, h := range noted {
		if !check.seen[h] {
			out.Noted = lostHead(h)
		}
	}
	out.Heads = v.Heads()
	return out, nil
}

// parseHeads reads CHAIN:NUMBER:HASH.
func parseHeads(texts []string) ([]audit.Head, error) {
	out := make([]audit.Head, 0, len(texts))
	for _, text := range texts {
		chain, rest, _ := strings.Cut(text, ":")
		number, hash, ok := strings.Cut(rest, ":")
		h := audit.Head{Chain: audit.Chain(chain)}
		var err error
		if h.Last, err = strconv.ParseUint(number, 10, 64); err == nil {
			err = h.Hash.UnmarshalText([]byte(hash))
		}
		if !ok || err != nil || h.Last == 0 {
			return nil, fmt.Errorf("--head %q is not CHAIN:NUMBER:HASH, as “audit verify” prints it", text)
		}
		out = append(out, h)
	}
	return out, nil
}
