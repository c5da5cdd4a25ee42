package caddymodule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/policy"
)

func policyLint() *cobra.Command {
	m := &remote{}
	c := &cobra.Command{
		Use: "lint FILE", Short: "Warns of what a valid policy file probably does not mean to say", Args: cobra.ExactArgs(1),
		Long: "With --config, it knows which factors are enabled. Exits with 0 when there is nothing to warn of, 1 when there is, 2 when a file cannot be read.",
		RunE: run(func(c *cobra.Command, args []string) error {
			p, err := readPolicy(args[0])
			if err != nil {
				return &exitError{status: exitUnusable, text: err.Error()}
			}
			enabled, err := m.enabled()
			if err != nil {
				return &exitError{status: exitUnusable, text: err.Error()}
			}
			findings := p.Lint(enabled)
			if findings == nil {
				findings = []policy.Finding{}
			}
			err = m.print(c, map[string]any{"findings": findings}, func(w io.Writer) error {
				if len(findings) == 0 {
					_, err := fmt.Fprintf(w, "%s: nothing to warn of\n", args[0])
					return err
				}
				for _, f := range findings {
					if _, err := fmt.Fprintf(w, "%s:%d: %s: %s\n    %s\n", args[0], f.Line, f.Code, f.Message, f.Advice); err != nil {
						return err
					}
				}
				return nil
			})
			if err == nil && len(findings) > 0 {
				err = &exitError{status: exitFindings}
			}
			return err
		}),
	}
	c.Flags().StringVarP(&m.config, "config", "c", "", "The configuration file, which says what factors are enabled")
	c.Flags().StringVarP(&m.adapter, "adapter", "a", "", "The adapter of the configuration file")
	c.Flags().BoolVar(&m.json, "json", false, "Print JSON")
	return c
}

// enabled lists the factors that the configuration offers, as policies name them; nil when no
// configuration was named.
func (m *remote) enabled() ([]string, error) {
	if m.config == "" {
		return nil, nil
	}
	raw, err := m.load()
	if err != nil {
		return nil, err
	}
	var root struct {
		Apps struct {
			Stepgate *App `json:"stepgate"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(raw, &root); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	app := root.Apps.Stepgate
	if app == nil {
		return nil, fmt.Errorf("%s has no stepgate option", m.config)
	}
	out := []string{}
	for _, p := range app.offered() {
		switch p {
		case "oauth":
			var o OAuthFactor
			if err := json.Unmarshal(app.FactorsRaw["oauth"], &o); err != nil {
				return nil, fmt.Errorf("read the oauth factor: %w", err)
			}
			for _, provider := range o.Providers {
				out = append(out, "oauth:"+cmp.Or(provider.Name, provider.Type))
			}
		case "crypto_wallet":
			var w CryptoWalletFactor
			if err := json.Unmarshal(app.FactorsRaw["crypto_wallet"], &w); err != nil {
				return nil, fmt.Errorf("read the crypto_wallet factor: %w", err)
			}
			for _, chain := range w.Chains {
				out = append(out, "crypto_wallet:"+chain)
			}
		default:
			out = append(out, string(p))
		}
	}
	return out, nil
}
