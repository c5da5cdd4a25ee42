package account

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/factors/totp"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
	"github.com/stepgate/stepgate/policy"
)

func newAccounts(t *testing.T) (*Accounts, *storetest.Clock) {
	t.Helper()
	clock := storetest.NewClock()
	a, err := New(storetest.Open(t, clock.Now), DefaultLockout, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return a, clock
}

// One address has one spelling; what parsers disagree about is none.
func TestFoldEmail(t *testing.T) {
	for text, want := range map[string]string{
		"a@example.com": "a@example.com", " A.B+c@Example.COM \n": "a.b+c@example.com", "o'brien@x.example": "o'brien@x.example",
		"": "", "a": "", "@example.com": "", "a@": "", "a@localhost": "", "a@b@example.com": "", "a@evil.com@example.com": "", "\"a b\"@example.com": "",
		"a(comment)@example.com": "", "a@[192.0.2.1]": "", "a@example.com.": "", "a@.example.com": "", "a..b@example.com": "", ".a@example.com": "",
		"a@exämple.com": "", "ａ@example.com": "", "a%b@example.com": "", "a@exa_mple.com": "", "a@-x.com": "", "a@example.com\r\nBcc: x@y.z": "",
		"a@example.com,b@example.com": "", "<a@example.com>": "", "A <a@example.com>": "", "a b@example.com": "", "a\x00@example.com": "",
		strings.Repeat("a", 65) + "@example.com": "", "a@" + strings.Repeat("a", 250) + ".com": "",
	} {
		got, err := FoldEmail(text)
		if got != want || (want == "") != errors.Is(err, ErrAddress) {
			t.Errorf("%q: %q %v, expected %q", text, got, err, want)
		}
	}
}

func FuzzFoldEmail(f *testing.F) {
	f.Add("a@example.com")
	f.Add("\"a\"@b.c")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := FoldEmail(s)
		if err != nil {
			return
		}
		again, err := FoldEmail(got)
		if err != nil || again != got || strings.Count(got, "@") != 1 || strings.ContainsAny(got, " \r\n\t<>\"(),;:") {
			t.Fatalf("%q became %q, then %q %v", s, got, again, err)
		}
	})
}

// person builds a user with the named things enrolled.
func person(things string) *User {
	u := &User{ID: "u"}
	for thing := range strings.FieldsSeq(things) {
		switch thing {
		case "password":
			u.Password = &password.Credential{Hash: "x"}
		case "locked-password":
			u.Password = &password.Credential{Hash: "x", MustReset: true}
		case "email":
			u.Emails = append(u.Emails, Email{ID: "e", Verified: true})
		case "unverified":
			u.Emails = append(u.Emails, Email{ID: "e"})
		case "totp":
			u.TOTP = &totp.Credential{ID: "t"}
		}
	}
	return u
}

// TestRules goes through what a user can have and what then may be done.
func TestRules(t *testing.T) {
	primary := []factors.Product{factors.Password, factors.EmailOTP}
	for _, c := range []struct {
		things  string
		combine bool
		second  error
		minimum int
		remove  map[string]error
	}{
		{"password", false, ErrEmailNotVerified, 15, map[string]error{"password-u": ErrLastWayIn}},
		{"password unverified", false, ErrEmailNotVerified, 15, map[string]error{"password-u": ErrLastWayIn, "e": nil}},
		{"password email", false, nil, 15, map[string]error{"password-u": nil, "e": nil}},
		{"email", false, nil, 15, map[string]error{"e": ErrLastWayIn}},
		{"password email totp", true, nil, 8, map[string]error{"password-u": nil, "e": nil, "t": nil}},
		{"password totp", true, ErrEmailNotVerified, 8, map[string]error{"password-u": ErrLastWayIn, "t": nil}},
		{"email totp", true, nil, 8, map[string]error{"e": ErrLastWayIn, "t": nil}},
		{"totp", false, nil, 8, map[string]error{"t": ErrLastWayIn}},
		{"locked-password unverified", false, ErrEmailNotVerified, 15, map[string]error{"e": ErrLastWayIn}},
	} {
		u := person(c.things)
		if got := CanCombine(u); got != c.combine {
			t.Errorf("%s: can combine %v", c.things, got)
		}
		if got := MayAddSecond(u); !errors.Is(got, c.second) {
			t.Errorf("%s: may add a second factor: %v", c.things, got)
		}
		if got := PasswordMinimum(u); got != c.minimum {
			t.Errorf("%s: passwords of %d", c.things, got)
		}
		for id, want := range c.remove {
			if got := MayRemove(u, primary, id); !errors.Is(got, want) {
				t.Errorf("%s: remove %s: %v, expected %v", c.things, id, got, want)
			}
		}
	}
}

