// Package held keeps requests that wait for a challenge: what a person sent, sealed, for a few
// minutes, until the challenge is over and it is sent on, once.
//
// A request is bound to the session that sent it, through all rotations of that session, and to
// browser and site. Its id is random; the store knows only a hash of it.
package held

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

// Field is the field of the form by which a browser asks to have a held request sent on. A form
// of text/plain that begins with it is never an application's.
const Field = "stepgate-held"

const (
	// Life is how long a request waits.
	Life = 10 * time.Minute
	// MaxHead bounds what is kept beside the body, in bytes.
	MaxHead = 24 << 10

	idBytes  = 32
	partSize = 48 << 10
	// partsAtOnce bounds the parts of a body that one change writes: engines bound a change.
	partsAtOnce = 8
)

var (
	// ErrGone means that no such request waits for whoever asks: it was sent, dropped or has
	// expired, or it belongs to somebody else.
	ErrGone = errors.New("no such request waits")
	// ErrTooLarge means that a request is larger than what is kept.
	ErrTooLarge = errors.New("too large to be kept")
	// ErrUnreadable means that the client did not send what it announced, or not in time.
	ErrUnreadable = errors.New("the body could not be read")
	// ErrBusy means that as many requests are being received as may be at a time.
	ErrBusy = errors.New("too many requests are being received")
)

// Owner is whom a request belongs to. All fields must be the same for whoever asks for it.
type Owner struct {
	UserID string `cbor:"1,keyasint"`
	// Family names the session through its rotations.
	Family string `cbor:"2,keyasint"`
	// Browser is the id that the browser keeps.
	Browser string `cbor:"3,keyasint"`
	// Host is the site, as flows name it.
	Host string `cbor:"4,keyasint"`
}

// Head is a request without its body.
type Head struct {
	Owner  Owner  `cbor:"1,keyasint"`
	Method string `cbor:"2,keyasint"`
	// Target is the path with query, byte for byte as it was sent.
	Target string              `cbor:"3,keyasint"`
	Header map[string][]string `cbor:"4,keyasint"`
	// Size is that of the body, in bytes.
	Size      int       `cbor:"5,keyasint"`
	ExpiresAt time.Time `cbor:"6,keyasint"`
}

func (h *Head) size() int {
	n := len(h.Target) + len(h.Method)
	for name, lines := range h.Header {
		for _, line := range lines {
			n += len(name) + len(line)
		}
	}
	return n
}

// part is a piece of a body.
type part struct {
	Bytes []byte `cbor:"1,keyasint"`
}

// Requests keeps held requests. It is safe for parallel use.
type Requests struct {
	db      *store.DB
	rand    io.Reader
	heads   store.Table[Head]
	parts   store.Table[part]
	shelves store.Table[shelf]
	slots   slots
	// copies counts those that are copied while an application reads them.
	copies slots
}

// New returns the requests held in db.
func New(db *store.DB, rand io.Reader) *Requests {
	return &Requests{
		db: db, rand: rand,
		heads:   store.NewTable[Head](db, "hr/", 1),
		parts:   store.NewTable[part](db, "hb/", 1),
		shelves: store.NewTable[shelf](db, "hs/", 1),
	}
}

// Hold keeps a request for Life and returns its id. Size and ExpiresAt of h are filled in. What
// there is no room for beside it gives way. The error is ErrTooLarge when h is larger than MaxHead.
func (r *Requests) Hold(ctx context.Context, h Head, body []byte) (id string, err error) {
	if h.size() > MaxHead {
		return "", ErrTooLarge
	}
	var b [idBytes]byte
	if _, err := io.ReadFull(r.rand, b[:]); err != nil {
		return "", fmt.Errorf("draw the id of a held request: %w", err)
	}
	id = base64.RawURLEncoding.EncodeToString(b[:])
	name, _ := nameOf(id)
	h.Size, h.ExpiresAt = len(body), r.db.Now().Add(Life)
	h.Owner.Browser = r.browser(h.Owner.Browser)
	defer func() {
		if err != nil {
			r.forgetBodies(ctx, name)
		}
	}()
	if err := r.writeBody(ctx, name, body, h.ExpiresAt); err != nil {
		return "", err
	}
	e := entry{Name: name, UserID: h.Owner.UserID, Size: len(body) + h.size(), ExpiresAt: h.ExpiresAt}
	if err := r.putUp(ctx, h, e); err != nil {
		return "", err
	}
	return id, nil
}

