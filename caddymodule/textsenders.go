package caddymodule

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/internal/delivery"
)

func init() {
	caddy.RegisterModule(&WebhookSender{})
	caddy.RegisterModule(&TwilioSender{})
	caddy.RegisterModule(&MetaSender{})
}

// WebhookSender posts text messages and WhatsApp messages as JSON to a service of your own,
// signed as Standard Webhooks has it. A message that is tried again has the same webhook-id.
type WebhookSender struct {
	// URL that messages are posted to, with https. Placeholders {file.*} and {env.*} are read
	// at load.
	URL string `json:"url"`
	// Secret that requests are signed with: “whsec_” and base64 of at least 24 bytes, or any
	// other text of at least 24 bytes. Placeholders {file.*} and {env.*} are read at load.
	Secret string `json:"secret"`
	// InsecurePlaintext allows a URL with http, for test servers.
	// Default: false.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`

	config delivery.Webhook
}

// CaddyModule implements caddy.Module.
func (*WebhookSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.senders.webhook", New: func() caddy.Module { return new(WebhookSender) }}
}

// Provision implements caddy.Provisioner.
func (s *WebhookSender) Provision(caddy.Context) error {
	s.config = delivery.Webhook{InsecurePlaintext: s.InsecurePlaintext}
	return resolve(
		setting{"url", s.URL, &s.config.URL},
		setting{"secret", s.Secret, &s.config.Secret},
	)
}

// Validate implements caddy.Validator.
func (s *WebhookSender) Validate() error {
	_, err := delivery.NewWebhook(s.config, time.Now)
	return err
}

// carries implements SenderMaker.
func (*WebhookSender) carries(c delivery.Channel) bool {
	return c == delivery.SMS || c == delivery.WhatsApp
}

