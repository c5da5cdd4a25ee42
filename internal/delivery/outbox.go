package delivery

import (
	"context"
	"slices"
	"sync"
	"time"
)

// outboxSize bounds the messages that an outbox keeps.
const outboxSize = 200

// Kept is a message in the outbox. Its JSON is that of outbox.json.
type Kept struct {
	Channel Channel   `json:"channel"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Code    string    `json:"code"`
	Link    string    `json:"link"`
	SentAt  time.Time `json:"sent_at"`
}

// Outbox is a Sender that keeps messages for a page instead of sending them. It is for
// demonstrations and tests: whoever reads it can sign in as anybody.
type Outbox struct {
	now func() time.Time

	mu   sync.Mutex
	kept []Kept
}

// NewOutbox returns an empty outbox.
func NewOutbox(now func() time.Time) *Outbox { return &Outbox{now: now} }

// Send implements Sender.
func (o *Outbox) Send(_ context.Context, m Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.kept) == outboxSize {
		o.kept = slices.Delete(o.kept, 0, 1)
	}
	o.kept = append(o.kept, Kept{
		Channel: m.Channel, To: m.To, Subject: m.Subject, Text: m.Text, Code: m.Code, Link: m.Link, SentAt: o.now().UTC().Truncate(time.Millisecond),
	})
	return nil
}

// List returns the kept messages, newest first.
func (o *Outbox) List() []Kept {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]Kept, len(o.kept))
	copy(out, o.kept)
	slices.Reverse(out)
	return out
}
