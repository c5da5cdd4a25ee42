package policyimport

import (
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// proxyConfig is oauth2-proxy's configuration file, by the names of its options.
type proxyConfig struct {
	file   string
	values map[string]any
}

func readProxy(name string, data []byte) (*proxyConfig, error) {
	if len(data) > MaxFile {
		return nil, inputError("%s is larger than %d MiB", name, MaxFile>>20)
	}
	c := &proxyConfig{file: name, values: make(map[string]any)}
	if err := toml.Unmarshal(data, &c.values); err != nil {
		return nil, inputError("%s: %v", name, err)
	}
	return c, nil
}

// texts is an option that may be given several times: a list, or one text with commas.
func (c *proxyConfig) texts(option string) ([]string, error) {
	var out []string
	switch v := c.values[option].(type) {
	case nil:
	case string:
		out = strings.Split(v, ",")
	case []any:
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return nil, inputError("%s: %s: expected texts", c.file, option)
			}
			out = append(out, s)
		}
	default:
		return nil, inputError("%s: %s: expected a text or a list of texts", c.file, option)
	}
	out = slices.DeleteFunc(out, func(s string) bool { return s == "" })
	if len(out) > maxEntries {
		return nil, inputError("%s: %s has more entries than are read", c.file, option)
	}
	return out, nil
}

// is tells whether an option is switched on. Anything but false and nothing is on, as far as
// the policy has to reckon with it.
func (c *proxyConfig) is(option string) bool {
	switch v := c.values[option].(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != "" && v != "false"
	}
	return true
}

// emails reads a file of addresses: the first field of each line, “#” begins a comment.
func emails(data []byte) ([]string, error) {
	if len(data) > MaxFile {
		return nil, inputError("the file of addresses is larger than %d MiB", MaxFile>>20)
	}
	var out []string
	known := make(map[string]bool)
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		field, _, _ := strings.Cut(line, ",")
		address := strings.ToLower(strings.Trim(strings.TrimSpace(field), `"`))
		if address == "" || known[address] {
			continue
		}
		known[address] = true
		if len(out) == maxEntries {
			return nil, fmt.Errorf("%w: more than %d addresses", ErrInput, maxEntries)
		}
		out = append(out, address)
	}
	return out, nil
}
