package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/userimport"
)

// importBatch is how many users go to the server in one call.
const importBatch = 100

// importIn is the body of a call that imports users.
type importIn struct {
	Users  []flow.Import `json:"users"`
	DryRun bool          `json:"dry_run,omitempty"`
}

// importedUser is what became of one user of such a call.
type importedUser struct {
	Email  string            `json:"email"`
	Status flow.ImportStatus `json:"status"`
	UserID string            `json:"user_id,omitempty"`
	// Administers tells that the account may administer the gateway, by its groups.
	Administers bool   `json:"administers,omitempty"`
	ErrorType   string `json:"error_type,omitempty"`
	Error       string `json:"error,omitempty"`
	// Where is the place in the file, as the command knows it.
	Where string `json:"where,omitempty"`
}

func (p *people) importUsers(r *http.Request) (any, error) {
	var in importIn
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	out := make([]importedUser, len(in.Users))
	for i, u := range in.Users {
		result, err := p.admin.Import(r.Context(), u, in.DryRun)
		if err != nil {
			return nil, err
		}
		out[i] = importedUser{Email: u.Email, Status: result.Status, UserID: result.UserID, Administers: result.Administers}
		if result.Refusal != nil {
			out[i].ErrorType, out[i].Error = result.Refusal.Type, result.Refusal.Detail
		}
	}
	return map[string]any{"users": out}, nil
}

func (m *remote) importCommand() *cobra.Command {
	var format, domain string
	var verified, partial, dry bool
	c := &cobra.Command{
		Use: "import FILE", Short: "Makes accounts of Authelia's users file, an htpasswd file, or CSV", Args: cobra.ExactArgs(1),
		Long: "Makes accounts of the users in a file. Password hashes stay as they are until their owner signs in, and are then made anew.\n" +
			"Nothing is imported unless all of it can be; --partial takes what can. Addresses that have an account are left as they are, so a file can be imported again.\n" +
			"A CSV file names its columns on the first line: email, and any of name, groups (separated by semicolons), password_hash, verified, disabled.\n" +
			"Exits with 0 when everything is imported, 1 when something was refused, 2 when the file cannot be read.",
		Example: "  stepgate users import users_database.yml --verified\n  stepgate users import .htpasswd --domain example.com --dry-run",
		RunE: run(func(c *cobra.Command, args []string) error {
			people, err := readPeople(args[0], userimport.Format(format), domain)
			if err != nil {
				return &exitError{status: exitUnusable, text: err.Error()}
			}
			all, err := m.importPeople(args[0], people, verified, true)
			if err != nil {
				return err
			}
			refused := slices.ContainsFunc(all, wasRefused)
			if !dry && (!refused || partial) {
				if all, err = m.importPeople(args[0], people, verified, false); err != nil {
					return err
				}
			}
			if err := m.print(c, all, func(w io.Writer) error { return importText(w, all) }); err != nil {
				return err
			}
			switch {
			case !refused:
				return nil
			case !partial && !dry:
				return &exitError{status: exitFindings, text: "nothing was imported; mend these lines, or take the others with --partial"}
			}
			return &exitError{status: exitFindings}
		}),
	}
	f := c.Flags()
	f.StringVar(&format, "format", "", "The form of the file: authelia, htpasswd or csv; by its name unless given")
	f.StringVar(&domain, "domain", "", "Where people without an e-mail address get one: NAME@DOMAIN")
	f.BoolVar(&verified, "verified", false, "The e-mail addresses are known to be the people's")
	f.BoolVar(&partial, "partial", false, "Import what can be imported, though something is refused")
	f.BoolVar(&dry, "dry-run", false, "Say what would happen, and import nothing")
	return c
}

func readPeople(path string, format userimport.Format, domain string) ([]userimport.Person, error) {
	if format == "" {
		format = userimport.FormatOf(path)
	}
	if format == "" {
		return nil, fmt.Errorf("%s: its name does not tell what it is; say so with --format authelia, htpasswd or csv", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, userimport.MaxFile+1))
	if err != nil {
		return nil, err
	}
	people, err := userimport.Read(format, path, data)
	if err != nil {
		return nil, err
	}
	return people, userimport.Address(path, people, domain)
}

// importPeople sends people to the server in batches.
func (m *remote) importPeople(path string, people []userimport.Person, verified, dry bool) ([]importedUser, error) {
	all := make([]importedUser, 0, len(people))
	for batch := range slices.Chunk(people, importBatch) {
		in := importIn{DryRun: dry}
		for _, p := range batch {
			in.Users = append(in.Users, flow.Import{
				Email: p.Email, Name: p.Name, Groups: p.Groups, Verified: verified || p.Verified, Locked: p.Disabled, PasswordHash: p.Hash,
			})
		}
		var out struct {
			Users []importedUser `json:"users"`
		}
		if err := m.call(http.MethodPost, "users/import", in, &out); err != nil {
			return nil, fmt.Errorf("after %d of %d users: %w", len(all), len(people), err)
		}
		for i := range out.Users {
			out.Users[i].Where = fmt.Sprintf("%s:%d", path, batch[i].Line)
		}
		all = append(all, out.Users...)
	}
	return all, nil
}

func wasRefused(u importedUser) bool { return u.Status == flow.ImportRefused }

// importText tells of refusals, of who had an account already and who administers, and counts.
func importText(w io.Writer, all []importedUser) error {
	count := make(map[flow.ImportStatus]int)
	for _, u := range all {
		count[u.Status]++
		switch u.Status {
		case flow.ImportRefused:
			fmt.Fprintf(w, "%s: %s: %s\n", u.Where, u.Email, u.Error)
		case flow.ImportExists:
			fmt.Fprintf(w, "%s: %s has an account already\n", u.Where, u.Email)
		}
		if u.Administers {
			fmt.Fprintf(w, "%s: %s administers the gateway, by the group “%s”\n", u.Where, u.Email, account.AdminGroup)
		}
	}
	var parts []string
	for _, s := range []struct {
		status flow.ImportStatus
		text   string
	}{
		{flow.Imported, "%d imported"}, {flow.ImportNotStored, "%d can be imported"},
		{flow.ImportExists, "%d had an account already"}, {flow.ImportRefused, "%d refused"},
	} {
		if n := count[s.status]; n > 0 {
			parts = append(parts, fmt.Sprintf(s.text, n))
		}
	}
	_, err := fmt.Fprintln(w, strings.Join(parts, ", "))
	return err
}
