package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/internal/delivery"
)

// textConfig is a configuration with one line of senders.
func textConfig(senders string) string {
	return "{\n\tstepgate {\n\t\tpolicy policy.yaml\n" + senders + "\n\t}\n}\n\nhttp://localhost:18080 {\n\tstepgate\n}\n"
}

const hookSecret = "0123456789abcdef0123456789abcdef"

func TestTextSenders(t *testing.T) {
	t.Setenv("STEPGATE_TEST_TOKEN", "token-of-test")
	t.Setenv("STEPGATE_TEST_SECRET", hookSecret)
	for name, text := range map[string]string{
		"webhook": `sms webhook https://sms.example.com/send {
			secret {env.STEPGATE_TEST_SECRET}
		}`,
		"webhook for both": `sms webhook https://sms.example.com/{env.STEPGATE_TEST_TOKEN} {
			secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
		}
		whatsapp webhook http://127.0.0.1:9/ {
			secret {env.STEPGATE_TEST_SECRET}
			insecure_plaintext
		}`,
		"twilio": `sms twilio {
			account_sid AC0123
			auth_token {env.STEPGATE_TEST_TOKEN}
			from +12125550100
		}
		whatsapp twilio {
			account_sid {env.STEPGATE_TEST_TOKEN}
			api_key SK7 {env.STEPGATE_TEST_TOKEN}
			messaging_service MG1
			content_sid HX1
			api_base https://api.dublin.ie1.twilio.com
		}`,
		"twilio with a name": `sms twilio {
			account_sid AC0123
			auth_token {env.STEPGATE_TEST_TOKEN}
			from Acme
			api_base http://127.0.0.1:9
			insecure_plaintext
		}`,
		"meta": `whatsapp meta {
			phone_number_id 106540352242922
			access_token {env.STEPGATE_TEST_TOKEN}
			template sign_in de
			graph_version v24.0
		}`,
		"meta in short": `whatsapp meta {
			phone_number_id 106540352242922
			access_token {env.STEPGATE_TEST_TOKEN}
			template sign_in
			api_base http://127.0.0.1:9
			insecure_plaintext
		}`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := load(t, "Caddyfile", textConfig(text)); err != nil {
				t.Error(err)
			}
			raw, err := adapt(t, "Caddyfile", textConfig(text))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(raw), "token-of-test") || strings.Contains(string(raw), hookSecret) || !strings.Contains(string(raw), "{env.STEPGATE_TEST_") {
				t.Errorf("the adapted configuration has a secret: %s", raw)
			}
		})
	}
}

func TestTextSenderMistakes(t *testing.T) {
	t.Setenv("STEPGATE_TEST_TOKEN", "token-of-test")
	twilio := func(lines ...string) string {
		return "sms twilio {\naccount_sid AC1\nauth_token token-of-test\nfrom +12125550100\n" + strings.Join(lines, "\n") + "\n}"
	}
	meta := func(lines ...string) string {
		return "whatsapp meta {\nphone_number_id 1\naccess_token token-of-test\ntemplate t\n" + strings.Join(lines, "\n") + "\n}"
	}
	hook := func(url string, lines ...string) string {
		return "sms webhook " + url + " {\nsecret " + hookSecret + "\n" + strings.Join(lines, "\n") + "\n}"
	}
	for _, one := range []struct{ text, want string }{
		{hook(""), "Caddyfile:4"},
		{hook("https://a.example https://b.example"), "Caddyfile:4"},
		{hook("https://a.example", "insecure_plaintext yes"), "Caddyfile:6"},
		{hook("https://a.example", "secret again"), "Caddyfile:6"},
		{hook("https://a.example", "retries 5"), `unrecognized option "retries"; expected secret or insecure_plaintext`},
		{hook("http://a.example"), "does not begin with https://"},
		{hook("a.example"), "is no URL"},
		{hook("https://token-of-test@a.example"), "has a login"},
		{"sms webhook https://a.example", "the secret has 0 bytes"},
		{"sms webhook https://a.example {\nsecret token-of-test\n}", "the secret has 13 bytes"},
		{"sms webhook https://a.example {\nsecret {env.STEPGATE_TEST_UNSET}\n}", "secret: "},
		{"sms webhook https://a.example {\nsecret {file.no-such-file}\n}", "secret: "},
		{"sms webhook {env.STEPGATE_TEST_UNSET} {\nsecret " + hookSecret + "\n}", "url: "},
		{"mail webhook https://a.example {\nsecret " + hookSecret + "\n}", "mail: this sender cannot send such messages"},
		{"sms twilio", "the account SID is missing"},
		{"sms twilio AC1", "Caddyfile:4"},
		{twilio("account_sid AC2"), "account_sid is given twice"},
		{twilio("account AC2"), `unrecognized option "account"; expected account_sid, auth_token`},
		{twilio("api_key SK1"), "Caddyfile:8"},
		{twilio("api_key SK1 token-of-test"), "one of them is enough"},
		{twilio("messaging_service MG1"), "either a sender or a messaging service"},
		{twilio("content_sid"), "Caddyfile:8"},
		{twilio("api_base http://a.example"), "does not begin with https://"},
		{"sms twilio {\naccount_sid AC1\nauth_token {env.STEPGATE_TEST_UNSET}\nfrom 24242\n}", "auth_token: "},
		{"sms twilio {\naccount_sid AC1\nauth_token x\nfrom 020-7946\n}", "the sender is neither"},
		{"whatsapp twilio {\naccount_sid AC1\nauth_token x\nfrom Acme\n}", "whatsapp: this sender cannot send such messages"},
		{strings.Replace(twilio(), "sms", "mail", 1), "mail: this sender cannot send such messages"},
		{"whatsapp meta", "the phone number ID is missing"},
		{strings.Replace(meta(), "whatsapp", "sms", 1), "sms: this sender cannot send such messages"},
		{strings.Replace(meta(), "whatsapp", "mail", 1), "mail: this sender cannot send such messages"},
		{strings.Replace(meta(), "template t", "template", 1), "Caddyfile:7"},
		{strings.Replace(meta(), "template t", "template t en now", 1), "Caddyfile:7"},
		{strings.Replace(meta(), "template t", "template t English", 1), "no language"},
		{meta("graph_version 23"), `"23" is no version`},
		{meta("api_base http://a.example"), "does not begin with https://"},
		{meta("insecure_plaintext", "insecure_plaintext"), "insecure_plaintext is given twice"},
		{meta("token x"), `unrecognized option "token"`},
		{"whatsapp meta {\nphone_number_id 1\ntemplate t\naccess_token {env.STEPGATE_TEST_UNSET}\n}", "access_token: "},
	} {
		t.Run("", func(t *testing.T) {
			err := load(t, "Caddyfile", textConfig(one.text))
			if err == nil || !strings.Contains(err.Error(), one.want) {
				t.Errorf("%s\nerror:  %v\nwanted: %s", one.text, err, one.want)
			}
			if err != nil && (strings.Contains(err.Error(), "token-of-test") || strings.Contains(err.Error(), hookSecret)) {
				t.Errorf("the error has a secret: %v", err)
			}
		})
	}
}

