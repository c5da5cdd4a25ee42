package account

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

// TicketKind says what a one-time link is for. A ticket of one kind never opens another.
type TicketKind string

// The kinds of one-time links.
const (
	// InviteTicket lets a person make the account that was prepared for them.
	InviteTicket TicketKind = "invite"
	// SetupTicket lets the first administrator make an account on an empty store.
	SetupTicket TicketKind = "setup"
	// ResetTicket lets the owner of a mailbox set a new password.
	ResetTicket TicketKind = "reset"
	// RecoverTicket lets whom an administrator hands it to set a new password. It proves no
	// mailbox.
	RecoverTicket TicketKind = "recover"
)

// Life is how long a link of this kind works.
func (k TicketKind) Life() time.Duration {
	switch k {
	case InviteTicket:
		return 7 * 24 * time.Hour
	case SetupTicket:
		return time.Hour
	case RecoverTicket:
		return 24 * time.Hour
	case ResetTicket:
		return 30 * time.Minute
	}
	return 0
}

// Ticket is what a one-time link stands for. The link carries 256 random bits; the store
// knows only their hash.
type Ticket struct {
	Kind      TicketKind `cbor:"1,keyasint"`
	Email     string     `cbor:"2,keyasint,omitempty"`
	Name      string     `cbor:"3,keyasint,omitempty"`
	Groups    []string   `cbor:"4,keyasint,omitempty"`
	UserID    string     `cbor:"5,keyasint,omitempty"`
	CreatedAt time.Time  `cbor:"6,keyasint"`
	ExpiresAt time.Time  `cbor:"7,keyasint"`
}

const ticketBytes = 32

// ticketID is the store's name for a link's token; ok is false for a text that is no token.
func ticketID(kind TicketKind, token string) (id string, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != ticketBytes {
		return "", false
	}
	sum := sha256.Sum256(b)
	return string(kind) + "/" + base64.RawURLEncoding.EncodeToString(sum[:]), true
}

// IssueTicket adds to c a one-time link and returns the token that it carries.
func (a *Accounts) IssueTicket(c *store.Change, t Ticket) (token string, issued Ticket, err error) {
	var b [ticketBytes]byte
	if _, err := io.ReadFull(a.rand, b[:]); err != nil {
		return "", Ticket{}, fmt.Errorf("draw a link token: %w", err)
	}
	token = base64.RawURLEncoding.EncodeToString(b[:])
	id, _ := ticketID(t.Kind, token)
	t.CreatedAt = a.db.Now()
	t.ExpiresAt = t.CreatedAt.Add(t.Kind.Life())
	return token, t, a.tickets.Insert(c, id, t, t.ExpiresAt)
}

// Ticket returns what a token stands for without spending it, or store.ErrNotFound.
func (a *Accounts) Ticket(ctx context.Context, kind TicketKind, token string) (Ticket, error) {
	id, ok := ticketID(kind, token)
	if !ok {
		return Ticket{}, store.ErrNotFound
	}
	t, _, err := a.tickets.Get(ctx, id)
	if err == nil && t.Kind != kind {
		return Ticket{}, store.ErrNotFound
	}
	return t, err
}

// SpendTicket adds to c that a token is used up. Of several changes that spend it, one applies.
func (a *Accounts) SpendTicket(ctx context.Context, c *store.Change, kind TicketKind, token string) error {
	id, ok := ticketID(kind, token)
	if !ok {
		return store.ErrNotFound
	}
	_, rev, err := a.tickets.Get(ctx, id)
	if err != nil {
		return err
	}
	a.tickets.Require(c, id, rev)
	a.tickets.Delete(c, id)
	return nil
}
