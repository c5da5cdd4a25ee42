package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

func newLog(t *testing.T) (*Log, *storetest.Clock) {
	t.Helper()
	clock := storetest.NewClock()
	return NewLog(storetest.Open(t, clock.Now), func(msg string, err error) { t.Errorf("%s: %v", msg, err) }), clock
}

// kinds are what happened, in order, with the user it happened to.
func kinds(list []Entry) string {
	var out []string
	for _, e := range list {
		out = append(out, string(e.Kind)+" "+e.UserID)
	}
	return strings.Join(out, ", ")
}

func verified(t *testing.T, l *Log) []Head {
	t.Helper()
	heads, err := l.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return heads
}

func TestLogKeepsEventsInOrder(t *testing.T) {
	l, clock := newLog(t)
	for i := range 3 * batch {
		clock.Advance(time.Second)
		for _, ev := range []Event{
			{Kind: FactorProven, UserID: fmt.Sprint(i)}, {Kind: FactorRefused, UserID: "eve"}, {Kind: AccountLocked, UserID: "eve", ByAdmin: true, ActorID: "1"},
		} {
			ev.Time = clock.Now()
			l.Record(ev)
		}
	}
	list, err := l.Last(t.Context(), "", 4)
	if err != nil || kinds(list) != "factor_refused eve, account_locked eve, factor_proven 59, factor_refused eve" {
		t.Error(kinds(list), err)
	}
	if list, err = l.Last(t.Context(), "1", 3); err != nil || kinds(list) != "account_locked eve, account_locked eve, account_locked eve" {
		t.Error(kinds(list), err)
	}
	if list, err = l.Last(t.Context(), "58", 3); err != nil || kinds(list) != "factor_proven 58" {
		t.Error(kinds(list), err)
	}
	for _, h := range verified(t, l) {
		if h.First != 1 || h.Last != 60 {
			t.Error(h)
		}
	}
	var seen int
	for marks := (Marks{Accounts: 58}); ; {
		entries, next, err := l.After(t.Context(), marks)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		seen, marks = seen+len(entries), next
	}
	if seen != 60+60+2 {
		t.Errorf("%d entries follow the marks", seen)
	}
}

// Whoever guesses pushes out neither what was done nor alarms, and the chains hold where they were
// cut off.
func TestEachChainHasRoomOfItsOwn(t *testing.T) {
	l, clock := newLog(t)
	l.kept = 30
	l.Record(Event{Kind: BreakGlassUsed, UserID: "ada", Time: clock.Now()})
	l.Record(Event{Kind: FactorProven, UserID: "ada", Time: clock.Now()})
	for range 5 * batch {
		l.Record(Event{Kind: FactorRefused, UserID: "eve", Time: clock.Now()})
	}
	list, err := l.Last(t.Context(), "ada", 10)
	if err != nil || len(list) != 2 {
		t.Error(kinds(list), err)
	}
	heads := verified(t, l)
	if last := heads[2]; last.Chain != Refusals || last.Last != 100 || last.First < 65 || last.First > 71 {
		t.Error(last)
	}
	rows, err := l.entries.List(t.Context(), string(Refusals), "", 1000)
	if err != nil || len(rows) > 40 {
		t.Errorf("%d entries are kept: %v", len(rows), err)
	}
}

func TestEntriesExpire(t *testing.T) {
	l, clock := newLog(t)
	l.SetLife(time.Hour)
	l.Record(Event{Kind: FactorProven, UserID: "old", Time: clock.Now()})
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.Advance(59 * time.Minute)
	l.Record(Event{Kind: FactorProven, UserID: "new", Time: clock.Now()})
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	list, err := l.Last(t.Context(), "", 10)
	if err != nil || kinds(list) != "factor_proven new" {
		t.Error(kinds(list), err)
	}
	if heads := verified(t, l); len(heads) != 1 || heads[0].First != 2 {
		t.Error(heads)
	}
	clock.Advance(time.Hour)
	if heads := verified(t, l); len(heads) != 0 {
		t.Error(heads)
	}
}

// Whatever is done to an entry shows: changed, dropped, repeated, moved, or cut off at the end.
func TestTamperingShows(t *testing.T) {
	for name, tt := range map[string]struct {
		tamper func(t *testing.T, l *Log)
		want   string
	}{
		"changed": {func(t *testing.T, l *Log) {
			rewrite(t, l, 3, func(e *Entry) { e.UserID = "somebody else" })
		}, "breaks at entry 3: it was changed"},
		"changed with its hash": {func(t *testing.T, l *Log) {
			rewrite(t, l, 3, func(e *Entry) { e.UserID = "somebody else"; rehash(t, e) })
		}, "breaks at entry 4: it does not follow"},
		"dropped": {func(t *testing.T, l *Log) { drop(t, l, 3) }, "breaks at entry 3: it is missing; entry 4"},
		"cut off": {func(t *testing.T, l *Log) { drop(t, l, 5) }, "breaks at entry 5: it is missing, and all after it"},
		"all dropped": {func(t *testing.T, l *Log) {
			for seq := range uint64(5) {
				drop(t, l, seq+1)
			}
		}, "breaks at entry 5: it is missing, and all before it"},
		"repeated": {func(t *testing.T, l *Log) { rewrite(t, l, 3, func(e *Entry) { e.Seq = 2 }) }, "breaks at entry 3: it is missing; entry 2"},
		"another beginning": {func(t *testing.T, l *Log) {
			rewrite(t, l, 1, func(e *Entry) { e.Prev = Hash{1}; rehash(t, e) })
		}, "breaks at entry 1: it is not the beginning"},
		"another end": {func(t *testing.T, l *Log) {
			rewrite(t, l, 5, func(e *Entry) { e.Reason = "x"; rehash(t, e) })
		}, "breaks at entry 5: it is not what the end"},
	} {
		l, clock := newLog(t)
		for range 5 {
			l.Record(Event{Kind: FactorProven, UserID: "ada", Time: clock.Now()})
		}
		verified(t, l)
		tt.tamper(t, l)
		heads, err := l.Verify(t.Context())
		var broken *BreakError
		if !errors.As(err, &broken) || !strings.Contains(err.Error(), tt.want) || heads != nil {
			t.Errorf("%s: %v %v", name, heads, err)
		}
	}
}

