package caddymodule

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/decisions"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/boltstore"
)

// runtimes holds what is open, by the key of its store. Configurations that overlap during a
// reload share one.
var runtimes = caddy.NewUsagePool()

const (
	// cachedSessions bounds the sessions held in memory.
	cachedSessions = 1 << 17
	// keptRefusals bounds the refusals held in memory: so many of people, and of strangers.
	keptRefusals = 1000
	sweepEvery   = time.Minute
	metaPrefix   = "meta/"
	sweepBatch   = 500
)

// runtime is everything that outlives a reload: the open store, the caches over it, and the
// work in the background.
type runtime struct {
	store    *boltstore.Store
	db       *store.DB
	accounts *account.Accounts
	sessions *session.Manager
	held     *held.Requests
	queue    *delivery.Queue
	outbox   *delivery.Outbox
	signer   *gate.Signer
	refusals *decisions.Recent
	events   *audit.Log
	peppers  [][]byte
	logger   *zap.Logger
	// fingerprint tells whether a configuration brings other secrets.
	fingerprint string
	setup       sync.Once

	mu sync.Mutex
	// engines are those of the configurations that use the runtime, in the order they came.
	engines []*engine

	stop context.CancelFunc
	done sync.WaitGroup
}

// adopt makes the runtime follow the options of an engine.
func (rt *runtime) adopt(e *engine) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.engines = append(rt.engines, e)
	rt.follow(e)
}

// leave makes the runtime forget an engine. After a failed reload the one before it holds again.
func (rt *runtime) leave(e *engine) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.engines = slices.DeleteFunc(rt.engines, func(other *engine) bool { return other == e })
	if n := len(rt.engines); n > 0 {
		rt.follow(rt.engines[n-1])
	}
}

func (rt *runtime) follow(e *engine) {
	rt.sessions.SetLimits(e.limits)
	rt.accounts.SetLockout(e.lockout)
	rt.queue.SetSenders(e.senders)
	rt.events.SetLife(e.auditLife)
}

// openRuntime returns the runtime of a store, opening it if no configuration has it open.
func openRuntime(opener StoreOpener, keys *secrets, logger *zap.Logger) (*runtime, error) {
	value, loaded, err := runtimes.LoadOrNew(opener.Key(), func() (caddy.Destructor, error) {
		return newRuntime(opener, keys, logger)
	})
	if err != nil {
		return nil, err
	}
	rt := value.(*runtime)
	if !loaded {
		return rt, nil
	}
	ring, err := keys.keyring(opener.SecretPath())
	if err == nil && fingerprint(ring) != rt.fingerprint {
		err = errors.New("the secret of an open store cannot be changed by a reload; restart the server")
	}
	if err != nil {
		_, derr := runtimes.Delete(opener.Key())
		return nil, errors.Join(err, derr)
	}
	return rt, nil
}

func newRuntime(opener StoreOpener, keys *secrets, logger *zap.Logger) (*runtime, error) {
	file, err := opener.open(time.Now)
	if err != nil {
		return nil, err
	}
	rt := &runtime{store: file, logger: logger, outbox: delivery.NewOutbox(time.Now), refusals: decisions.NewRecent(keptRefusals)}
	if err := rt.build(opener, keys); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	rt.run()
	return rt, nil
}

func (rt *runtime) build(opener StoreOpener, keys *secrets) error {
	ring, err := keys.keyring(opener.SecretPath())
	if err != nil {
		return err
	}
	rt.fingerprint = fingerprint(ring)
	if rt.db, err = store.NewDB(rt.store, ring, time.Now); err != nil {
		return err
	}
	if err := checkSecret(rt.db); err != nil {
		return err
	}
	if rt.accounts, err = account.New(rt.db, account.DefaultLockout, rand.Reader); err != nil {
		return err
	}
	rt.events = audit.NewLog(rt.db, rt.warn)
	if err := rt.restored(context.Background()); err != nil {
		return fmt.Errorf("take a restored store into use: %w", err)
	}
	if rt.signer, err = gate.NewSigner(ring); err != nil {
		return err
	}
	if rt.peppers, err = ring.DeriveAll("password", 32); err != nil {
		return err
	}
	rt.sessions = session.NewManager(rt.db, flow.Identities{Accounts: rt.accounts}, session.DefaultLimits, cachedSessions, rand.Reader)
	rt.accounts.OnChange(rt.sessions.UserChanged)
	rt.held = held.New(rt.db, rand.Reader)
	rt.queue = delivery.NewQueue(rt.db, rand.Reader, rt.warn)
	return nil
}

// fingerprint names a set of secrets without telling them.
func fingerprint(ring *store.Keyring) string { return ring.Index("fingerprint", "secret") }

// checkSecret refuses a secret that is not the one that the store was sealed with, before
// anything is written that only one of them can read.
func checkSecret(db *store.DB) error {
	ctx := context.Background()
	mark := store.NewTable[string](db, metaPrefix, 1)
	_, _, err := mark.Get(ctx, "secret")
	if errors.Is(err, store.ErrNotFound) {
		var c store.Change
		if err := mark.Insert(&c, "secret", "in use", time.Time{}); err != nil {
			return err
		}
		if err = db.Apply(ctx, c); errors.Is(err, store.ErrConflict) { // somebody else starts too
			_, _, err = mark.Get(ctx, "secret")
		}
	}
	if err != nil {
		return fmt.Errorf("the store was sealed with another secret; give that one as “secret” or among the previous ones: %w", err)
	}
	return nil
}

func (rt *runtime) warn(msg string, err error) { rt.logger.Warn(msg, zap.Error(err)) }

// run starts the work in the background. It ends with Destruct.
func (rt *runtime) run() {
	ctx, cancel := context.WithCancel(context.Background())
	rt.stop = cancel
	rt.done.Go(func() { rt.queue.Run(ctx, nil) })
	rt.done.Go(func() { rt.events.Run(ctx, nil) })
	rt.done.Go(func() {
		if err := rt.sessions.Run(ctx, nil, rt.warn); err != nil {
			rt.logger.Error("follow sessions", zap.Error(err))
		}
	})
	rt.done.Go(func() {
		if err := rt.accounts.Watch(ctx); err != nil {
			rt.logger.Error("follow users", zap.Error(err))
		}
	})
	rt.done.Go(func() { rt.sweep(ctx) })
}

// sweep deletes what has expired. Nothing relies on it.
func (rt *runtime) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for {
			n, err := rt.store.Sweep(ctx, sweepBatch)
			if err != nil && ctx.Err() == nil {
				rt.logger.Warn("sweep the store", zap.Error(err))
			}
			if err != nil || n < sweepBatch {
				break
			}
		}
	}
}

// Destruct implements caddy.Destructor. Requests that are still under way get
// store.ErrUnavailable from then on.
func (rt *runtime) Destruct() error {
	rt.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	flushed := errors.Join(rt.sessions.Flush(ctx), rt.events.Flush(ctx))
	closed := rt.store.Close()
	rt.done.Wait()
	return errors.Join(flushed, closed)
}
