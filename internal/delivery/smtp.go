package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// SMTP is how mail leaves.
type SMTP struct {
	Host string
	Port int
	// From is the sender, with an optional name: "Stepgate <no-reply@example.com>".
	From     string
	Username string
	Password string
	// ImplicitTLS speaks TLS from the first byte, as on port 465. Otherwise STARTTLS is
	// demanded, and a server without it gets no mail.
	ImplicitTLS bool
	// InsecurePlaintext sends without TLS. It is for test servers on the same host.
	InsecurePlaintext bool
	// TLS overrides the trust in the server's certificate; nil means the system's.
	TLS *tls.Config
	// Timeout of one connection. Default: 15 s.
	Timeout time.Duration
}

// smtpSender sends mail to one server.
type smtpSender struct {
	config SMTP
	from   *mail.Address
}

// NewSMTP returns a Sender of mail. It does not connect.
func NewSMTP(c SMTP) (Sender, error) {
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("sender address %q: %w", c.From, err)
	}
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	s := &smtpSender{config: c, from: from}
	_, err = s.client()
	return s, err
}

func (s *smtpSender) client() (*gomail.Client, error) {
	c := s.config
	options := []gomail.Option{gomail.WithPort(c.Port), gomail.WithTimeout(c.Timeout), gomail.WithTLSPolicy(gomail.TLSMandatory)}
	switch {
	case c.ImplicitTLS:
		options = append(options, gomail.WithSSL())
	case c.InsecurePlaintext:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if c.TLS != nil {
		options = append(options, gomail.WithTLSConfig(c.TLS))
	}
	if c.Username != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(c.Username), gomail.WithPassword(c.Password))
	}
	client, err := gomail.NewClient(c.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("mail server %s:%d: %w", c.Host, c.Port, err)
	}
	return client, nil
}

// Send implements Sender.
func (s *smtpSender) Send(ctx context.Context, m Message) error {
	if strings.ContainsAny(m.To+m.Subject, "\r\n\x00") {
		return fmt.Errorf("%w: a header has a line break", ErrRejected)
	}
	msg := gomail.NewMsg()
	msg.FromMailAddress(s.from)
	if err := msg.To(m.To); err != nil {
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	msg.Subject(m.Subject)
	msg.SetMessageID()
	msg.SetDate()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	var failed *gomail.SendError
	if errors.As(err, &failed) && !failed.IsTemp() && failed.Reason != gomail.ErrConnCheck && failed.ErrorCode() >= 500 {
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	if err != nil {
		return fmt.Errorf("send mail by %s:%d: %w", s.config.Host, s.config.Port, err)
	}
	return nil
}