func rehash(t *testing.T, e *Entry) {
	t.Helper()
	var err error
	if e.Hash, err = e.sum(); err != nil {
		t.Fatal(err)
	}
}

func rewrite(t *testing.T, l *Log, seq uint64, edit func(*Entry)) {
	t.Helper()
	err := l.entries.Update(t.Context(), id(Accounts, seq), func(e *Entry, _ bool) (time.Time, error) {
		edit(e)
		return time.Time{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func drop(t *testing.T, l *Log, seq uint64) {
	t.Helper()
	if _, err := l.entries.Take(t.Context(), id(Accounts, seq)); err != nil {
		t.Fatal(err)
	}
}

// What is exported as JSON proves itself, and its hash is that of the line without it.
func TestExportProvesItself(t *testing.T) {
	l, clock := newLog(t)
	for i := range 4 {
		l.Record(Event{Kind: FactorProven, UserID: fmt.Sprint("ž<", i), Time: clock.Now().In(time.FixedZone("", 3600))})
	}
	list, err := l.Last(t.Context(), "", 10)
	if err != nil || len(list) != 4 {
		t.Fatal(list, err)
	}
	var v Verifier
	for _, e := range list[1:] { // from anywhere
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseEntry(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Check(&back); err != nil {
			t.Error(err)
		}
		line, _, ok := strings.Cut(string(text), `,"hash":"`)
		if !ok || hashOf(line+"}") != e.Hash {
			t.Errorf("%s is not hashed as documented", text)
		}
	}
	if h := v.Heads(); len(h) != 1 || h[0].First != 2 || h[0].Last != 4 || h[0].Hash != list[3].Hash {
		t.Error(h)
	}
}

// A line of which two programs may read different things does not pass for what was exported.
func TestExportIsSpeltOneWay(t *testing.T) {
	l, clock := newLog(t)
	l.Record(Event{Kind: BreakGlassUsed, UserID: "ada", Time: clock.Now()})
	list, err := l.Last(t.Context(), "", 1)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	text, err := json.Marshal(list[0])
	if err != nil {
		t.Fatal(err)
	}
	const kind = `"kind":"break_glass_used"`
	for _, other := range []string{
		strings.Replace(string(text), kind, `"kind":"factor_proven",`+kind, 1),
		strings.Replace(string(text), kind, `"kind":"factor_proven","Kind":"break_glass_used"`, 1),
		strings.Replace(string(text), kind, kind+`,"note":"x"`, 1),
		strings.Replace(string(text), kind, kind+`,"reason":""`, 1),
		string(text) + " ", string(text) + "{}", string(text) + string(text),
		strings.Replace(string(text), `"chain":"administration"`, `"chain":"\u001b[2J"`, 1),
		"", "{}", "null",
	} {
		_, err := ParseEntry([]byte(other))
		if err == nil || strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("%s: %v", other, err)
		}
	}
	if _, err := ParseEntry(text); err != nil {
		t.Error(err)
	}
}

// Nodes that share a store share the chains.
func TestTwoNodesExtendOneChain(t *testing.T) {
	a, clock := newLog(t)
	b := NewLog(a.db, a.warn)
	var wg sync.WaitGroup
	for _, l := range []*Log{a, b} {
		wg.Go(func() {
			for range 50 {
				l.Record(Event{Kind: FactorProven, UserID: "ada", Time: clock.Now()})
				if err := l.Flush(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if heads := verified(t, a); len(heads) != 1 || heads[0].Last != 100 {
		t.Error(heads)
	}
}

// away is a store that does not answer while it is down.
type away struct {
	store.Store
	mu   sync.Mutex
	down bool
}

func (a *away) set(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func (a *away) Apply(ctx context.Context, conds []store.Cond, ops []store.Op) (store.Rev, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down {
		return 0, store.ErrUnavailable
	}
	return a.Store.Apply(ctx, conds, ops)
}

// While the store is away events wait, within bounds, and what found no room is told.
func TestEventsWaitForTheStore(t *testing.T) {
	clock := storetest.NewClock()
	engine := &away{Store: storetest.Open(t, clock.Now).Store(), down: true}
	warned := make(chan struct{}, 100)
	l := NewLog(storetest.DB(t, engine, clock.Now), func(string, error) { warned <- struct{}{} })
	for range maxWaiting + 7 {
		l.Record(Event{Kind: FactorProven, UserID: "ada", Time: clock.Now()})
	}
	ctx, cancel := context.WithCancel(t.Context())
	tick := make(chan time.Time)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, func(time.Duration) <-chan time.Time { return tick })
	}()
	<-warned
	engine.set(false)
	close(tick)
	flushed := l.Flush(t.Context())
	cancel()
	<-done
	list, err := l.last(t.Context(), Administration, "", 10)
	if err := errors.Join(flushed, err); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Kind != EventsLost || list[0].Count != 7 {
		t.Errorf("the loss is not told: %v", list)
	}
	heads := verified(t, l)
	if len(heads) != 2 || heads[1].Last != maxWaiting {
		t.Error(heads)
	}
}
