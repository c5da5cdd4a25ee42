package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/internal/delivery"
)

func init() {
	caddy.RegisterModule(&SMTPSender{})
	caddy.RegisterModule(&OutboxSender{})
}

// SenderMaker is what modules in the namespace stepgate.senders provide.
type SenderMaker interface {
	// carries tells whether the sender can be used for a channel.
	carries(c delivery.Channel) bool
	// sender returns the sender for a store. It does not connect.
	sender(rt *runtime) (delivery.Sender, error)
}

// provisionSenders loads the sender of each channel.
func (a *App) provisionSenders(ctx caddy.Context) error {
	a.makers = make(map[delivery.Channel]SenderMaker)
	for _, one := range []struct {
		channel     delivery.Channel
		name, field string
		raw         json.RawMessage
	}{
		{delivery.Email, "mail", "MailRaw", a.MailRaw},
		{delivery.SMS, "sms", "SMSRaw", a.SMSRaw},
		{delivery.WhatsApp, "whatsapp", "WhatsAppRaw", a.WhatsAppRaw},
	} {
		if one.raw == nil {
			continue
		}
		mod, err := ctx.LoadModule(a, one.field)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		maker, ok := mod.(SenderMaker)
		if !ok {
			return fmt.Errorf("%s: module %T is no sender", one.name, mod)
		}
		if !maker.carries(one.channel) {
			return fmt.Errorf("%s: this sender cannot send such messages", one.name)
		}
		a.makers[one.channel] = maker
	}
	return nil
}

// senders makes the senders of all channels.
func (a *App) senders(rt *runtime) (map[delivery.Channel]delivery.Sender, error) {
	out := make(map[delivery.Channel]delivery.Sender)
	for channel, maker := range a.makers {
		s, err := maker.sender(rt)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", channel, err)
		}
		out[channel] = s
	}
	return out, nil
}

// keepsMessages tells whether any channel is kept for the outbox page.
func (a *App) keepsMessages() bool {
	for _, maker := range a.makers {
		if _, kept := maker.(*OutboxSender); kept {
			return true
		}
	}
	return false
}

// OutboxSender keeps messages for the outbox page instead of sending them. The page answers
// on loopback hosts to loopback clients only. It is for demonstrations and tests.
type OutboxSender struct{}

// CaddyModule implements caddy.Module.
func (*OutboxSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.senders.outbox", New: func() caddy.Module { return new(OutboxSender) }}
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	outbox
func (*OutboxSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	return noBlock(d)
}

// carries implements SenderMaker.
func (*OutboxSender) carries(delivery.Channel) bool { return true }

// sender implements SenderMaker.
func (*OutboxSender) sender(rt *runtime) (delivery.Sender, error) { return rt.outbox, nil }

// SMTPSender sends mail by SMTP. STARTTLS is demanded unless the port is 465, where TLS is
// spoken from the first byte.
type SMTPSender struct {
	// Address of the server, with its port.
	Address string `json:"address"`
	// From is the sender of all mail, with an optional name.
	From string `json:"from"`
	// Username to log in with. Placeholders {file.*} and {env.*} are read at load.
	// Default: no login.
	Username string `json:"username,omitempty"`
	// Password to log in with. Placeholders {file.*} and {env.*} are read at load.
	// Default: none.
	Password string `json:"password,omitempty"`
	// Timeout of one connection.
	// Default: 15s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// InsecurePlaintext sends without TLS, for test servers.
	// Default: false.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`

	config delivery.SMTP
}

// CaddyModule implements caddy.Module.
func (*SMTPSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.senders.smtp", New: func() caddy.Module { return new(SMTPSender) }}
}

// Provision implements caddy.Provisioner.
func (s *SMTPSender) Provision(caddy.Context) error {
	host, portText, err := net.SplitHostPort(s.Address)
	if err != nil {
		return fmt.Errorf("address of the mail server: %w; write it like smtp.example.com:587", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil || port < 1 || port > 65535 {
		return fmt.Errorf("address of the mail server: %q is no port", portText)
	}
	if s.From == "" {
		return errors.New("from is missing: the address that mail comes from")
	}
	s.config = delivery.SMTP{
		Host: host, Port: port, From: s.From, ImplicitTLS: port == 465,
		InsecurePlaintext: s.InsecurePlaintext, Timeout: time.Duration(s.Timeout),
	}
	for _, secret := range []struct {
		text string
		into *string
	}{{s.Username, &s.config.Username}, {s.Password, &s.config.Password}} {
		if secret.text == "" {
			continue
		}
		if *secret.into, err = caddy.NewReplacer().ReplaceOrErr(secret.text, true, true); err != nil {
			return fmt.Errorf("login of the mail server: %w", err)
		}
	}
	_, err = delivery.NewSMTP(s.config)
	return err
}

// carries implements SenderMaker.
func (*SMTPSender) carries(c delivery.Channel) bool { return c == delivery.Email }

// sender implements SenderMaker.
func (s *SMTPSender) sender(*runtime) (delivery.Sender, error) { return delivery.NewSMTP(s.config) }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	smtp <host:port> {
//		from <address>
//		username <name>
//		password <secret>
//		timeout <duration>
//		insecure_plaintext
//	}
func (s *SMTPSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.Args(&s.Address) || d.NextArg() {
		return d.ArgErr()
	}
	return readOptions(d, "from, username, password, timeout or insecure_plaintext", func(option string) (bool, error) {
		switch option {
		case "from":
			return true, oneArg(d, &s.From)
		case "username":
			return true, oneArg(d, &s.Username)
		case "password":
			return true, oneArg(d, &s.Password)
		case "timeout":
			return true, duration(d, &s.Timeout)
		case "insecure_plaintext":
			return true, flagOption(d, &s.InsecurePlaintext)
		}
		return false, nil
	})
}

// Interface guards.
var (
	_ SenderMaker           = (*SMTPSender)(nil)
	_ SenderMaker           = (*OutboxSender)(nil)
	_ caddy.Provisioner     = (*SMTPSender)(nil)
	_ caddyfile.Unmarshaler = (*SMTPSender)(nil)
	_ caddyfile.Unmarshaler = (*OutboxSender)(nil)
)