// sender implements SenderMaker.
func (s *WebhookSender) sender(*runtime) (delivery.Sender, error) {
	return delivery.NewWebhook(s.config, time.Now)
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	webhook <url> {
//		secret <secret>
//		insecure_plaintext
//	}
func (s *WebhookSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.Args(&s.URL) || d.NextArg() {
		return d.ArgErr()
	}
	return readOptions(d, "secret or insecure_plaintext", func(option string) (found bool, err error) {
		switch option {
		case "secret":
			return true, oneArg(d, &s.Secret)
		case "insecure_plaintext":
			return true, flagOption(d, &s.InsecurePlaintext)
		}
		return false, nil
	})
}

// TwilioSender sends text messages and WhatsApp messages by Twilio, or by a service with the
// same API.
type TwilioSender struct {
	// AccountSID is the account that pays; it begins with AC. Placeholders {file.*} and
	// {env.*} are read at load.
	AccountSID string `json:"account_sid"`
	// AuthToken of the account. Placeholders {file.*} and {env.*} are read at load.
	// Default: none; then an API key is needed.
	AuthToken string `json:"auth_token,omitempty"`
	// APIKey logs in instead of the auth token; it begins with SK. Placeholders {file.*} and
	// {env.*} are read at load.
	// Default: none; then an auth token is needed.
	APIKey string `json:"api_key,omitempty"`
	// APISecret belongs to the API key. Placeholders {file.*} and {env.*} are read at load.
	// Default: none.
	APISecret string `json:"api_secret,omitempty"`
	// From is the sender: a number like +12125550100, or for SMS a short code or a name of up
	// to 11 letters and digits.
	// Default: none; then a messaging service is needed.
	From string `json:"from,omitempty"`
	// MessagingService chooses the sender instead; its SID begins with MG.
	// Default: none; then a sender is needed.
	MessagingService string `json:"messaging_service,omitempty"`
	// ContentSID is the approved template of WhatsApp messages; it begins with HX. Its
	// variable 1 is the code.
	// Default: none; then WhatsApp delivers only to people who wrote to the sender within
	// the last 24 hours.
	ContentSID string `json:"content_sid,omitempty"`
	// APIBase is the address of the API, such as one of another region.
	// Default: https://api.twilio.com.
	APIBase string `json:"api_base,omitempty"`
	// InsecurePlaintext allows an address with http, for test servers.
	// Default: false.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`

	config delivery.Twilio
}

// CaddyModule implements caddy.Module.
func (*TwilioSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.senders.twilio", New: func() caddy.Module { return new(TwilioSender) }}
}

// Provision implements caddy.Provisioner.
func (s *TwilioSender) Provision(caddy.Context) error {
	s.config = delivery.Twilio{
		From: s.From, MessagingService: s.MessagingService, ContentSID: s.ContentSID, BaseURL: s.APIBase, InsecurePlaintext: s.InsecurePlaintext,
	}
	return resolve(
		setting{"account_sid", s.AccountSID, &s.config.AccountSID},
		setting{"auth_token", s.AuthToken, &s.config.AuthToken},
		setting{"api_key", s.APIKey, &s.config.APIKey},
		setting{"api_key", s.APISecret, &s.config.APISecret},
	)
}

// Validate implements caddy.Validator.
func (s *TwilioSender) Validate() error {
	_, err := delivery.NewTwilio(s.config)
	return err
}

// carries implements SenderMaker.
func (s *TwilioSender) carries(c delivery.Channel) bool { return s.config.Carries(c) }

// sender implements SenderMaker.
func (s *TwilioSender) sender(*runtime) (delivery.Sender, error) { return delivery.NewTwilio(s.config) }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	twilio {
//		account_sid <sid>
//		auth_token <secret>
//		api_key <sid> <secret>
//		from <number>
//		messaging_service <sid>
//		content_sid <sid>
//		api_base <url>
//		insecure_plaintext
//	}
func (s *TwilioSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	const all = "account_sid, auth_token, api_key, from, messaging_service, content_sid, api_base or insecure_plaintext"
	return readOptions(d, all, func(option string) (found bool, err error) {
		switch option {
		case "account_sid":
			return true, oneArg(d, &s.AccountSID)
		case "auth_token":
			return true, oneArg(d, &s.AuthToken)
		case "api_key":
			if !d.Args(&s.APIKey, &s.APISecret) || d.NextArg() {
				return true, d.ArgErr()
			}
			return true, nil
		case "from":
			return true, oneArg(d, &s.From)
		case "messaging_service":
			return true, oneArg(d, &s.MessagingService)
		case "content_sid":
			return true, oneArg(d, &s.ContentSID)
		case "api_base":
			return true, oneArg(d, &s.APIBase)
		case "insecure_plaintext":
			return true, flagOption(d, &s.InsecurePlaintext)
		}
		return false, nil
	})
}

// MetaSender sends WhatsApp messages by the Cloud API of Meta. They have the text of an
// approved template.
type MetaSender struct {
	// PhoneNumberID is the sender, as Meta numbers it; it is no phone number. Placeholders
	// {file.*} and {env.*} are read at load.
	PhoneNumberID string `json:"phone_number_id"`
	// AccessToken of a system user with the permission whatsapp_business_messaging.
	// Placeholders {file.*} and {env.*} are read at load.
	AccessToken string `json:"access_token"`
	// Template is the name of an approved template of the category authentication, with a
	// button that copies or fills in the code.
	Template string `json:"template"`
	// Language of the template.
	// Default: en_US.
	Language string `json:"language,omitempty"`
	// GraphVersion of the API.
	// Default: v23.0.
	GraphVersion string `json:"graph_version,omitempty"`
	// APIBase is the address of the API.
	// Default: https://graph.facebook.com.
	APIBase string `json:"api_base,omitempty"`
	// InsecurePlaintext allows an address with http, for test servers.
	// Default: false.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`

	config delivery.Meta
}

// CaddyModule implements caddy.Module.
func (*MetaSender) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.senders.meta", New: func() caddy.Module { return new(MetaSender) }}
}

// Provision implements caddy.Provisioner.
func (s *MetaSender) Provision(caddy.Context) error {
	s.config = delivery.Meta{
		Template: s.Template, Language: s.Language, GraphVersion: s.GraphVersion, BaseURL: s.APIBase, InsecurePlaintext: s.InsecurePlaintext,
	}
	return resolve(
		setting{"phone_number_id", s.PhoneNumberID, &s.config.PhoneNumberID},
		setting{"access_token", s.AccessToken, &s.config.AccessToken},
	)
}

// Validate implements caddy.Validator.
func (s *MetaSender) Validate() error {
	_, err := delivery.NewMeta(s.config)
	return err
}

// carries implements SenderMaker.
func (*MetaSender) carries(c delivery.Channel) bool { return c == delivery.WhatsApp }

// sender implements SenderMaker.
func (s *MetaSender) sender(*runtime) (delivery.Sender, error) { return delivery.NewMeta(s.config) }

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	meta {
//		phone_number_id <id>
//		access_token <secret>
//		template <name> [<language>]
//		graph_version <version>
//		api_base <url>
//		insecure_plaintext
//	}
func (s *MetaSender) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	const all = "phone_number_id, access_token, template, graph_version, api_base or insecure_plaintext"
	return readOptions(d, all, func(option string) (found bool, err error) {
		switch option {
		case "phone_number_id":
			return true, oneArg(d, &s.PhoneNumberID)
		case "access_token":
			return true, oneArg(d, &s.AccessToken)
		case "template":
			args := d.RemainingArgs()
			if len(args) < 1 || len(args) > 2 {
				return true, d.ArgErr()
			}
			s.Template = args[0]
			if len(args) == 2 {
				s.Language = args[1]
			}
			return true, nil
		case "graph_version":
			return true, oneArg(d, &s.GraphVersion)
		case "api_base":
			return true, oneArg(d, &s.APIBase)
		case "insecure_plaintext":
			return true, flagOption(d, &s.InsecurePlaintext)
		}
		return false, nil
	})
}

// setting is an option whose placeholders are read at load, into a field that no dump of the
// configuration shows.
type setting struct {
	name, text string
	into       *string
}

// resolve reads the placeholders of settings. One that is not set, or is empty, is an error.
func resolve(settings ...setting) error {
	for _, one := range settings {
		if one.text == "" {
			continue
		}
		value, err := caddy.NewReplacer().ReplaceOrErr(one.text, true, true)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		*one.into = value
	}
	return nil
}

// Interface guards.
var (
	_ SenderMaker           = (*WebhookSender)(nil)
	_ SenderMaker           = (*TwilioSender)(nil)
	_ SenderMaker           = (*MetaSender)(nil)
	_ caddy.Provisioner     = (*WebhookSender)(nil)
	_ caddy.Provisioner     = (*TwilioSender)(nil)
	_ caddy.Provisioner     = (*MetaSender)(nil)
	_ caddy.Validator       = (*WebhookSender)(nil)
	_ caddy.Validator       = (*TwilioSender)(nil)
	_ caddy.Validator       = (*MetaSender)(nil)
	_ caddyfile.Unmarshaler = (*WebhookSender)(nil)
	_ caddyfile.Unmarshaler = (*TwilioSender)(nil)
	_ caddyfile.Unmarshaler = (*MetaSender)(nil)
)
