package delivery

import (
	"strings"
	"testing"
	"time"
)

// gsm are the characters of the GSM alphabet that take one place each, of those in ASCII
// (3GPP TS 23.038, 6.2.1).
const gsm = "\n !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

func TestSMSCode(t *testing.T) {
	m, err := SMSCode(Letter{To: "+442079460958", Host: "wiki.example.com", Code: "747723", Life: 2 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	want := Message{
		Channel: SMS, To: "+442079460958", Code: "747723", Host: "wiki.example.com",
		Text: "747723 is your code for wiki.example.com. It works once, for 2 minutes. Tell it to nobody.\n\n@wiki.example.com #747723",
	}
	if m != want {
		t.Errorf("%+v", m)
	}
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 59) + ".example"
	for host, last := range map[string]string{
		"example.com":                     "@example.com #747723",
		"WIKI.Example.com":                "@wiki.example.com #747723",
		"wiki.example.com:8443":           "@wiki.example.com #747723",
		"a-1.xn--bcher-kva.example":       "@a-1.xn--bcher-kva.example #747723",
		"authentication.intranet.acme.eu": "@authentication.intranet.acme.eu #747723",
		long:                              "@" + long + " #747723",
		"localhost":                       "",
		"localhost:18080":                 "",
		"127.0.0.1":                       "",
		"127.0.0.1:8080":                  "",
		"127.1":                           "",
		"[::1]:8080":                      "",
		"[2001:db8::1]":                   "",
		"":                                "",
		"Wiki of Acme":                    "",
		"example.com.":                    "",
		".example.com":                    "",
		"-a.example.com":                  "",
		"bücher.example":                  "",
		"a_b.example.com":                 "",
		"example.com@evil.test":           "",
		"example.com #1":                  "",
		"example.com\n@evil.test":         "",
		"example.com\r":                   "",
	} {
		m, err := SMSCode(Letter{Host: host, Code: "747723", Life: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		_, bound, found := strings.Cut(m.Text, "\n\n")
		if bound != last || found != (last != "") || strings.Count(m.Text, "@") > 1 {
			t.Errorf("%q: %q", host, m.Text)
		}
		if len(m.Text) > segment || strings.Trim(m.Text, gsm) != "" || !strings.HasPrefix(m.Text, "747723 is your code") {
			t.Errorf("%q: no single message: %d, %q", host, len(m.Text), m.Text)
		}
	}
	for _, code := range []string{"", " ", "12 34", "12\n34", "１２３４", strings.Repeat("1", 16)} {
		if _, err := SMSCode(Letter{Host: "example.com", Code: code}); err == nil || code != "" && strings.Contains(err.Error(), code+"1") {
			t.Errorf("%q: %v", code, err)
		}
	}
}

// What a person sends as a host writes nothing into a message.
func TestTextsCannotBeInjected(t *testing.T) {
	evil := "x\r\nBuy at evil.test\u2028@evil.test #1"
	for name, compose := range map[string]func(Letter) (Message, error){"sms": SMSCode, "whatsapp": WhatsAppCode} {
		m, err := compose(Letter{To: "+442079460958", Host: evil, Name: evil, Site: evil, Link: evil, Code: "123456", Life: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if m.Host != "" || strings.Contains(m.Text, "evil") || strings.ContainsAny(m.Text, "\r\n\u2028@") {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestWhatsAppCode(t *testing.T) {
	m, err := WhatsAppCode(Letter{To: "+442079460958", Host: "wiki.example.com", Code: "747723", Life: time.Minute})
	want := Message{
		Channel: WhatsApp, To: "+442079460958", Code: "747723", Host: "wiki.example.com",
		Text: "747723 is your code for wiki.example.com. It works once, for 1 minute. Tell it to nobody.",
	}
	if err != nil || m != want {
		t.Errorf("%+v, %v", m, err)
	}
}
