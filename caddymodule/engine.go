package caddymodule

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/decisions"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/internal/portal"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/ui"
)

// engine is what one configuration makes of a runtime. This is where the parts are put
// together; nothing else constructs them.
type engine struct {
	rt     *runtime
	flow   *flow.Engine
	gate   *gate.Engine
	logger *zap.Logger
	// limits, lockout, senders and auditLife are what the shared runtime takes from the newest engine.
	limits  session.Limits
	lockout account.Lockout
	// auditLife is how long audit entries are kept.
	auditLife time.Duration
	senders   map[delivery.Channel]delivery.Sender
}

func newEngine(a *App, rt *runtime) (*engine, error) {
	hasher, err := password.NewHasher(password.Options{
		MemoryKiB: a.hashing.MemoryKiB, Iterations: a.hashing.Iterations, Concurrent: a.hashing.Concurrent, Peppers: rt.peppers,
	})
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	breaches, err := a.hashing.breaches()
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	senders, err := a.senders(rt)
	if err != nil {
		return nil, err
	}
	pages, err := ui.New(ui.Options{Brand: ui.Brand{Name: a.options.Issuer}})
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	limit, err := a.holdLimit()
	if err != nil {
		return nil, err
	}
	e := &engine{rt: rt, logger: a.logger, limits: a.Session.limits(), lockout: a.Lockout.lockout(), senders: senders, auditLife: a.auditLife()}
	e.flow = flow.New(flow.Config{
		DB: rt.db, Accounts: rt.accounts, Sessions: rt.sessions, Hasher: hasher, Breaches: breaches,
		Keys: webauthn.New(a.authenticators), Providers: a.providers, Contracts: a.contracts, Queue: rt.queue, Policies: a.policies.asked,
		Audit: auditLog{a, a.logger.Named("audit"), rt.events}, Rand: rand.Reader, Options: a.options,
	})
	config := portal.Config{
		Engine: e.flow, Held: rt.held, Pages: pages, JWKS: rt.signer,
		Policies: a.policies.inForce, Refusals: rt.refusals, Events: rt.events,
		Explain: func(p *policy.Policy, method, url string, ip netip.Addr, s *policy.Subject, now time.Time) (policy.Explanation, error) {
			return explained(p, method, url, ip, nil, s, now)
		},
		Log: func(msg string, err error) { a.logger.Error(msg, zap.Error(err)) },
	}
	if a.keepsMessages() {
		config.Outbox = rt.outbox
	}
	kept := &decisions.Recorder{Recent: rt.refusals}
	if a.DecisionLog != nil {
		if kept.Log, err = a.DecisionLog.open(a.logger); err != nil {
			return nil, err
		}
	}
	own := portal.New(config)
	e.gate = &gate.Engine{
		Sessions: rt.sessions, Flows: e.flow, Signer: rt.signer, Portal: own, WellKnown: own.WellKnown, Pages: pages,
		Now: rt.db.Now, Rand: rand.Reader, Tick: time.After, Log: e.log,
		Held: rt.held, HoldLimit: limit, Decisions: kept,
	}
	rt.adopt(e)
	return e, nil
}

func (e *engine) log(_ context.Context, msg string, err error, fields ...any) {
	out := make([]zap.Field, 0, len(fields)/2+1)
	if err != nil {
		out = append(out, zap.Error(err))
	}
	for i := 0; i+1 < len(fields); i += 2 {
		out = append(out, zap.Any(fmt.Sprint(fields[i]), fields[i+1]))
	}
	if err != nil {
		e.logger.Error(msg, out...)
		return
	}
	e.logger.Info(msg, out...)
}

// announceSetup logs a one-time link for the first administrator while nobody has an account,
// once for each time the store is opened.
func (e *engine) announceSetup(ctx caddy.Context, origin string) (err error) {
	e.rt.setup.Do(func() {
		var link string
		if link, err = e.flow.Setup(ctx, origin); err != nil || link == "" {
			return
		}
		e.logger.Warn("nobody has an account yet: open this link once, within an hour, to become the first administrator", zap.String("link", link))
	})
	if err != nil {
		return fmt.Errorf("set-up link: %w", err)
	}
	return nil
}
