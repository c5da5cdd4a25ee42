package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
)

// forcible gives a command the flag that spares nobody.
func (m *remote) forcible(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&m.force, "force", false, "Do it even to the last administrator")
	return c
}

func (m *remote) forced() string {
	if m.force {
		return "?force=true"
	}
	return ""
}

func (m *remote) groupsCommand() *cobra.Command {
	return m.forcible(&cobra.Command{
		Use: "groups USER [GROUP…]", Short: "Puts a user into these groups and no others; without any, into none", Args: cobra.MinimumNArgs(1),
		Example: "  stepgate users groups ada@example.com admins finance",
		RunE: run(func(c *cobra.Command, args []string) error {
			in := map[string][]string{"groups": append([]string{}, args[1:]...)}
			var out map[string]string
			if err := m.call(http.MethodPut, "users/"+segment(args[0])+"/groups"+m.forced(), in, &out); err != nil {
				return err
			}
			return m.print(c, out, func(w io.Writer) error {
				if len(args) == 1 {
					_, err := fmt.Fprintf(w, "%s is in no group\n", args[0])
					return err
				}
				_, err := fmt.Fprintf(w, "%s is in %s\n", args[0], strings.Join(args[1:], ", "))
				return err
			})
		}),
	})
}

func (m *remote) claimsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "claims USER [NAME=VALUE…]", Short: "Shows or changes the custom claims of a user, which rules and applications read", Args: cobra.MinimumNArgs(1),
		Long:    "Shows or changes the custom claims of a user. A value is JSON, or else a text; NAME= takes a claim away.\nRules read them as claims in “when”, applications in the assertion.",
		Example: "  stepgate users claims ada@example.com cost_center=1207 clearance=secret",
		RunE: run(func(c *cobra.Command, args []string) error {
			var claims map[string]any
			if len(args) == 1 {
				var u flow.UserView
				if err := m.call(http.MethodGet, "users/"+segment(args[0]), nil, &u); err != nil {
					return err
				}
				claims = u.CustomClaims
			} else {
				change, err := claimsOf(args[1:])
				if err != nil {
					return err
				}
				var out struct {
					CustomClaims map[string]any `json:"custom_claims"`
				}
				if err := m.call(http.MethodPatch, "users/"+segment(args[0])+"/claims", change, &out); err != nil {
					return err
				}
				claims = out.CustomClaims
			}
			return m.print(c, claims, func(w io.Writer) error { return claimsTable(w, claims) })
		}),
	}
}

func claimsTable(w io.Writer, claims map[string]any) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		value, err := json.Marshal(claims[name])
		if err != nil {
			return fmt.Errorf("show the claim %s: %w", name, err)
		}
		fmt.Fprintf(t, "%s\t%s\n", name, value)
	}
	return t.Flush()
}

// claimsOf reads NAME=VALUE.
func claimsOf(args []string) (map[string]any, error) {
	out := make(map[string]any)
	for _, arg := range args {
		name, text, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not NAME=VALUE", arg)
		}
		out[name] = account.ParseClaim(text)
	}
	return out, nil
}

func (m *remote) resetLinkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "reset-link USER", Short: "Prints a one-time link with which a user sets a new password", Args: cobra.ExactArgs(1),
		Long: "Prints a one-time link with which a user sets a new password, for somebody who can get no mail any more.\nMake sure who you hand it to. It signs nobody in, and every other factor stays as it is: take a lost one away with reset-factor.",
		RunE: run(func(c *cobra.Command, args []string) error {
			var out invited
			if err := m.call(http.MethodPost, "users/"+segment(args[0])+"/reset-link", nil, &out); err != nil {
				return err
			}
			return m.print(c, out, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s\n\nThe link works once, until %s. Hand it to %s in person.\n", out.Link, out.ExpiresAt.Local().Format(time.RFC1123), out.Email)
				return err
			})
		}),
	}
}
