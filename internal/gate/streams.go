package gate

import (
	"context"
	"errors"
	"strings"
	"time"

	"net/http"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// watchEvery is how often the right to an open connection is judged again. Connections must
// end within two seconds of losing it.
const watchEvery = time.Second

// longLived tells whether the answer may stay open: a WebSocket, or a stream of events.
func longLived(r *http.Request) bool {
	if r.Header["Upgrade"] != nil || extendedConnect(r) {
		return true
	}
	for _, accept := range r.Header["Accept"] {
		if strings.Contains(accept, "text/event-stream") {
			return true
		}
	}
	return false
}

// watch ends a connection when its session is revoked or expires, when its requirement
// lapses, or when the policy no longer lets it be. When the store cannot tell, it ends it too.
func (g *Gate) watch(ctx context.Context, end context.CancelFunc, q *request) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.Tick(watchEvery):
		}
		again := *q
		again.now = g.Now()
		if q.session != nil {
			s, err := g.Sessions.Follow(ctx, q.session)
			if err != nil {
				if ctx.Err() == nil && !errors.Is(err, store.ErrNotFound) {
					g.Log(ctx, "end an open connection: its session cannot be read", err)
				}
				end()
				return
			}
			again.session = s
		}
		if d := g.decide(&again); d.Outcome() != policy.Allow {
			end()
			return
		}
	}
}
