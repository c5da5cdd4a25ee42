package session

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

// people is a user directory that a test changes.
type people map[string]Identity

func (p people) Identity(_ context.Context, id string) (Identity, error) {
	who, ok := p[id]
	if !ok {
		return Identity{}, store.ErrNotFound
	}
	return who, nil
}

type bench struct {
	*Manager
	t     *testing.T
	clock *storetest.Clock
	users people
}

func newBench(t *testing.T, capacity int) *bench {
	t.Helper()
	b := &bench{t: t, clock: storetest.NewClock(), users: people{"u": {ID: "u", Email: "u@example.com", Groups: []string{"g"}}, "v": {ID: "v"}}}
	b.Manager = NewManager(storetest.Open(t, b.clock.Now), b.users, DefaultLimits, capacity, rand.Reader)
	return b
}

func (b *bench) proof(user string, p factors.Product) factors.Proof {
	return factors.Proof{Product: p, UserID: user, CredentialID: string(p) + "-id", EmailAddress: "u@example.com", AuthenticatedAt: b.clock.Now()}
}

func (b *bench) start(user string) Issued {
	b.t.Helper()
	var c store.Change
	i, err := b.Start(b.t.Context(), &c, b.proof(user, factors.Password), Attributes{IPAddress: "192.0.2.1", UserAgent: "test"})
	if err == nil {
		err = b.db.Apply(b.t.Context(), c)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return i
}

func (b *bench) upgrade(i Issued, p factors.Product) Issued {
	b.t.Helper()
	s := b.alive(i)
	var c store.Change
	next, err := b.Upgrade(b.t.Context(), &c, s, b.proof(s.UserID, p))
	if err == nil {
		err = b.db.Apply(b.t.Context(), c)
	}
	if err == nil {
		_, err = b.Issued(b.t.Context(), next)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return next
}

func (b *bench) alive(i Issued) *Session {
	b.t.Helper()
	s, err := b.Lookup(b.t.Context(), i.Cookie)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) dead(i Issued) {
	b.t.Helper()
	if s, err := b.Lookup(b.t.Context(), i.Cookie); !errors.Is(err, store.ErrNotFound) {
		b.t.Fatalf("still there: %v %v", s, err)
	}
}

// Both limits hold on read, to the millisecond, with nothing swept, cached or not.
func TestLimits(t *testing.T) {
	for _, cached := range []bool{true, false} {
		b := newBench(t, 1000)
		i := b.start("u")
		look := func(d time.Duration) {
			b.clock.Advance(d)
			if !cached {
				b.cache.dropAll()
			}
		}
		look(time.Hour - time.Millisecond)
		b.alive(i)
		if !cached {
			// The store is at most a minute behind: what it knows may only end a session sooner.
			if err := b.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.alive(i)
			if err := b.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		look(time.Hour)
		b.dead(i)

		i = b.start("u")
		for range 47 {
			b.clock.Advance(30 * time.Minute)
			b.alive(i)
		}
		b.clock.Advance(30*time.Minute - time.Millisecond)
		b.alive(i)
		b.clock.Advance(time.Millisecond)
		b.dead(i)
	}
}

// A cookie has one spelling; unknown ones are nothing and store nothing.
func TestCookieForms(t *testing.T) {
	b := newBench(t, 1000)
	good := b.start("u").Cookie
	for _, bad := range []string{
		"", good[1:], good[:42], good + "A", good + "=", " " + good, strings.ToLower(good) + "", strings.Repeat("A", 43), good[:42] + flip(good[42]),
		strings.ReplaceAll(good, good[:1], "+"), good[:21] + "\x00" + good[22:], strings.Repeat("A", 1<<16),
	} {
		if bad == good {
			continue
		}
		if _, err := b.Lookup(t.Context(), bad); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%.50q: %v", bad, err)
		}
	}
	b.alive(Issued{Cookie: good})
}

// flip returns the other spellings of the last character, whose low bits carry nothing.
func flip(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

// Neither the id nor the record is the cookie.
func TestStoreKnowsNoCookie(t *testing.T) {
	b := newBench(t, 1000)
	i := b.start("u")
	if strings.Contains(i.ID, i.Cookie) || len(i.Cookie) != 43 {
		t.Fatal(i)
	}
	if _, err := b.Lookup(t.Context(), strings.TrimPrefix(i.ID, idPrefix)); !errors.Is(err, store.ErrNotFound) {
		t.Fatal("the public id opens the session")
	}
}

// Revocation, a lock, a removed group and a deleted user hold from the next request on.
func TestChangesHoldAtOnce(t *testing.T) {
	b := newBench(t, 1000)
	i, j := b.start("u"), b.start("u")
	b.alive(i)
	if err := b.Revoke(t.Context(), "v", b.alive(i).ID); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("somebody else's session: %v", err)
	}
	if err := b.Revoke(t.Context(), "u", b.alive(i).ID); err != nil {
		t.Fatal(err)
	}
	b.dead(i)
	if g := b.alive(j).Subject().Groups; len(g) != 1 {
		t.Fatal(g)
	}
	b.users["u"] = Identity{ID: "u"}
	b.UserChanged("u")
	if g := b.alive(j).Subject().Groups; len(g) != 0 {
		t.Fatal(g)
	}
	b.users["u"] = Identity{ID: "u", Locked: true}
	b.UserChanged("u")
	b.dead(j)
	b.users["u"] = Identity{ID: "u"}
	b.UserChanged("u")
	b.alive(j)
	delete(b.users, "u")
	b.UserChanged("") // continuity was lost: it may have been anybody
	b.dead(j)
}

// A session that was rotated away is read-only from the next request on, though it was cached.
func TestRotationHoldsAtOnce(t *testing.T) {
	b := newBench(t, 1000)
	first := b.start("u")
	if b.alive(first).ReadOnly {
		t.Fatal("read-only before it was rotated away")
	}
	second := b.upgrade(first, factors.TOTP)
	if !b.alive(first).ReadOnly || b.alive(second).ReadOnly {
		t.Error("the old one goes on as before")
	}
}

// What another node did and nobody announced holds after five seconds.
func TestUnannouncedChanges(t *testing.T) {
	b := newBench(t, 1000)
	i := b.start("u")
	b.alive(i)
	other := NewManager(b.db, b.users, DefaultLimits, 1000, rand.Reader)
	if err := other.Revoke(t.Context(), "u", i.ID); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(maxStale)
	b.dead(i)
}

// Revoking either id of a rotation ends the whole family.
func TestRevokingEndsTheFamily(t *testing.T) {
	for _, which := range []string{"old", "new"} {
		b := newBench(t, 1000)
		first := b.start("u")
		second := b.upgrade(first, factors.TOTP)
		id := first.ID
		if which == "new" {
			id = second.ID
		}
		if err := b.Revoke(t.Context(), "u", id); err != nil {
			t.Fatal(err)
		}
		b.dead(first)
		b.dead(second)
	}
}

// A rotation that happens at the same moment does not carry a session past its revocation.
func TestRevocationBeatsRotation(t *testing.T) {
	for round := range 30 {
		b := newBench(t, 1000)
		first := b.start("u")
		s := b.alive(first)
		var next Issued
		var wg sync.WaitGroup
		wg.Go(func() {
			var c store.Change
			i, err := b.Upgrade(t.Context(), &c, s, b.proof("u", factors.TOTP))
			if err == nil {
				err = b.db.Apply(t.Context(), c)
			}
			if err == nil {
				next = i
			}
		})
		wg.Go(func() {
			var err error
			if round%2 == 0 {
				err = b.Revoke(t.Context(), "u", first.ID)
			} else {
				err = b.RevokeAll(t.Context(), "u", nil)
			}
			if err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		b.dead(first)
		if round%2 == 0 && next.Cookie != "" {
			b.dead(next)
		}
		if round%2 == 1 {
			// A rotation that was committed after the last look had its predecessor then, and
			// so was seen.
			if list, err := b.List(t.Context(), "u"); err != nil || len(list) != 0 {
				t.Fatalf("%v %v", list, err)
			}
		}
	}
}

// Many step-ups do not crowd the live session out of its listing.
func TestRotationsLeaveNoTrace(t *testing.T) {
	b := newBench(t, 1000)
	i := b.start("u")
	for range 2*maxPerUser + 10 {
		b.clock.Advance(time.Minute)
		i = b.upgrade(i, factors.TOTP)
	}
	b.clock.Advance(grace)
	if ids, err := b.ids(t.Context(), "u"); err != nil || len(ids) != 1 {
		t.Fatalf("%d ids, %v", len(ids), err)
	}
}

// Proving a credential again moves the time of its entry and of no other, and keeps its order.
func TestProvingAgain(t *testing.T) {
	b := newBench(t, 1000)
	i := b.upgrade(b.start("u"), factors.TOTP)
	began := b.clock.Now()
	b.clock.Advance(10 * time.Minute)
	s := b.alive(b.upgrade(i, factors.TOTP))
	if len(s.Factors) != 2 || s.Factors[0].SequenceOrder != Primary || s.Factors[1].SequenceOrder != Secondary {
		t.Fatalf("%+v", s.Factors)
	}
	if !s.Factors[0].LastAuthenticatedAt.Equal(began) || !s.Factors[1].LastAuthenticatedAt.Equal(b.clock.Now()) || !s.Factors[1].CreatedAt.Equal(began) {
		t.Fatalf("%+v", s.Factors)
	}
	if !s.StartedAt.Equal(began) || !s.ExpiresAt.Equal(began.Add(24*time.Hour)) {
		t.Fatal("a step-up extended the session")
	}
}

// The credential that began a session goes; the session goes on with what was added to it,
// although the one that it took over from held nothing else.
func TestDropOfTheFirstFactor(t *testing.T) {
	b := newBench(t, 100)
	before := b.start("u")
	after := b.upgrade(before, factors.TOTP)
	if err := b.Drop(t.Context(), "u", "password-id"); err != nil {
		t.Fatal(err)
	}
	if s := b.alive(after); len(s.Factors) != 1 {
		t.Errorf("factors: %+v", s.Factors)
	}
	if _, err := b.Lookup(t.Context(), before.Cookie); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the session without a factor: %v", err)
	}
}

// Removing a credential takes its proofs out of all sessions, and ends those with nothing left.
func TestDrop(t *testing.T) {
	b := newBench(t, 1000)
	two, one := b.upgrade(b.start("u"), factors.TOTP), b.start("u")
	if err := b.Drop(t.Context(), "u", "totp-id"); err != nil {
		t.Fatal(err)
	}
	if f := b.alive(two).Factors; len(f) != 1 || f[0].Product != factors.Password {
		t.Fatalf("%+v", f)
	}
	if err := b.Drop(t.Context(), "u", "password-id"); err != nil {
		t.Fatal(err)
	}
	b.dead(two)
	b.dead(one)
}

// A session is written at most once a minute however often it is used.
func TestAccessTimesAreWrittenSeldom(t *testing.T) {
	b := newBench(t, 1000)
	i := b.start("u")
	before := b.alive(i).ID
	for range 100 {
		b.clock.Advance(100 * time.Millisecond)
		b.alive(i)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r, _, err := b.sessions.Get(t.Context(), before)
	if err != nil || !r.LastAccessedAt.Equal(r.StartedAt) {
		t.Fatalf("written early: %v %v", r.LastAccessedAt, err)
	}
	b.clock.Advance(time.Minute)
	b.alive(i)
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, _, err = b.sessions.Get(t.Context(), before); err != nil || !r.LastAccessedAt.Equal(b.clock.Now()) {
		t.Fatalf("not written: %v %v", r.LastAccessedAt, err)
	}
}

// Neither the cache nor a user's sessions grow without bound.
func TestBounds(t *testing.T) {
	b := newBench(t, 64)
	first := b.start("u")
	for range 150 {
		b.clock.Advance(time.Second)
		b.alive(b.start("u"))
	}
	if n := len(b.cache.all()); n > 64 {
		t.Errorf("%d cached", n)
	}
	list, err := b.List(t.Context(), "u")
	if err != nil || len(list) > maxPerUser {
		t.Errorf("%d sessions, %v", len(list), err)
	}
	b.dead(first)
}

// A load that was under way while its session was revoked must not put it back.
func TestStaleLoadIsNotCached(t *testing.T) {
	b := newBench(t, 1000)
	i := b.start("u")
	epoch := b.cache.epoch(i.Cookie)
	s, err := b.read(t.Context(), i.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Revoke(t.Context(), "u", i.ID); err != nil {
		t.Fatal(err)
	}
	b.cache.put(i.Cookie, entry{session: s, loadedAt: b.clock.Now()}, epoch)
	b.dead(i)
}

// The JSON of a session has exactly the documented fields.
func TestJSON(t *testing.T) {
	b := newBench(t, 1000)
	i := b.upgrade(b.upgrade(b.start("u"), factors.TOTP), factors.EmailOTP)
	text, err := json.Marshal(b.alive(i).Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"session_id", "user_id", "authentication_factors", "roles", "started_at", "last_accessed_at", "expires_at", "attributes", "custom_claims"} {
		if _, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		}
		delete(got, name)
	}
	if len(got) != 0 {
		t.Errorf("more than documented: %v", got)
	}
	for _, part := range []string{
		`{"type":"password","delivery_method":"knowledge","sequence_order":"PRIMARY","last_authenticated_at":"2026-03-14T09:26:53Z","created_at":"2026-03-14T09:26:53Z","updated_at":"2026-03-14T09:26:53Z"}`,
		`"type":"totp","delivery_method":"authenticator_app","sequence_order":"SECONDARY"`, `"authenticator_app_factor":{"totp_id":"totp-id"}`,
		`"type":"otp","delivery_method":"email"`, `"email_factor":{"email_id":"email_otp-id","email_address":"u@example.com"}`,
		`"attributes":{"ip_address":"192.0.2.1","user_agent":"test"}`, `"custom_claims":{}`, `"roles":["g"]`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s\nlacks %s", text, part)
		}
	}
}

// Every product has its type, delivery method and name in the policy.
func TestEveryProductHasItsForm(t *testing.T) {
	for p, want := range map[factors.Product]string{
		factors.Password: "password/knowledge", factors.MagicLink: "magic_link/email", factors.EmailOTP: "otp/email", factors.SMSOTP: "otp/sms",
		factors.WhatsAppOTP: "otp/whatsapp", factors.OAuth: "oauth/oauth_oidc", factors.TOTP: "totp/authenticator_app",
		factors.RecoveryCode: "recovery_codes/recovery_code", factors.WebAuthn: "webauthn/webauthn_registration", factors.CryptoWallet: "crypto/crypto_wallet",
	} {
		f := newFactor(factors.Proof{Product: p, Variant: "x", WalletType: "ethereum"}, Primary)
		if got := f.Type + "/" + f.DeliveryMethod; got != want || f.policyFactor().Name != string(p) {
			t.Errorf("%s: %s, policy %s", p, got, f.policyFactor().Name)
		}
	}
}
