package caddymodule

import (
	"fmt"
	"io"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "check", Usage: "--config FILE", Short: "Tells which routes of a configuration reach an application without a gate",
		CobraFunc: func(c *cobra.Command) {
			m := &remote{}
			c.Args = cobra.NoArgs
			c.Long = "Walks the adapted configuration. Exits with 0 when everything that is served has a gate in front of it,\n1 when something has none, 2 when the configuration cannot be read."
			c.Flags().StringVarP(&m.config, "config", "c", "Caddyfile", "The configuration file")
			c.Flags().StringVarP(&m.adapter, "adapter", "a", "", "The adapter of the configuration file")
			c.Flags().BoolVar(&m.json, "json", false, "Print JSON")
			c.RunE = run(m.check)
		},
	})
}

func (m *remote) check(c *cobra.Command, _ []string) error {
	raw, err := m.load()
	if err != nil {
		return &exitError{status: exitUnusable, text: err.Error()}
	}
	found, err := Check(raw)
	if err != nil {
		return &exitError{status: exitUnusable, text: err.Error()}
	}
	if err := m.print(c, found, func(w io.Writer) error { return found.text(w) }); err != nil {
		return err
	}
	if found.ungated() > 0 {
		return &exitError{status: exitFindings}
	}
	return nil
}

// text prints the coverage as a table.
func (c *Coverage) text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "GATE\tREQUESTS\tLEAD TO\t")
	for _, e := range c.Endpoints {
		state := "yes"
		if !e.Gated {
			state = "NO"
		}
		fmt.Fprintf(t, "%s\t%s\t%s %s\t%s\n", state, e.Match, e.Handler, e.Target, e.Why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, warning := range c.Warnings {
		if _, err := fmt.Fprintln(w, "warning: "+warning); err != nil {
			return err
		}
	}
	return nil
}