// TestMayChangeFactors tries every pair of proven products, fresh and stale.
func TestMayChangeFactors(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	able, unable := person("password email totp"), person("password email")
	for _, a := range []string{"password", "email_otp", "totp", "recovery_code"} {
		for _, b := range []string{"password", "email_otp", "totp", "recovery_code"} {
			for _, age := range []time.Duration{0, time.Hour, time.Hour + time.Millisecond} {
				proven := []policy.Factor{{Name: a, At: now.Add(-24 * time.Hour)}, {Name: b, At: now.Add(-age)}}
				var want, alone error
				if age > time.Hour {
					want, alone = ErrStale, ErrStale
				}
				if !policy.SecureCombination(proven) {
					want = ErrCombination
				}
				if got := MayChangeFactors(able, proven, time.Hour, now); !errors.Is(got, want) {
					t.Errorf("%s and %s %s old: %v, expected %v", a, b, age, got, want)
				}
				if got := MayChangeFactors(unable, proven, time.Hour, now); !errors.Is(got, alone) {
					t.Errorf("%s and %s %s old, nothing to combine: %v, expected %v", a, b, age, got, alone)
				}
			}
		}
	}
	if err := MayChangeFactors(unable, nil, time.Hour, now); !errors.Is(err, ErrStale) {
		t.Errorf("nothing proven: %v", err)
	}
}

