package boltstore

import (
	"context"
	"strings"
	"sync"

	"github.com/stepgate/stepgate/internal/store"
)

// watchBuffer is how far a reader may fall behind before it gets a Reset instead.
const watchBuffer = 256

// hub passes committed changes on to the watchers of this process. No other process can
// write to the file.
type hub struct {
	mu       sync.Mutex
	watchers map[*watcher]struct{}
	closed   bool
}

type watcher struct {
	prefix string
	events chan store.Event
	// lost is set while the reader has missed events and has not been told yet.
	lost bool
}

func newHub() *hub { return &hub{watchers: make(map[*watcher]struct{})} }

// watch returns nil when the hub is closed.
func (h *hub) watch(ctx context.Context, prefix string) <-chan store.Event {
	w := &watcher{prefix: prefix, events: make(chan store.Event, watchBuffer)}
	w.events <- store.Event{Reset: true}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.watchers[w] = struct{}{}
	context.AfterFunc(ctx, func() { h.drop(w) })
	return w.events
}

func (h *hub) drop(w *watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.watchers[w]; ok {
		delete(h.watchers, w)
		close(w.events)
	}
}

func (h *hub) publish(events ...store.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		for _, e := range events {
			if strings.HasPrefix(e.Key, w.prefix) {
				w.send(e)
			}
		}
	}
}

// send never waits. The last place of the buffer is kept for the Reset that tells of a loss.
func (w *watcher) send(e store.Event) {
	if len(w.events) < cap(w.events)-1 {
		w.events <- e
		w.lost = false
		return
	}
	if !w.lost {
		w.events <- store.Event{Reset: true}
		w.lost = true
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for w := range h.watchers {
		delete(h.watchers, w)
		close(w.events)
	}
}
