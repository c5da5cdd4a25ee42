package caddymodule

import (
	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/policy"
)

func policySchema() *cobra.Command {
	var cases bool
	c := &cobra.Command{
		Use: "schema", Short: "Prints the JSON Schema of policy files, for editors", Args: cobra.NoArgs,
		Long: "Prints the JSON Schema (draft 2020-12) of policy files. An editor that knows it completes keys, explains them and marks mistakes:\n\n" +
			"  stepgate policy schema > policy.schema.json\n\n" +
			"and as the first line of the policy:\n\n  # yaml-language-server: $schema=policy.schema.json",
		RunE: run(func(c *cobra.Command, _ []string) error {
			text := policy.Schema()
			if cases {
				text = policy.CasesSchema()
			}
			_, err := c.OutOrStdout().Write(text)
			return err
		}),
	}
	c.Flags().BoolVar(&cases, "cases", false, "Print the schema of files of cases, which “policy test” reads")
	return c
}