// What is configured is what is sent: secrets from files, the address, the version.
func TestTextSendersSend(t *testing.T) {
	got := make(chan *http.Request, 1)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		got <- r
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(hookSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	placeholder := "{file." + file + "}"
	for name, one := range map[string]struct {
		maker SenderMaker
		path  string
		login string
		part  string
	}{
		"webhook": {&WebhookSender{URL: s.URL + "/" + placeholder, Secret: placeholder, InsecurePlaintext: true}, "/" + hookSecret, "", `"code":"123456"`},
		"twilio": {
			&TwilioSender{AccountSID: "AC1", AuthToken: placeholder, MessagingService: "MG1", ContentSID: "HX1", APIBase: s.URL, InsecurePlaintext: true},
			"/2010-04-01/Accounts/AC1/Messages.json", "Basic " + base64.StdEncoding.EncodeToString([]byte("AC1:"+hookSecret)), "ContentSid=HX1",
		},
		"key": {
			&TwilioSender{AccountSID: "AC1", APIKey: "SK1", APISecret: placeholder, From: "+12125550100", APIBase: s.URL, InsecurePlaintext: true},
			"/2010-04-01/Accounts/AC1/Messages.json", "Basic " + base64.StdEncoding.EncodeToString([]byte("SK1:"+hookSecret)), "From=whatsapp",
		},
		"meta": {
			&MetaSender{PhoneNumberID: "1", AccessToken: placeholder, Template: "sign_in", Language: "de", GraphVersion: "v24.0", APIBase: s.URL, InsecurePlaintext: true},
			"/v24.0/1/messages", "Bearer " + hookSecret, `"name":"sign_in","language":{"code":"de"}`,
		},
	} {
		if err := one.maker.(caddy.Provisioner).Provision(caddy.Context{}); err != nil {
			t.Fatal(name, err)
		}
		if err := one.maker.(caddy.Validator).Validate(); err != nil {
			t.Fatal(name, err)
		}
		dump, err := json.Marshal(one.maker)
		if err != nil || strings.Contains(string(dump), hookSecret) {
			t.Errorf("%s: the dump has a secret: %s, %v", name, dump, err)
		}
		sender, err := one.maker.sender(nil)
		if err != nil {
			t.Fatal(name, err)
		}
		m := delivery.Message{Channel: delivery.WhatsApp, To: "+442079460958", Text: "123456 is your code.", Code: "123456"}
		if err := sender.Send(t.Context(), m); err != nil {
			t.Fatal(name, err)
		}
		r := <-got
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != one.path || r.Header.Get("Authorization") != one.login || !strings.Contains(string(body), one.part) {
			t.Errorf("%s: %s, %s, %s", name, r.URL.Path, r.Header.Get("Authorization"), body)
		}
		if !one.maker.carries(delivery.WhatsApp) || one.maker.carries(delivery.Email) || one.maker.carries(delivery.SMS) == (name == "meta") {
			t.Errorf("%s carries the wrong channels", name)
		}
	}
}
