package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// oneArg reads an option with one argument.
func oneArg(d *caddyfile.Dispenser, into *string) error {
	if !d.Args(into) || d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// readOptions reads a block in which no option stands twice. read reports
// whether it knows an option; expected lists those that it knows.
func readOptions(d *caddyfile.Dispenser, expected string, read func(option string) (bool, error)) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		found, err := read(option)
		if err != nil {
			return err
		}
		if !found {
			return d.Errf("unrecognized option %q; expected %s", option, expected)
		}
	}
	return nil
}

// flagOption reads an option without arguments.
func flagOption(d *caddyfile.Dispenser, into *bool) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	*into = true
	return nil
}

// bare reads an option without arguments and block.
func bare(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return noBlock(d)
}

// onlyOptions reads a name without arguments and its block.
func onlyOptions(d *caddyfile.Dispenser, expected string, read func(option string) (found bool, err error)) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return readOptions(d, expected, read)
}

// lifeOption reads the option life.
func lifeOption(d *caddyfile.Dispenser, into *caddy.Duration) func(string) (bool, error) {
	return func(option string) (bool, error) {
		if option != "life" {
			return false, nil
		}
		return true, duration(d, into)
	}
}

// duration reads a span of time, which is the only argument.
func duration(d *caddyfile.Dispenser, into *caddy.Duration) error {
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	span, err := caddy.ParseDuration(text)
	if err != nil || span <= 0 {
		return d.Errf("%q is no duration; write one like 10m or 1h", text)
	}
	*into = caddy.Duration(span)
	return nil
}
