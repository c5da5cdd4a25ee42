package caddymodule

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/session"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "users", Usage: "invite|create|import|list|show|groups|claims|lock|unlock|reset-factor|reset-link|break-glass|delete", Short: "Manages the users of a running server",
		CobraFunc: func(c *cobra.Command) {
			m := new(remote)
			m.flags(c)
			c.AddCommand(m.inviteCommand(), m.createCommand(), m.importCommand(), m.listCommand(), m.showCommand(), m.groupsCommand(), m.claimsCommand(),
				m.forcible(m.actCommand("lock", "Ends a user's sessions and refuses every sign-in", http.MethodPost, "/lock", "locked")),
				m.actCommand("unlock", "Lifts a lock, also that after too many wrong tries", http.MethodPost, "/unlock", "unlocked"),
				m.forcible(m.actCommand("delete", "Deletes a user with everything enrolled", http.MethodDelete, "", "deleted")),
				m.resetCommand(), m.resetLinkCommand(), m.breakGlassCommand())
		},
	})
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "sessions", Usage: "list|revoke", Short: "Lists and ends the sessions of users",
		CobraFunc: func(c *cobra.Command) {
			m := new(remote)
			m.flags(c)
			c.AddCommand(m.sessionsCommand(), m.revokeCommand())
		},
	})
}

func (m *remote) inviteCommand() *cobra.Command {
	var in userIn
	c := &cobra.Command{
		Use: "invite EMAIL", Short: "Mails and prints a one-time link with which a person makes their account", Args: cobra.ExactArgs(1),
		RunE: run(func(c *cobra.Command, args []string) error {
			in.Email = args[0]
			var out invited
			if err := m.call(http.MethodPost, "invitations", in, &out); err != nil {
				return err
			}
			return m.print(c, out, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s\n\nThe link works once, until %s. It is also mailed to %s.\n", out.Link, out.ExpiresAt.Local().Format(time.RFC1123), out.Email)
				return err
			})
		}),
	}
	c.Flags().StringVar(&in.Name, "name", "", "The person's name")
	c.Flags().StringArrayVar(&in.Groups, "group", nil, "A group of the user; may be repeated")
	return c
}

func (m *remote) createCommand() *cobra.Command {
	var in userIn
	var stdin bool
	c := &cobra.Command{
		Use: "create EMAIL", Short: "Makes an account at once", Args: cobra.ExactArgs(1),
		RunE: run(func(c *cobra.Command, args []string) error {
			in.Email = args[0]
			if stdin {
				line, err := bufio.NewReader(io.LimitReader(c.InOrStdin(), 4<<10)).ReadString('\n')
				if err != nil && !errors.Is(err, io.EOF) {
					return fmt.Errorf("read the password: %w", err)
				}
				if in.Password = strings.TrimRight(line, "\r\n"); in.Password == "" {
					return errors.New("the password on standard input is empty")
				}
			}
			var out flow.UserView
			if err := m.call(http.MethodPost, "users", in, &out); err != nil {
				return err
			}
			return m.print(c, out, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "created %s (%s)\n", out.Emails[0].Email, out.UserID)
				return err
			})
		}),
	}
	c.Flags().StringVar(&in.Name, "name", "", "The person's name")
	c.Flags().StringArrayVar(&in.Groups, "group", nil, "A group of the user; may be repeated")
	c.Flags().BoolVar(&in.Verified, "verified", false, "The e-mail address is known to be the person's")
	c.Flags().BoolVar(&stdin, "password-stdin", false, "Read the password from one line of standard input")
	return c
}

func (m *remote) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Lists all users", Args: cobra.NoArgs,
		RunE: run(func(c *cobra.Command, _ []string) error {
			all := []flow.UserView{}
			for after := ""; ; {
				var page struct {
					Users []flow.UserView `json:"users"`
					Next  string          `json:"next"`
				}
				if err := m.call(http.MethodGet, "users?after="+after, nil, &page); err != nil {
					return err
				}
				all = append(all, page.Users...)
				if after = page.Next; after == "" {
					break
				}
			}
			return m.print(c, all, func(w io.Writer) error { return usersTable(w, all) })
		}),
	}
}

func usersTable(w io.Writer, users []flow.UserView) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "EMAIL\tNAME\tGROUPS\tSTATUS\tFACTORS\tID")
	for _, u := range users {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", emailOf(u), u.Name, strings.Join(u.Roles, ","), u.Status, strings.Join(factorsOf(u), ","), u.UserID)
	}
	return t.Flush()
}

func emailOf(u flow.UserView) string {
	if len(u.Emails) == 0 {
		return "-"
	}
	if !u.Emails[0].Verified {
		return u.Emails[0].Email + " (unverified)"
	}
	return u.Emails[0].Email
}

