package caddymodule

import (
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"
)

func (m *remote) breakGlassCommand() *cobra.Command {
	var revoke bool
	c := &cobra.Command{
		Use: "break-glass USER", Short: "Prints codes by which an administrator who lost everything gets back in", Args: cobra.ExactArgs(1),
		Long: "Prints ten codes, each for one use, in the place of older ones. Print them on paper and keep them in a safe.\n" +
			"A code signs nobody in. It takes every factor but the e-mail address typed with it from the account, lets its holder choose a new\n" +
			"password, writes an alarm to the log, and tells all administrators by mail.",
		RunE: run(func(c *cobra.Command, args []string) error {
			path := "users/" + segment(args[0]) + "/break-glass"
			if revoke {
				var out map[string]string
				if err := m.call(http.MethodDelete, path, nil, &out); err != nil {
					return err
				}
				return m.print(c, out, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "break-glass codes of %s are useless now\n", args[0])
					return err
				})
			}
			var out breakGlassCodes
			if err := m.call(http.MethodPost, path, nil, &out); err != nil {
				return err
			}
			return m.print(c, out, func(w io.Writer) error { return printBreakGlass(w, out) })
		}),
	}
	c.Flags().BoolVar(&revoke, "revoke", false, "Make the codes useless instead")
	return c
}

func printBreakGlass(w io.Writer, out breakGlassCodes) error {
	if _, err := fmt.Fprintf(w, "Break-glass codes of %s. Print them, keep them in a safe, and keep no other copy.\n\n", out.Email); err != nil {
		return err
	}
	for i, code := range out.Codes {
		if _, err := fmt.Fprintf(w, "  %2d.  %s\n", i+1, code); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\nWhen everything else is lost, open %s\nand type the address and one of them. Each works once. Its use raises an alarm.\n", out.URL)
	return err
}