// Two people cannot have one address, whoever is first.
func TestAddressHasOneOwner(t *testing.T) {
	a, _ := newAccounts(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for i := range 20 {
		wg.Go(func() {
			_, err := a.Create(t.Context(), NewUser{Email: []string{"x@example.com", " X@Example.com"}[i%2]}, nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !errors.Is(err, ErrExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Fatalf("%d accounts", made)
	}
	list, err := a.List(t.Context(), "", 10)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := a.Delete(t.Context(), list[0].ID, func(*User, *store.Change) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Create(t.Context(), NewUser{Email: "x@example.com"}, nil); err != nil {
		t.Fatalf("after deletion: %v", err)
	}
}

// G: 200 parallel attempts on one account take exactly ten; success of one product clears only
// its own count.
func TestAttempts(t *testing.T) {
	a, clock := newAccounts(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 200 {
		wg.Go(func() {
			_, err := a.TakeAttempt(t.Context(), Try{Account: "u", Known: true, Product: factors.Password, Credential: "p"})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken++
			} else if !errors.Is(err, ErrLocked) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if taken != 10 {
		t.Fatalf("%d attempts", taken)
	}
	clock.Advance(time.Hour - time.Millisecond)
	if _, err := a.TakeAttempt(t.Context(), Try{Account: "u", Known: true, Product: factors.TOTP, Credential: "t"}); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	clock.Advance(time.Millisecond)
	for range 6 {
		if _, err := a.TakeAttempt(t.Context(), Try{Account: "u", Known: true, Product: factors.TOTP, Credential: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		at, err := a.TakeAttempt(t.Context(), Try{Account: "u", Known: true, Product: factors.Password, Credential: "p"})
		if err != nil {
			t.Fatal(err)
		}
		var c store.Change
		if err := a.Succeeded(t.Context(), &c, at, "u", factors.Password, ""); err != nil {
			t.Fatal(err)
		}
		if err := a.db.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if _, err := a.TakeAttempt(t.Context(), Try{Account: "u", Known: true, Product: factors.TOTP, Credential: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.TakeAttempt(t.Context(), Try{Account: "u", Known: true, Product: factors.TOTP, Credential: "t"}); !errors.Is(err, ErrLocked) {
		t.Fatalf("six and four failures around successes of another product: %v", err)
	}
}

// The limits can be changed while the server runs.
func TestLockoutCanBeChanged(t *testing.T) {
	a, clock := newAccounts(t)
	a.SetLockout(Lockout{After: 3, For: 5 * time.Minute})
	for range 3 {
		if _, err := a.TakeAttempt(t.Context(), Try{Account: "u", Known: true, Product: factors.TOTP, Credential: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.TakeAttempt(t.Context(), Try{Account: "u", Known: true, Product: factors.TOTP, Credential: "t"}); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	clock.Advance(5 * time.Minute)
	if _, err := a.TakeAttempt(t.Context(), Try{Account: "u", Known: true, Product: factors.TOTP, Credential: "t"}); err != nil {
		t.Fatal(err)
	}
}

// A network is one /64 or one IPv4 address, however it is written.
func TestNetworks(t *testing.T) {
	for _, same := range [][2]string{{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8::1", "2001:db8::ffff:2"}, {"fe80::1%eth0", "fe80::2"}} {
		if network(netip.MustParseAddr(same[0])) != network(netip.MustParseAddr(same[1])) {
			t.Errorf("%v differ", same)
		}
	}
	for _, other := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8:0:1::1"}} {
		if network(netip.MustParseAddr(other[0])) == network(netip.MustParseAddr(other[1])) {
			t.Errorf("%v are one", other)
		}
	}
}

// Failures of one network and messages to one target have budgets of their own,
// which other networks and targets do not share.
func TestBudgets(t *testing.T) {
	a, clock := newAccounts(t)
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	n := 0
	for ; n < 1000 && a.MayTry(t.Context(), here) == nil; n++ {
		if err := a.Failed(t.Context(), here); err != nil {
			t.Fatal(err)
		}
	}
	if n != failuresPerNet.burst {
		t.Errorf("%d failures", n)
	}
	if err := a.MayTry(t.Context(), there); err != nil {
		t.Errorf("another network: %v", err)
	}
	var used *BudgetError
	if err := a.MayTry(t.Context(), here); !errors.As(err, &used) || used.RetryAfter <= 0 {
		t.Fatalf("%v", err)
	}
	clock.Advance(time.Hour)
	if err := a.MayTry(t.Context(), here); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	for i := range sendsPerTarget.burst {
		if err := a.TakeSend(t.Context(), "x@example.com", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.TakeSend(t.Context(), "x@example.com", there); !errors.As(err, &used) {
		t.Fatalf("%v", err)
	}
	if err := a.TakeSend(t.Context(), "y@example.com", there); err != nil {
		t.Fatal(err)
	}
}

// A ticket has one spelling, one use, one kind, and dies by our clock.

// 2000 texts in a day are the last bound, whoever asks for what number from where.
func TestTextsOfTheSiteAreBounded(t *testing.T) {
	a, _ := newAccounts(t)
	if err := a.budget.take(t.Context(), textsPerDay, "", textsPerDay.burst-1); err != nil {
		t.Fatal(err)
	}
	if err := a.TakeText(t.Context(), "+447400123456", "", netip.MustParseAddr("192.0.2.1")); err != nil {
		t.Errorf("the last one: %v", err)
	}
	var used *BudgetError
	if err := a.TakeText(t.Context(), "+447400987654", "", netip.MustParseAddr("198.51.100.1")); !errors.As(err, &used) {
		t.Errorf("one more: %v", err)
	}
}

func TestTickets(t *testing.T) {
	a, clock := newAccounts(t)
	var c store.Change
	token, ticket, err := a.IssueTicket(&c, Ticket{Kind: ResetTicket, UserID: "u"})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.db.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", token[1:], token + "A", strings.ToLower(token), token + "="} {
		if _, err := a.Ticket(t.Context(), ResetTicket, bad); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := a.Ticket(t.Context(), InviteTicket, token); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another kind: %v", err)
	}
	// What is stored is no token, whether as it is or without its kind.
	stored, _ := ticketID(ResetTicket, token)
	if strings.Contains(stored, token) {
		t.Errorf("the token is stored: %s", stored)
	}
	for _, name := range []string{stored, strings.TrimPrefix(stored, string(ResetTicket)+"/")} {
		if _, err := a.Ticket(t.Context(), ResetTicket, name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	clock.Advance(ticket.ExpiresAt.Sub(clock.Now()) - time.Millisecond)
	if got, err := a.Ticket(t.Context(), ResetTicket, token); err != nil || got.UserID != "u" {
		t.Fatal(got, err)
	}
	var first, second store.Change
	for _, c := range []*store.Change{&first, &second} {
		if err := a.SpendTicket(t.Context(), c, ResetTicket, token); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.db.Apply(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := a.db.Apply(t.Context(), second); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("spent twice: %v", err)
	}
	clock.Advance(time.Millisecond)
	if err := a.SpendTicket(t.Context(), &store.Change{}, ResetTicket, token); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
}

// Names and groups are bounded, and a user has at most ten addresses.
func TestBounds(t *testing.T) {
	a, _ := newAccounts(t)
	for _, n := range []NewUser{
		{Email: "a@example.com", Name: strings.Repeat("x", MaxName+1)}, {Email: "a@example.com", Groups: []string{""}},
		{Email: "a@example.com", Groups: make([]string, maxGroups+1)}, {Email: "a@example.com", Groups: []string{strings.Repeat("g", maxGroup+1)}},
	} {
		if _, err := a.Create(t.Context(), n, nil); !errors.Is(err, ErrTooMany) && !errors.Is(err, ErrGroup) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	u, err := a.Create(t.Context(), NewUser{Email: "a@example.com", Groups: []string{"b", "a", "b"}}, nil)
	if err != nil || strings.Join(u.Groups, ",") != "a,b" {
		t.Fatal(u.Groups, err)
	}
	for i := range maxEmails {
		_, err = a.Update(t.Context(), u.ID, func(u *User, c *store.Change) error {
			return a.AddEmail(t.Context(), c, u, fmt.Sprintf("a%d@example.com", i), true)
		})
	}
	if !errors.Is(err, ErrTooMany) {
		t.Fatal(err)
	}
}

// Groups of an identity provider are held to the same names: none joins two in the header that
// applications read, and none administers.
func TestGroupsOfProviders(t *testing.T) {
	got := GroupsOfProvider([]string{"staff", "a,admins", AdminGroup, "", "a\nb", " x", strings.Repeat("g", maxGroup+1), "ops"})
	if !slices.Equal(got, []string{"staff", "ops"}) {
		t.Errorf("%q", got)
	}
}

// Who a person is elsewhere does not fill the record here, nor the header of every request.
func TestClaimsOfProviders(t *testing.T) {
	got := ClaimsOfProvider(map[string]any{
		"a": strings.Repeat("x", maxClaimsSize), "b": "kept", "bad name": 1, "c": nil, "d": []any{1.0}, "e": strings.Repeat("y", maxClaimsSize-20), "f": true,
	})
	if diff := cmp.Diff(map[string]any{"b": "kept", "d": []any{1.0}, "f": true}, got); diff != "" {
		t.Error(diff)
	}
	many := make(map[string]any)
	for i := range 2 * maxClaims {
		many[fmt.Sprintf("c%03d", i)] = i
	}
	if n := len(ClaimsOfProvider(many)); n != maxClaims {
		t.Errorf("%d claims", n)
	}
	if got := ClaimsOfProvider(map[string]any{"c": nil}); got != nil {
		t.Error(got)
	}
}
