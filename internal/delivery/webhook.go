package delivery

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// minWebhookSecret is how many bytes the key of a webhook has at least, as Standard Webhooks
// has it.
const minWebhookSecret = 24

// Webhook is how text messages leave for a service of the operator's own.
type Webhook struct {
	// URL that messages are posted to. It is https, unless InsecurePlaintext.
	URL string
	// Secret that requests are signed with: "whsec_" and base64 of 24 bytes or more, or
	// any other text of 24 bytes or more.
	Secret string
	// InsecurePlaintext allows http. It is for test servers on the same host.
	InsecurePlaintext bool
	// TLS overrides the trust in the server's certificate; nil means the system's.
	TLS *tls.Config
}

// webhookMessage is the body of a request.
type webhookMessage struct {
	ID      string  `json:"id"`
	Channel Channel `json:"channel"`
	To      string  `json:"to"`
	Text    string  `json:"text"`
	Code    string  `json:"code"`
	Host    string  `json:"host"`
	// SentAt is the time of this try.
	SentAt time.Time `json:"sent_at"`
}

type webhookSender struct {
	api *api
	key []byte
	now func() time.Time
}

// NewWebhook returns a Sender of text messages and WhatsApp messages that posts each as JSON,
// signed as Standard Webhooks 1.0 has it (headers webhook-id, webhook-timestamp and
// webhook-signature). webhook-id is the same whenever a message is tried again. It does not
// connect.
//
// A status of 2xx means that the message was taken. One of 4xx rejects it, except 408, 425 and
// 429; everything else is tried again. Redirects are not followed.
func NewWebhook(c Webhook, now func() time.Time) (Sender, error) {
	key, err := webhookKey(c.Secret)
	if err != nil {
		return nil, err
	}
	a, err := newAPI("webhook", c.URL, c.InsecurePlaintext, c.TLS)
	if err != nil {
		return nil, err
	}
	return &webhookSender{api: a, key: key, now: now}, nil
}

func webhookKey(secret string) ([]byte, error) {
	key := []byte(secret)
	if text, ok := strings.CutPrefix(secret, "whsec_"); ok {
		var err error
		if key, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "=")); err != nil {
			return nil, errors.New("webhook: what follows whsec_ in the secret is no base64")
		}
	}
	if len(key) < minWebhookSecret {
		return nil, fmt.Errorf("webhook: the secret has %d bytes, at least %d are needed; make one with “echo whsec_$(openssl rand -base64 32)”", len(key), minWebhookSecret)
	}
	return key, nil
}

// Send implements Sender.
func (s *webhookSender) Send(ctx context.Context, m Message) error {
	if err := checkText(m, SMS, WhatsApp); err != nil {
		return err
	}
	if m.ID == "" {
		m.ID = strings.ToLower(rand.Text())
	}
	now := s.now().UTC()
	body, err := json.Marshal(webhookMessage{
		ID: m.ID, Channel: m.Channel, To: m.To, Text: m.Text, Code: m.Code, Host: m.Host, SentAt: now.Truncate(time.Millisecond),
	})
	if err != nil {
		return errors.New("webhook: cannot write the message as JSON")
	}
	stamp := strconv.FormatInt(now.Unix(), 10)
	status, _, err := s.api.post(ctx, http.Header{
		"Content-Type":      {"application/json"},
		"Webhook-Id":        {m.ID},
		"Webhook-Timestamp": {stamp},
		"Webhook-Signature": {"v1," + sign(s.key, m.ID, stamp, body)},
	}, body)
	if err != nil || sent(status) {
		return err
	}
	rejected := status >= 400 && status < 500 &&
		status != http.StatusRequestTimeout && status != http.StatusTooEarly && status != http.StatusTooManyRequests
	return s.api.refused(status, 0, rejected)
}

// sign is the signature of Standard Webhooks, version 1.
func sign(key []byte, id, stamp string, body []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(id + "." + stamp + "."))
	h.Write(body)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}
