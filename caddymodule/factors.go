package caddymodule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/factors/magiclink"
	"github.com/stepgate/stepgate/factors/otp"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/flow"
)

func init() {
	caddy.RegisterModule(&PasswordFactor{})
	caddy.RegisterModule(&MagicLinkFactor{})
	caddy.RegisterModule(&EmailOTPFactor{})
	caddy.RegisterModule(&SMSOTPFactor{})
	caddy.RegisterModule(&WhatsAppOTPFactor{})
	caddy.RegisterModule(&TOTPFactor{})
}

const (
	defaultCodeLife = otp.DefaultLife
	defaultLinkLife = magiclink.DefaultLife
)

// FactorGuest is what modules in the namespace stepgate.factors provide.
type FactorGuest interface {
	// apply adds what the factor needs to the options of the engine. It runs while the
	// configuration is read.
	apply(a *App, o *flow.Options) error
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

func (f *PasswordFactor) apply(a *App, _ *flow.Options) error {
	a.hashing = *f
	return nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	password {
//		breach_file <path>
//	}
func (f *PasswordFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return onlyOptions(d, "breach_file", func(option string) (bool, error) {
		if option != "breach_file" {
			return false, nil
		}
		return true, oneArg(d, &f.BreachFile)
	})
}

// breaches opens the file of stolen passwords; nil when there is none. The file is closed
// when nothing of its configuration is left.
func (f *PasswordFactor) breaches() (password.BreachChecker, error) {
	if f.BreachFile == "" {
		return nil, nil
	}
	return password.OpenBreachFile(f.BreachFile)
}

// MagicLinkFactor offers links by e-mail.
type MagicLinkFactor struct {
	// Life is how long a link works, 5m to 7d.
	// Default: 1h.
	Life caddy.Duration `json:"life,omitempty"`
}

// CaddyModule implements caddy.Module.
func (*MagicLinkFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.magic_link", New: func() caddy.Module { return new(MagicLinkFactor) }}
}

// Validate implements caddy.Validator.
func (f *MagicLinkFactor) Validate() error {
	if life := time.Duration(f.Life); life != 0 && (life < magiclink.MinLife || life > magiclink.MaxLife) {
		return fmt.Errorf("magic_link: life is %s to %s", magiclink.MinLife, magiclink.MaxLife)
	}
	return nil
}

func (f *MagicLinkFactor) apply(_ *App, o *flow.Options) error {
	if f.Life != 0 {
		o.LinkLife = time.Duration(f.Life)
	}
	return nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	magic_link {
//		life <duration>
//	}
func (f *MagicLinkFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return onlyOptions(d, "life", lifeOption(d, &f.Life))
}

// EmailOTPFactor offers codes by e-mail.
type EmailOTPFactor struct {
	// Life is how long a code works, 1m to 10m. Codes by SMS and WhatsApp work as long.
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

func (f *EmailOTPFactor) apply(_ *App, o *flow.Options) error {
	if f.Life != 0 {
		o.CodeLife = time.Duration(f.Life)
	}
	return nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	email_otp {
//		life <duration>
//	}
func (f *EmailOTPFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return onlyOptions(d, "life", lifeOption(d, &f.Life))
}

// SMSOTPFactor offers codes by text message. It needs the option sms. Text messages can be
// read and redirected on their way; a passkey or an authenticator app is safer.
type SMSOTPFactor struct{ Phones }

// Phones says which numbers codes are sent to.
type Phones struct {
	// Countries lists the regions whose numbers are accepted, by their two letters (ISO 3166).
	// Numbers of no region belong to none of them.
	// Default: all.
	Countries []string `json:"countries,omitempty"`
}

func (p *Phones) apply(a *App, o *flow.Options, c delivery.Channel, name string) error {
	if a.makers[c] == nil {
		return fmt.Errorf("%s is offered, and nothing says how such messages are sent; add the option %s", name, c)
	}
	if len(p.Countries) > 0 && len(o.Countries) > 0 && !slices.Equal(p.Countries, o.Countries) {
		return fmt.Errorf("countries of sms_otp and whatsapp_otp differ; a number belongs to the account, not to one of them")
	}
	for _, code := range p.Countries {
		if len(code) != 2 || code != strings.ToUpper(code) {
			return fmt.Errorf("%s: %q is no country; write its two capital letters, such as GB", name, code)
		}
	}
	if len(p.Countries) > 0 {
		o.Countries = p.Countries
	}
	return nil
}

func (p *Phones) unmarshal(d *caddyfile.Dispenser) error {
	return onlyOptions(d, "countries", func(option string) (bool, error) {
		if option != "countries" {
			return false, nil
		}
		if p.Countries = d.RemainingArgs(); len(p.Countries) == 0 {
			return true, d.ArgErr()
		}
		return true, nil
	})
}

// CaddyModule implements caddy.Module.
func (*SMSOTPFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.sms_otp", New: func() caddy.Module { return new(SMSOTPFactor) }}
}

func (f *SMSOTPFactor) apply(a *App, o *flow.Options) error {
	return f.Phones.apply(a, o, delivery.SMS, "sms_otp")
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	sms_otp {
//		countries <country>...
//	}
func (f *SMSOTPFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return f.unmarshal(d) }

// WhatsAppOTPFactor offers codes by WhatsApp. It needs the option whatsapp.
type WhatsAppOTPFactor struct{ Phones }

// CaddyModule implements caddy.Module.
func (*WhatsAppOTPFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.whatsapp_otp", New: func() caddy.Module { return new(WhatsAppOTPFactor) }}
}

func (f *WhatsAppOTPFactor) apply(a *App, o *flow.Options) error {
	return f.Phones.apply(a, o, delivery.WhatsApp, "whatsapp_otp")
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	whatsapp_otp {
//		countries <country>...
//	}
func (f *WhatsAppOTPFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return f.unmarshal(d) }

// TOTPFactor offers authenticator apps, with recovery codes.
type TOTPFactor struct{}

// CaddyModule implements caddy.Module.
func (*TOTPFactor) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.factors.totp", New: func() caddy.Module { return new(TOTPFactor) }}
}

func (*TOTPFactor) apply(*App, *flow.Options) error { return nil }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	totp
func (*TOTPFactor) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return bare(d) }

// Interface guards.
var (
	_ FactorGuest           = (*PasswordFactor)(nil)
	_ FactorGuest           = (*MagicLinkFactor)(nil)
	_ FactorGuest           = (*EmailOTPFactor)(nil)
	_ FactorGuest           = (*SMSOTPFactor)(nil)
	_ FactorGuest           = (*WhatsAppOTPFactor)(nil)
	_ FactorGuest           = (*TOTPFactor)(nil)
	_ caddy.Validator       = (*PasswordFactor)(nil)
	_ caddy.Validator       = (*MagicLinkFactor)(nil)
	_ caddy.Validator       = (*EmailOTPFactor)(nil)
	_ caddyfile.Unmarshaler = (*PasswordFactor)(nil)
	_ caddyfile.Unmarshaler = (*MagicLinkFactor)(nil)
	_ caddyfile.Unmarshaler = (*EmailOTPFactor)(nil)
	_ caddyfile.Unmarshaler = (*SMSOTPFactor)(nil)
	_ caddyfile.Unmarshaler = (*WhatsAppOTPFactor)(nil)
	_ caddyfile.Unmarshaler = (*TOTPFactor)(nil)
)
