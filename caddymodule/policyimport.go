package caddymodule

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stepgate/stepgate/internal/policyimport"
	"github.com/stepgate/stepgate/internal/userimport"
)

func policyImport() *cobra.Command {
	c := &cobra.Command{
		Use: "import", Short: "Turns the access rules of another gateway into a policy",
		Long: "Prints a policy that decides as the rules of the other gateway do. What a policy cannot say asks for more, never for less:\n" +
			"it stands beside its rule as “# differs:”, and is listed on standard error.\n" +
			"Exits with 0 when nothing differs, 1 when something does, 2 when the file cannot be read.",
	}
	c.AddCommand(importAuthelia(), importOAuth2Proxy())
	return c
}

func importAuthelia() *cobra.Command {
	var users string
	var asJSON bool
	c := &cobra.Command{
		Use: "authelia FILE", Short: "Reads the section access_control of Authelia's configuration", Args: cobra.ExactArgs(1),
		Example: "  stepgate policy import authelia configuration.yml --users users_database.yml > policy.yaml",
		RunE: run(func(c *cobra.Command, args []string) error {
			data, err := readBounded(args[0])
			if err != nil {
				return err
			}
			var known map[string]string
			if users != "" {
				if known, err = autheliaAddresses(users); err != nil {
					return &exitError{status: exitUnusable, text: err.Error()}
				}
			}
			result, err := policyimport.Authelia(args[0], data, known)
			return imported(c, result, err, asJSON)
		}),
	}
	c.Flags().StringVar(&users, "users", "", "Authelia's users file, by which rules about users get their addresses")
	c.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	return c
}

// autheliaAddresses are the addresses of the users in Authelia's users file, by their names.
func autheliaAddresses(path string) (map[string]string, error) {
	data, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	people, err := userimport.Read(userimport.FormatAuthelia, path, data)
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(people))
	for _, p := range people {
		if p.Email != "" {
			out[p.Login] = p.Email
		}
	}
	return out, nil
}

func importOAuth2Proxy() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "oauth2-proxy FILE", Short: "Reads oauth2-proxy's configuration file (TOML)", Args: cobra.ExactArgs(1),
		Example: "  stepgate policy import oauth2-proxy oauth2-proxy.cfg > policy.yaml",
		RunE: run(func(c *cobra.Command, args []string) error {
			data, err := readBounded(args[0])
			if err != nil {
				return err
			}
			result, err := policyimport.OAuth2Proxy(args[0], data, func(path string) ([]byte, error) {
				if !filepath.IsAbs(path) {
					path = filepath.Join(filepath.Dir(args[0]), path)
				}
				return readBounded(path)
			})
			return imported(c, result, err, asJSON)
		}),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "Print JSON")
	return c
}

// readBounded reads a file of another gateway, and a little more than the import takes of one.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &exitError{status: exitUnusable, text: err.Error()}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, policyimport.MaxFile+1))
	if err != nil {
		return nil, &exitError{status: exitUnusable, text: err.Error()}
	}
	return data, nil
}

// imported prints the policy, and on standard error where it differs.
func imported(c *cobra.Command, result policyimport.Result, err error, asJSON bool) error {
	if err != nil {
		return &exitError{status: exitUnusable, text: err.Error()}
	}
	if asJSON {
		err = printJSON(c.OutOrStdout(), result)
	} else {
		_, err = io.WriteString(c.OutOrStdout(), result.Policy)
	}
	if err != nil || len(result.Differs) == 0 {
		return err
	}
	for _, d := range result.Differs {
		fmt.Fprintln(c.ErrOrStderr(), "differs: "+d)
	}
	return &exitError{status: exitFindings}
}
