// Package delivery brings messages to people: what they say, the durable queue in which they
// wait, and the senders that hand them on.
package delivery

import (
	"context"
	"errors"
)

// Channel is the way a message takes.
type Channel string

// The channels.
const (
	Email    Channel = "email"
	SMS      Channel = "sms"
	WhatsApp Channel = "whatsapp"
)

// Message is one message to one person. Code and Link repeat what the text says, for the
// outbox; senders of mail ignore them.
type Message struct {
	Channel Channel `cbor:"1,keyasint"`
	// To is an e-mail address or a number in E.164.
	To      string `cbor:"2,keyasint"`
	Subject string `cbor:"3,keyasint,omitempty"`
	Text    string `cbor:"4,keyasint"`
	HTML    string `cbor:"5,keyasint,omitempty"`
	Code    string `cbor:"6,keyasint,omitempty"`
	Link    string `cbor:"7,keyasint,omitempty"`
	// Host that the code of a text message is for. Empty for mail.
	Host string `cbor:"8,keyasint,omitempty"`
	// ID is the same whenever one message is tried again. The queue sets it when it sends;
	// it is empty for a message that comes from elsewhere.
	ID string `cbor:"-"`
}

// ErrRejected means that a message will never be delivered as it is. It is not tried again.
var ErrRejected = errors.New("message rejected")

// Sender hands messages of one channel on. An error that does not wrap ErrRejected is tried
// again later.
type Sender interface {
	Send(ctx context.Context, m Message) error
}