func factorsOf(u flow.UserView) []string {
	var out []string
	if u.Password != nil {
		out = append(out, "password")
	}
	for _, e := range u.Emails {
		if e.Verified {
			out = append(out, "email_otp")
			break
		}
	}
	for _, t := range u.TOTPs {
		if t.Verified {
			out = append(out, "totp")
		}
	}
	for _, more := range []struct {
		name string
		n    int
	}{
		{"phone", len(u.PhoneNumbers)}, {"webauthn", len(u.WebAuthn)}, {"oauth", len(u.Providers)}, {"crypto_wallet", len(u.CryptoWallets)},
	} {
		if more.n > 0 {
			out = append(out, more.name)
		}
	}
	return out
}

func (m *remote) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show USER", Short: "Shows one user, by e-mail address or id", Args: cobra.ExactArgs(1),
		RunE: run(func(c *cobra.Command, args []string) error {
			var out struct {
				flow.UserView
				AttemptsLockedUntil *time.Time `json:"attempts_locked_until"`
			}
			if err := m.call(http.MethodGet, "users/"+segment(args[0]), nil, &out); err != nil {
				return err
			}
			return m.print(c, out, func(w io.Writer) error {
				t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
				fmt.Fprintf(t, "id\t%s\nname\t%s\nstatus\t%s\ngroups\t%s\ncreated\t%s\n", out.UserID, out.Name, out.Status,
					strings.Join(out.Roles, ", "), out.CreatedAt.Local().Format(time.RFC1123))
				for _, e := range out.Emails {
					fmt.Fprintf(t, "e-mail\t%s (verified: %v)\n", e.Email, e.Verified)
				}
				fmt.Fprintf(t, "factors\t%s\nrecovery codes\t%d\n", strings.Join(factorsOf(out.UserView), ", "), out.RecoveryCodes)
				if out.AttemptsLockedUntil != nil {
					fmt.Fprintf(t, "paused until\t%s, after too many wrong tries\n", out.AttemptsLockedUntil.Local().Format(time.RFC1123))
				}
				return t.Flush()
			})
		}),
	}
}

// actCommand is a command that does one thing to one user.
func (m *remote) actCommand(name, short, method, suffix, done string) *cobra.Command {
	return &cobra.Command{
		Use: name + " USER", Short: short, Args: cobra.ExactArgs(1),
		RunE: run(func(c *cobra.Command, args []string) error {
			var out map[string]string
			if err := m.call(method, "users/"+segment(args[0])+suffix+m.forced(), nil, &out); err != nil {
				return err
			}
			return m.print(c, out, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s %s\n", done, args[0])
				return err
			})
		}),
	}
}

func (m *remote) resetCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reset-factor USER FACTOR", Short: "Takes a lost factor (password, totp, or the id of a credential) from a user and ends the user's sessions", Args: cobra.ExactArgs(2),
		RunE: run(func(c *cobra.Command, args []string) error {
			var out map[string]string
			if err := m.call(http.MethodDelete, "users/"+segment(args[0])+"/factors/"+segment(args[1]), nil, &out); err != nil {
				return err
			}
			return m.print(c, out, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s of %s is reset\n", args[1], args[0])
				return err
			})
		}),
	}
}

func (m *remote) sessionsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list USER", Short: "Lists the sessions of a user", Args: cobra.ExactArgs(1),
		RunE: run(func(c *cobra.Command, args []string) error {
			var out struct {
				Sessions []*session.Session `json:"sessions"`
			}
			if err := m.call(http.MethodGet, "users/"+segment(args[0])+"/sessions", nil, &out); err != nil {
				return err
			}
			return m.print(c, out.Sessions, func(w io.Writer) error {
				t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
				fmt.Fprintln(t, "STARTED\tLAST USED\tADDRESS\tFACTORS\tID")
				for _, s := range out.Sessions {
					var proven []string
					for _, f := range s.Factors {
						proven = append(proven, f.Type+"/"+f.DeliveryMethod)
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", s.StartedAt.Local().Format(time.DateTime), s.LastAccessedAt.Local().Format(time.DateTime),
						s.Attributes.IPAddress, strings.Join(proven, ","), s.ID)
				}
				return t.Flush()
			})
		}),
	}
}

func (m *remote) revokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke USER [SESSION]", Short: "Ends one session of a user, or all of them", Args: cobra.RangeArgs(1, 2),
		RunE: run(func(c *cobra.Command, args []string) error {
			path, what := "users/"+segment(args[0])+"/sessions", "all sessions of "+args[0]
			if len(args) == 2 {
				path, what = path+"/"+segment(args[1]), "session "+args[1]
			}
			var out map[string]string
			if err := m.call(http.MethodDelete, path, nil, &out); err != nil {
				return err
			}
			return m.print(c, out, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "ended %s\n", what)
				return err
			})
		}),
	}
}
