package caddymodule

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/factors/otp"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/internal/flow"
)

func init() {
	caddy.RegisterModule(&PasswordFactor{})
	caddy.RegisterModule(&EmailOTPFactor{})
	caddy.RegisterModule(&TOTPFactor{})
}

const defaultCodeLife = otp.DefaultLife

// FactorGuest is what modules in the namespace stepgate.factors provide.
type FactorGuest interface {
	apply(a *App, o *flow.Options)
}

// PasswordFactor offers passwords, hashed with argon2id.
type PasswordFactor struct {
	// MemoryKiB of one hash.
	// Default: 19456.
	MemoryKiB uint32 `json:"memory_kib,omitempty"`
	// Iterations over the memory.
	// Default: 2.
	Iterations int `json:"iterations,omitempty"`
	// Concurrent bounds the hashes that are computed at once.
	// Default: 4.
	Concurrent int `json:"concurrent,omitempty"`
	// BreachFile is a file of stolen passwords, which nobody may choose: upper-case SHA-1
	// hashes in ascending order, one in a line, each with an optional ":COUNT".
	// Default: none.
	BreachFile string `json:"breach_file,omitempty"`
}

// CaddyModule implements caddy.Module.
func (*PasswordFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.password", New: func() caddy.Module { return new(PasswordFactor) }}
}

// Validate implements caddy.Validator.
func (f *PasswordFactor) Validate() error {
	if f.MemoryKiB != 0 && f.MemoryKiB < 7<<10 || f.MemoryKiB > 4<<20 || f.Iterations < 0 || f.Iterations > 100 || f.Concurrent < 0 || f.Concurrent > 1000 {
		return fmt.Errorf("password: memory_kib is 7168 to 4194304, iterations 1 to 100, concurrent 1 to 1000")
	}
	return nil
}

func (f *PasswordFactor) apply(a *App, _ *flow.Options) { a.hashing = *f }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	password {
//		breach_file <path>
//	}
func (f *PasswordFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "breach_file" {
			return d.Errf("unrecognized option %q; expected breach_file", d.Val())
		}
		if f.BreachFile != "" {
			return d.Err("breach_file is given twice")
		}
		if err := oneArg(d, &f.BreachFile); err != nil {
			return err
		}
	}
	return nil
}

// breaches opens the file of stolen passwords; nil when there is none. The file is closed
// when nothing of its configuration is left.
func (f *PasswordFactor) breaches() (password.BreachChecker, error) {
	if f.BreachFile == "" {
		return nil, nil
	}
	return password.OpenBreachFile(f.BreachFile)
}

// EmailOTPFactor offers codes by e-mail.
type EmailOTPFactor struct {
	// Life is how long a code works, 1m to 10m.
	// Default: 2m.
	Life caddy.Duration `json:"life,omitempty"`
}

// CaddyModule implements caddy.Module.
func (*EmailOTPFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.email_otp", New: func() caddy.Module { return new(EmailOTPFactor) }}
}

// Validate implements caddy.Validator.
func (f *EmailOTPFactor) Validate() error {
	if life := time.Duration(f.Life); life != 0 && (life < otp.MinLife || life > otp.MaxLife) {
		return fmt.Errorf("email_otp: life is %s to %s", otp.MinLife, otp.MaxLife)
	}
	return nil
}

func (f *EmailOTPFactor) apply(_ *App, o *flow.Options) {
	if f.Life != 0 {
		o.CodeLife = time.Duration(f.Life)
	}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	email_otp {
//		life <duration>
//	}
func (f *EmailOTPFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() != "life" {
			return d.Errf("unrecognized option %q; expected life", d.Val())
		}
		var text string
		if f.Life != 0 || !d.Args(&text) || d.NextArg() {
			return d.ArgErr()
		}
		span, err := caddy.ParseDuration(text)
		if err != nil {
			return d.Errf("life: %v", err)
		}
		f.Life = caddy.Duration(span)
	}
	return nil
}

// TOTPFactor offers authenticator apps, with recovery codes.
type TOTPFactor struct{}

// CaddyModule implements caddy.Module.
func (*TOTPFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.totp", New: func() caddy.Module { return new(TOTPFactor) }}
}

func (*TOTPFactor) apply(*App, *flow.Options) {}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	totp
func (*TOTPFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return bare(d) }

// bare reads an option without arguments and block.
func bare(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return noBlock(d)
}

// Interface guards.
var (
	_ FactorGuest           = (*PasswordFactor)(nil)
	_ FactorGuest           = (*EmailOTPFactor)(nil)
	_ FactorGuest           = (*TOTPFactor)(nil)
	_ caddy.Validator       = (*PasswordFactor)(nil)
	_ caddy.Validator       = (*EmailOTPFactor)(nil)
	_ caddyfile.Unmarshaler = (*PasswordFactor)(nil)
	_ caddyfile.Unmarshaler = (*EmailOTPFactor)(nil)
	_ caddyfile.Unmarshaler = (*TOTPFactor)(nil)
)
