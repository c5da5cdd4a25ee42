package account

import (
	"errors"
	"testing"
	"time"

	otp "github.com/pquerna/otp/totp"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/totp"
	"github.com/stepgate/stepgate/internal/store"
)

// A code that was used after the copy was made does not work again, and a browser that was
// forgotten since is not known again.
func TestRestoredUsersProveAnew(t *testing.T) {
	a, clock := newAccounts(t)
	var codes []string
	u, err := a.Create(t.Context(), NewUser{Email: "alice@example.com", Verified: true}, func(u *User) {
		app, err := totp.New("totp-1", a.rand, clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		app.ConfirmedAt = clock.Now()
		u.TOTP = &app
		u.Devices = []Device{{ID: "device-1", ExpiresAt: clock.Now().Add(time.Hour)}}
		for _, ahead := range []time.Duration{-30 * time.Second, 0, 30 * time.Second} {
			code, err := otp.GenerateCode(app.SecretText(), clock.Now().Add(ahead))
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	err = a.attempts.Update(t.Context(), u.ID, func(r *attempts, _ bool) (time.Time, error) {
		r.Browsers = []knownBrowser{{Key: "a browser", Proven: []factors.Product{factors.Password}}}
		return noExpiry, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Restored(t.Context(), clock.Now()); err != nil {
		t.Fatal(err)
	}
	if r, _, err := a.attempts.Get(t.Context(), u.ID); err != nil || len(r.Browsers) != 0 {
		t.Errorf("known browsers: %v %v", r.Browsers, err)
	}
	got, _, err := a.Get(t.Context(), u.ID)
	if err != nil || len(got.Devices) != 0 {
		t.Fatal(got.Devices, err)
	}
	for _, code := range codes {
		if _, err := got.TOTP.Verify(code, clock.Now()); !errors.Is(err, factors.ErrUsed) {
			t.Errorf("%s: %v", code, err)
		}
	}
	clock.Advance(time.Minute)
	code, err := otp.GenerateCode(got.TOTP.SecretText(), clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.TOTP.Verify(code, clock.Now()); err != nil {
		t.Error(err)
	}
}

// What is restored are the accounts as they were, and nothing that stands for a way in.
func TestPrefixesLeaveOutLinks(t *testing.T) {
	a, _ := newAccounts(t)
	u, err := a.Create(t.Context(), NewUser{Email: "alice@example.com"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var c store.Change
	token, _, err := a.IssueTicket(&c, Ticket{Kind: ResetTicket, UserID: u.ID})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.db.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := store.KeepOnly(t.Context(), a.db.Store(), Prefixes()...); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.ByEmail(t.Context(), "alice@example.com"); err != nil {
		t.Error(err)
	}
	if _, err := a.Ticket(t.Context(), ResetTicket, token); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a link is left: %v", err)
	}
}
