package flow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/factors/totp"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// edit changes what is enrolled for a user.
func (h *house) edit(id string, change func(*account.User)) {
	h.t.Helper()
	_, err := h.accounts.Update(h.t.Context(), id, func(u *account.User, _ *store.Change) error {
		change(u)
		return nil
	})
	ok(h.t, err)
}

func loaded(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Load("p", []byte(text))
	ok(t, err)
	return p
}

// Readiness counts, rule by rule, who could meet what is asked, and says what would help.
func TestWhoIsReady(t *testing.T) {
	h := newHouse(t)
	for name, change := range map[string]func(*account.User){
		"totp":   func(u *account.User) { u.TOTP = &totp.Credential{ID: "totp-1"} },
		"plain":  func(*account.User) {},
		"locked": func(u *account.User) { u.LockedAt = h.clock.Now() },
		"ready but locked": func(u *account.User) {
			u.LockedAt, u.TOTP, u.Groups = h.clock.Now(), &totp.Credential{ID: "totp-2"}, []string{"finance"}
		},
		"finance": func(u *account.User) {
			u.Groups, u.Keys = []string{"finance"}, []webauthn.Credential{{ID: "key-1", Discoverable: true, UserVerified: true}}
		},
		"no way in": func(u *account.User) {
			u.Password, u.Emails[0].Verified, u.TOTP = nil, false, &totp.Credential{ID: "totp-3"}
		},
	} {
		h.edit(h.user(strings.ReplaceAll(name, " ", "-")+"@example.com", true).ID, change)
	}
	p := loaded(t, `
version: 1
rules:
  - {name: open, match: {path: /open}, allow: true}
  - {name: mfa, match: {path: /mfa}, require: mfa}
  - {name: finance, match: {path: /finance, group: finance}, require: {factor: totp, max_age: 5m, once: true}}
  - {name: nobody, match: {path: /wallet}, require: crypto_wallet}
  - {name: soon, match: {path: /soon}, require: passkey, report_only: true}
minimum:
  - {name: floor, match: {path: /open/x}, require: {factors: 2}}
default: {require: signed_in}
`)
	got, err := h.Operator(false).Readiness(t.Context(), p)
	ok(t, err)
	if got.Users != 6 || got.Locked != 2 || got.Ready() {
		t.Errorf("%d users, %d locked, ready %v", got.Users, got.Locked, got.Ready())
	}
	var lines []string
	for _, r := range got.Rules {
		var who []string
		for _, u := range r.Lacking {
			name, _, _ := strings.Cut(u.Email, "@")
			if u.Locked {
				name += " (locked)"
			}
			if u.NoWayIn {
				name += " (no way in)"
			}
			who = append(who, fmt.Sprint(name, " ", u.Enrol))
		}
		// users come in the order of their random ids
		lines = append(lines, fmt.Sprintf("%s %v %v: %d ready, %d unready: %s", r.Rule, r.Floor, r.ReportOnly, r.Ready, r.Unready, sorted(who)))
	}
	for i, want := range []string{
		// finance has a password and a passkey, which the site does not offer: it counts as no factor.
		"mfa false false: 1 ready, 3 unready: finance [[totp]]; locked (locked) [[totp]]; no-way-in (no way in) [[password] [email_otp]]; plain [[totp]]",
		"finance false false: 0 ready, 1 unready: finance [[totp]]",
		"nobody false false: 0 ready, 4 unready: finance []; locked (locked) []; no-way-in (no way in) []; plain []; ready-but-locked (locked) []; totp []",
		"soon false true: 0 ready, 4 unready: finance []; locked (locked) []; no-way-in (no way in) []; plain []; ready-but-locked (locked) []; totp []",
		"default false false: 3 ready, 1 unready: no-way-in (no way in) []",
		"floor true false: 1 ready, 3 unready: finance [[totp]]; locked (locked) [[totp]]; no-way-in (no way in) [[password] [email_otp]]; plain [[totp]]",
	} {
		if i >= len(lines) || lines[i] != want {
			t.Errorf("got %q\nwant %q", lines[min(i, len(lines)-1)], want)
		}
	}
	h.opts.Offered = append(h.opts.Offered, "passkey")
	got, err = h.Operator(false).Readiness(t.Context(), p)
	ok(t, err)
	if soon := got.Rules[3]; soon.Ready != 1 || soon.Unready != 3 || fmt.Sprint(soon.Lacking[0].Enrol) != "[[passkey]]" {
		t.Errorf("with passkeys: %+v", soon)
	}
	if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "null") || !strings.Contains(string(text), `"required":"mfa"`) {
		t.Errorf("%v %s", err, text)
	}
}

// Ten thousand users and as many rules are counted in one walk, and the list stays bounded.
func TestReadinessIsBounded(t *testing.T) {
	h := newHouse(t)
	var text strings.Builder
	text.WriteString("version: 1\nrules:\n")
	for i := range 2000 {
		fmt.Fprintf(&text, "  - {name: r%d, match: {path: /a%d, group: [g%d, all]}, require: {factors: 2, max_age: %dm}}\n", i, i, i, i%500+1)
	}
	text.WriteString("default: {require: signed_in}\n")
	p := loaded(t, text.String())
	c := newCensus(h.Engine, p)
	u := h.user("alice@example.com", true)
	u.Groups = []string{"all"}
	for i := range 3000 {
		u.ID = fmt.Sprint("user-", i)
		c.add(&u)
	}
	got, err := c.result()
	ok(t, err)
	listed := 0
	for _, r := range got.Rules {
		listed += len(r.Lacking)
		if len(r.Lacking) > maxLackingPerRule || r.Rule != "default" && r.Unready != 3000 {
			t.Fatalf("%s: %d listed of %d", r.Rule, len(r.Lacking), r.Unready)
		}
	}
	if got.Users != 3000 || listed != maxLacking || len(c.shapes) != 1 {
		t.Errorf("%d users, %d listed, %d shapes", got.Users, listed, len(c.shapes))
	}
}

// All users are counted, however many pages they take.
func TestReadinessReadsEveryPage(t *testing.T) {
	h := newHouse(t)
	for i := range readinessPage + 1 {
		_, err := h.accounts.Create(t.Context(), account.NewUser{Email: fmt.Sprintf("u%d@example.com", i), Verified: true}, nil)
		ok(t, err)
	}
	got, err := h.Operator(false).Readiness(t.Context(), loaded(t, "version: 1\ndefault: {require: signed_in}"))
	ok(t, err)
	if got.Users != readinessPage+1 || got.Rules[0].Ready != readinessPage+1 || !got.Ready() {
		t.Errorf("%d users, %d ready", got.Users, got.Rules[0].Ready)
	}
}

func sorted(list []string) string {
	out := append([]string{}, list...)
	slices.Sort(out)
	return strings.Join(out, "; ")
}
