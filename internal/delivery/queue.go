package delivery

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/stepgate/stepgate/internal/store"
)

const (
	// maxAttempts bounds how often a message is tried.
	maxAttempts = 12
	firstPause  = 2 * time.Second
	maxPause    = 10 * time.Minute
	// sendTimeout bounds one try.
	sendTimeout = 30 * time.Second
	// lease is how long a message that is being sent is left alone by others. It outlasts
	// sendTimeout, so that a crash delays a message and never doubles it sooner.
	lease = time.Minute
	// parallel bounds the messages that are sent at once.
	parallel = 4
	// batch bounds what one look at the queue reads.
	batch = 64
)

// queued is a message that waits.
type queued struct {
	Message  Message   `cbor:"1,keyasint"`
	Attempts int       `cbor:"2,keyasint"`
	NotUntil time.Time `cbor:"3,keyasint"`
	Expires  time.Time `cbor:"4,keyasint"`
}

// Queue keeps messages in the store until they are sent, so that neither a restart nor a
// mail server that is down loses one. A message is dropped when it is no longer of use.
type Queue struct {
	db      *store.DB
	waiting store.Table[queued]
	rand    io.Reader
	log     func(msg string, err error)
	kick    chan struct{}

	mu      sync.Mutex
	senders map[Channel]Sender
}

// NewQueue returns a queue over db. log takes what went wrong; it is given no address, code
// or link.
func NewQueue(db *store.DB, random io.Reader, log func(msg string, err error)) *Queue {
	return &Queue{
		db: db, waiting: store.NewTable[queued](db, "q/", 1), rand: random, log: log,
		kick: make(chan struct{}, 1), senders: make(map[Channel]Sender),
	}
}

// SetSenders replaces the senders; a channel without one keeps its messages waiting.
func (q *Queue) SetSenders(senders map[Channel]Sender) {
	q.mu.Lock()
	q.senders = senders
	q.mu.Unlock()
	q.Kick()
}

func (q *Queue) sender(c Channel) Sender {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.senders[c]
}

// Enqueue adds to c that a message waits to be sent until it is of no more use.
func (q *Queue) Enqueue(c *store.Change, m Message, useful time.Time) error {
	var b [16]byte
	if _, err := io.ReadFull(q.rand, b[:]); err != nil {
		return fmt.Errorf("draw a message id: %w", err)
	}
	id := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
	return q.waiting.Insert(c, id, queued{Message: m, Expires: useful}, useful)
}

// Kick makes Run look at the queue now. It never waits.
func (q *Queue) Kick() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// Run sends what waits until ctx is done. timer tells when to look again after a time; nil
// means a real timer.
func (q *Queue) Run(ctx context.Context, timer func(time.Duration) <-chan time.Time) {
	if timer == nil {
		timer = time.After
	}
	for {
		next := q.Deliver(ctx)
		select {
		case <-ctx.Done():
			return
		case <-q.kick:
		case <-timer(next):
		}
	}
}

// Deliver sends every message that is due and returns how long the next one can wait.
func (q *Queue) Deliver(ctx context.Context) (next time.Duration) {
	next = time.Minute
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	defer wg.Wait()
	for after := ""; ; {
		rows, err := q.waiting.List(ctx, "", after, batch)
		if err != nil {
			if ctx.Err() == nil {
				q.log("read the message queue", err)
			}
			return firstPause
		}
		for _, row := range rows {
			after = row.ID
			if wait := row.Value.NotUntil.Sub(q.db.Now()); wait > 0 {
				next = min(next, wait)
				continue
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return next
			}
			wg.Go(func() {
				defer func() { <-slots }()
				q.deliver(ctx, row)
			})
			next = min(next, firstPause)
		}
		if len(rows) < batch {
			return next
		}
	}
}

// deliver claims a message, sends it, and takes it out of the queue or puts it back.
func (q *Queue) deliver(ctx context.Context, row store.Row[queued]) {
	sender := q.sender(row.Value.Message.Channel)
	if sender == nil {
		return
	}
	claimed := row.Value
	claimed.Attempts++
	claimed.NotUntil = q.db.Now().Add(lease)
	var c store.Change
	if err := q.waiting.Replace(&c, row.ID, row.Rev, claimed, claimed.Expires); err != nil {
		q.log("claim a message", err)
		return
	}
	if err := q.db.Apply(ctx, c); err != nil {
		if !errors.Is(err, store.ErrConflict) && ctx.Err() == nil {
			q.log("claim a message", err)
		}
		return
	}
	message := claimed.Message
	message.ID = row.ID
	sendCtx, cancel := context.WithTimeout(ctx, sendTimeout)
	err := sender.Send(sendCtx, message)
	cancel()
	var after store.Change
	switch {
	case err == nil:
		q.waiting.Delete(&after, row.ID)
	case errors.Is(err, ErrRejected) || claimed.Attempts >= maxAttempts:
		q.log("give a message up", err)
		q.waiting.Delete(&after, row.ID)
	default:
		q.log("send a message, to be tried again", err)
		claimed.NotUntil = q.db.Now().Add(pause(claimed.Attempts))
		if err := q.waiting.Put(&after, row.ID, claimed, claimed.Expires); err != nil {
			q.log("put a message back", err)
			return
		}
	}
	// The server has the message: that is stored even while the process stops.
	if err := q.db.Apply(context.WithoutCancel(ctx), after); err != nil {
		q.log("settle a message", err)
	}
}

// pause grows from try to try, with a random part so that servers are not met by a wave.
func pause(attempts int) time.Duration {
	d := min(firstPause<<min(attempts-1, 16), maxPause)
	return d + rand.N(d/4+1) //nolint:gosec // spreads load, protects nothing
}
