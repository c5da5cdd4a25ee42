package account

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/throttled/throttled/v2"

	"github.com/stepgate/stepgate/internal/store"
)

// BudgetError means that a budget is used up for now.
type BudgetError struct {
	// RetryAfter is when the next try can pass.
	RetryAfter time.Duration
}

// Error implements error.
func (e *BudgetError) Error() string {
	return fmt.Sprintf("budget used up, retry after %s", e.RetryAfter.Round(time.Second))
}

// limit is one budget: so many at once, and so many in a period.
type limit struct {
	name  string
	burst int
	per   time.Duration
}

var (
	failuresPerNet = limit{"failures of a network", 300, time.Hour}
	sendsPerTarget = limit{"sends to a target", 10, time.Hour}
	sendsPerNet    = limit{"sends from a network", 100, time.Hour}
	sendsPerDay    = limit{"sends of the site", 20_000, 24 * time.Hour}

	// Text messages cost money, and some numbers pay whoever makes them ring.
	textsPerNumber = limit{"texts to a number", 1, 30 * time.Second}
	textsPerTarget = limit{"texts to a number in a day", 5, 24 * time.Hour}
	textsPerPrefix = limit{"texts to a prefix", 50, time.Hour}
	textsPerUser   = limit{"texts of a user", 20, 24 * time.Hour}
	textsPerNet    = limit{"texts from a network", 20, time.Hour}
	textsPerDay    = limit{"texts of the site", 2000, 24 * time.Hour}

	challengesPerNet = limit{"challenges of a network", 300, time.Hour}
)

// budget counts in the store, so that neither a restart nor another node gives a fresh one.
type budget struct {
	db       *store.DB
	limiters map[string]*throttled.GCRARateLimiterCtx
}

func newBudget(db *store.DB) (*budget, error) {
	b := &budget{db: db, limiters: make(map[string]*throttled.GCRARateLimiterCtx)}
	cells := &gcraStore{db: db, cells: store.NewTable[int64](db, "b/", 1)}
	for _, l := range []limit{
		failuresPerNet, sendsPerTarget, sendsPerNet, sendsPerDay,
		textsPerNumber, textsPerTarget, textsPerPrefix, textsPerUser, textsPerNet, textsPerDay, challengesPerNet,
	} {
		quota := throttled.RateQuota{MaxRate: throttled.PerDuration(l.burst, l.per), MaxBurst: l.burst - 1}
		limiter, err := throttled.NewGCRARateLimiterCtx(cells, quota)
		if err != nil {
			return nil, fmt.Errorf("budget %q: %w", l.name, err)
		}
		limiter.SetMaxCASAttemptsLimit(conflictRetries)
		b.limiters[l.name] = limiter
	}
	return b, nil
}

// take spends quantity of a budget; 0 only asks whether one is left.
func (b *budget) take(ctx context.Context, l limit, key string, quantity int) error {
	id := b.db.Keyring().Index("budget "+l.name, key)
	limited, result, err := b.limiters[l.name].RateLimitCtx(ctx, id, quantity)
	if err != nil {
		return fmt.Errorf("budget %q: %w", l.name, err)
	}
	if limited || quantity == 0 && result.Remaining <= 0 {
		return &BudgetError{RetryAfter: max(result.RetryAfter, l.per/time.Duration(l.burst))}
	}
	return nil
}

// MayTry tells whether a client address may try to prove anything at all.
func (a *Accounts) MayTry(ctx context.Context, ip netip.Addr) error {
	return a.budget.take(ctx, failuresPerNet, network(ip), 0)
}

// Failed counts a failed proof against a client address, also that of a client who did not wait
// for the answer.
func (a *Accounts) Failed(ctx context.Context, ip netip.Addr) error {
	ctx = context.WithoutCancel(ctx)
	err := a.budget.take(ctx, failuresPerNet, network(ip), 1)
	var used *BudgetError
	if errors.As(err, &used) {
		return nil
	}
	return err
}

// TakeSend spends one message to a target on behalf of a client address. It is called
// before anything is sent or any earlier code is replaced.
func (a *Accounts) TakeSend(ctx context.Context, target string, ip netip.Addr) error {
	return a.takeAll(ctx, []spending{{sendsPerNet, network(ip)}, {sendsPerTarget, target}, {sendsPerDay, ""}})
}

// TakeChallenge spends one record that waits for an answer of a client address.
func (a *Accounts) TakeChallenge(ctx context.Context, ip netip.Addr) error {
	return a.budget.take(ctx, challengesPerNet, network(ip), 1)
}

// TakeText is TakeSend for a text message to a number in E.164; userID is empty for a visitor
// who is not signed in.
func (a *Accounts) TakeText(ctx context.Context, number, userID string, ip netip.Addr) error {
	list := []spending{
		{textsPerNet, network(ip)}, {textsPerNumber, number}, {textsPerTarget, number}, {textsPerPrefix, PhonePrefix(number)}, {textsPerDay, ""},
	}
	if userID != "" {
		list = append(list, spending{textsPerUser, userID})
	}
	return a.takeAll(ctx, list)
}

// spending is one of a budget.
type spending struct {
	limit limit
	key   string
}

// takeAll spends one of each budget, provided that one is left of all: a refusal costs nothing
// but what parallel calls race for.
func (a *Accounts) takeAll(ctx context.Context, list []spending) error {
	for _, quantity := range []int{0, 1} {
		for _, s := range list {
			if err := a.budget.take(ctx, s.limit, s.key, quantity); err != nil {
				return err
			}
		}
	}
	return nil
}

// network is the unit in which client addresses are counted: one IPv4 address, or one /64,
// which is what one IPv6 subscriber holds.
func network(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// gcraStore keeps the cells of throttled's GCRA in our store and on our clock.
type gcraStore struct {
	db    *store.DB
	cells store.Table[int64]
}

// GetWithTime implements throttled.GCRAStoreCtx.
func (s *gcraStore) GetWithTime(ctx context.Context, key string) (int64, time.Time, error) {
	v, _, err := s.cells.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return -1, s.db.Now(), nil
	}
	return v, s.db.Now(), err
}

// SetIfNotExistsWithTTL implements throttled.GCRAStoreCtx.
func (s *gcraStore) SetIfNotExistsWithTTL(ctx context.Context, key string, value int64, ttl time.Duration) (bool, error) {
	var c store.Change
	if err := s.cells.Insert(&c, key, value, s.db.Now().Add(ttl)); err != nil {
		return false, err
	}
	return s.apply(ctx, c)
}

// CompareAndSwapWithTTL implements throttled.GCRAStoreCtx.
func (s *gcraStore) CompareAndSwapWithTTL(ctx context.Context, key string, before, after int64, ttl time.Duration) (bool, error) {
	v, rev, err := s.cells.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && v != before {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var c store.Change
	if err := s.cells.Replace(&c, key, rev, after, s.db.Now().Add(ttl)); err != nil {
		return false, err
	}
	return s.apply(ctx, c)
}

func (s *gcraStore) apply(ctx context.Context, c store.Change) (bool, error) {
	err := s.db.Apply(ctx, c)
	if errors.Is(err, store.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}
