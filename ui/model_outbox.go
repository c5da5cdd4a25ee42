package ui

import "time"

// Outbox shows the mail and text messages that a demonstration kept instead of
// sending, newest first. It has no form; a script looks at [PathOutboxJSON] and
// loads the page again when there is something new.
type Outbox struct {
	Messages []Sent
}

// Sent is one message of the outbox.
type Sent struct {
	Channel, To, Subject, Text, Code string
	// Link is an absolute http or https address, else it is shown as text.
	Link   string
	SentAt time.Time
}

func (Outbox) name() string  { return "outbox" }
func (Outbox) title() string { return "Outbox: messages of the demonstration" }

// Revision changes when a message is added.
func (m Outbox) Revision() string {
	if len(m.Messages) == 0 {
		return ""
	}
	return m.Messages[0].SentAt.UTC().Format(time.RFC3339Nano)
}
