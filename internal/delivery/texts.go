package delivery

import (
	"errors"
	"net"
	"net/netip"
	"regexp"
	"strings"
)

// segment is how many characters of the GSM alphabet one text message has.
const segment = 160

var (
	// textCode is a code that a text can carry.
	textCode = regexp.MustCompile(`^[A-Za-z0-9]{1,15}$`)
	label    = `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	// plainHost is a name that a text shows; originHost is one of two or more labels, the
	// last of which is no number.
	plainHost  = regexp.MustCompile(`^` + label + `(\.` + label + `)*$`)
	originHost = regexp.MustCompile(`^(` + label + `\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// SMSCode is the text message with a sign-in code. Its last line binds the code to the host, so
// that a browser fills it in there and nowhere else:
// https://wicg.github.io/sms-one-time-codes/. The line is left out when Host is no real host
// name, such as an IP address or localhost.
//
// The text has characters of the GSM alphabet only. It fits one message with a code of six
// digits and a host of up to 128 characters. The code is 1 to 15 ASCII letters and digits.
func SMSCode(l Letter) (Message, error) {
	m, err := textMessage(SMS, l)
	if err != nil {
		return Message{}, err
	}
	if !originHost.MatchString(m.Host) || len(m.Host) > 253 {
		return m, nil
	}
	bound := "\n\n@" + m.Host + " #" + m.Code
	if len(m.Text)+len(bound) > segment {
		m.Text = m.Code + " is your code."
	}
	m.Text += bound
	return m, nil
}

// WhatsAppCode is the WhatsApp message with a sign-in code. Senders that use templates send the
// code only. The code is 1 to 15 ASCII letters and digits.
func WhatsAppCode(l Letter) (Message, error) { return textMessage(WhatsApp, l) }

// textMessage is the message without the last line.
func textMessage(c Channel, l Letter) (Message, error) {
	if !textCode.MatchString(l.Code) {
		return Message{}, errors.New("compose a text message: the code is empty, too long, or has other characters than letters and digits")
	}
	shown, name := textHost(l.Host)
	text := l.Code + " is your code"
	if shown != "" {
		text += " for " + shown
	}
	text += ". It works once, for " + l.Minutes() + ". Tell it to nobody."
	return Message{Channel: c, To: l.To, Text: text, Code: l.Code, Host: name}, nil
}

// textHost returns how a text names a host, and the host without its port. Both are empty for
// what is no host, such as the name of an installation.
func textHost(host string) (shown, name string) {
	host = strings.ToLower(host)
	name = host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	address, err := netip.ParseAddr(strings.Trim(name, "[]"))
	switch {
	case err == nil && address.Zone() == "":
		return address.String(), address.String()
	case plainHost.MatchString(name) && len(name) <= 253:
		return name, name
	}
	return "", ""
}