// putUp adds a request, whose body is written, to those that wait.
func (r *Requests) putUp(ctx context.Context, h Head, e entry) error {
	for {
		var c store.Change
		on, rev, err := r.shelf(ctx, e.UserID)
		if err != nil {
			return err
		}
		kept, evicted := makeRoom(on.Entries, e, r.db.Now())
		for _, old := range evicted {
			r.heads.Delete(&c, old)
		}
		if err := r.shelves.Replace(&c, shelfOf(e.UserID), rev, shelf{Entries: append(kept, e)}, e.ExpiresAt); err != nil {
			return fmt.Errorf("hold a request: %w", err)
		}
		if err := r.heads.Insert(&c, e.Name, h, e.ExpiresAt); err != nil {
			return fmt.Errorf("hold a request: %w", err)
		}
		err = r.db.Apply(ctx, c)
		if errors.Is(err, store.ErrConflict) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("hold a request: %w", err)
		}
		r.forgetBodies(ctx, evicted...)
		return nil
	}
}

// Peek returns a request without its body. The error is ErrGone when it does not wait for owner.
func (r *Requests) Peek(ctx context.Context, id string, owner Owner) (Head, error) {
	h, _, _, err := r.find(ctx, id, owner)
	return h, err
}

// find opens a request of an owner.
func (r *Requests) find(ctx context.Context, id string, owner Owner) (h Head, name string, rev store.Rev, err error) {
	name, ok := nameOf(id)
	if !ok {
		return Head{}, "", 0, ErrGone
	}
	h, rev, err = r.heads.Get(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return Head{}, "", 0, ErrGone
	}
	if err != nil {
		return Head{}, "", 0, fmt.Errorf("read a held request: %w", err)
	}
	owner.Browser = r.browser(owner.Browser)
	if h.Owner != owner {
		return Head{}, "", 0, ErrGone
	}
	return h, name, rev, nil
}

// Take returns a request with its body and forgets it. Of any number of parallel calls one gets
// it, ever; the others, and whoever is not its owner, get ErrGone.
func (r *Requests) Take(ctx context.Context, id string, owner Owner) (Head, []byte, error) {
	h, name, rev, err := r.find(ctx, id, owner)
	if err != nil {
		return Head{}, nil, err
	}
	body, err := r.readBody(ctx, name, h.Size)
	if err != nil {
		return Head{}, nil, err
	}
	if err := r.remove(ctx, name, rev, owner.UserID); err != nil {
		return Head{}, nil, err
	}
	return h, body, nil
}

// Drop forgets a request that its owner gave up. The error is ErrGone when there is none.
func (r *Requests) Drop(ctx context.Context, id string, owner Owner) error {
	_, name, rev, err := r.find(ctx, id, owner)
	if err != nil {
		return err
	}
	return r.remove(ctx, name, rev, owner.UserID)
}

// remove deletes a request that is at rev: whoever succeeds is the only one.
func (r *Requests) remove(ctx context.Context, name string, rev store.Rev, userID string) error {
	for {
		var c store.Change
		on, listed, err := r.shelf(ctx, userID)
		if err != nil {
			return err
		}
		if listed != 0 {
			kept := slices.DeleteFunc(on.Entries, func(e entry) bool { return e.Name == name })
			if err := r.shelves.Replace(&c, shelfOf(userID), listed, shelf{Entries: kept}, r.db.Now().Add(Life)); err != nil {
				return err
			}
		}
		r.heads.Require(&c, name, rev)
		r.heads.Delete(&c, name)
		err = r.db.Apply(ctx, c)
		if err == nil {
			r.forgetBodies(ctx, name)
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("take a held request: %w", err)
		}
		if _, now, err := r.heads.Get(ctx, name); errors.Is(err, store.ErrNotFound) || err == nil && now != rev {
			return ErrGone
		} else if err != nil {
			return fmt.Errorf("take a held request: %w", err)
		}
	}
}

// browser is the stored form of the id of a browser.
func (r *Requests) browser(id string) string { return r.db.Keyring().Index("held browser", id) }

// nameOf is the store's name for an id; ok is false for a text that is no id.
func nameOf(id string) (name string, ok bool) {
	if len(id) > 2*idBytes {
		return "", false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(b) != idBytes {
		return "", false
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:]), true
}
