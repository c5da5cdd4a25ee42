package account

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/factors/recovery"
	"github.com/stepgate/stepgate/factors/totp"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/policy"
)

// things are what a user can have, with the kind of proof that each gives. A proven mailbox gives
// codes and links, a number codes by SMS and WhatsApp.
var things = []struct {
	name, kind, id string
	give           func(*User)
}{
	{"password", "knowledge", "password-u", func(u *User) { u.Password = &password.Credential{} }},
	{"mailbox", "email or account", "email-1", func(u *User) { u.Emails = append(u.Emails, Email{ID: "email-1", Verified: true}) }},
	{"second mailbox", "email or account", "email-2", func(u *User) { u.Emails = append(u.Emails, Email{ID: "email-2", Verified: true}) }},
	{"identity", "email or account", "oauth-1", func(u *User) { u.Identities = append(u.Identities, Identity{ID: "oauth-1", Provider: "corp"}) }},
	{"number", "phone", "phone-1", func(u *User) { u.Phones = append(u.Phones, Phone{ID: "phone-1"}) }},
	{"authenticator app", "authenticator", "totp-1", func(u *User) { u.TOTP = &totp.Credential{ID: "totp-1"} }},
	{"recovery codes", "authenticator", "recovery-u", func(u *User) {
		u.TOTP, u.Recovery = &totp.Credential{ID: "totp-1"}, &recovery.Set{Codes: make([]recovery.Code, 10)}
	}},
	{"security key", "authenticator", "key-1", func(u *User) { u.Keys = append(u.Keys, webauthn.Credential{ID: "key-1"}) }},
	{"passkey", "authenticator", "key-2", func(u *User) {
		u.Keys = append(u.Keys, webauthn.Credential{ID: "key-2", Discoverable: true, UserVerified: true})
	}},
	{"wallet", "wallet", "wallet-1", func(u *User) { u.Wallets = append(u.Wallets, Wallet{ID: "wallet-1", Chain: "ethereum"}) }},
}

// combine tells whether two kinds of proof prove different things.
func combine(a, b string) bool {
	mailResets := a == "knowledge" && b == "email or account" || a == "email or account" && b == "knowledge"
	return a != b && !mailResets
}

// Every pair of what a user can have: whether the two form a secure combination, and what follows
// for changing factors and for passwords.
func TestRulesOfEveryPair(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	for i, a := range things {
		for _, b := range things[i:] {
			u := &User{ID: "u"}
			a.give(u)
			if b.name != a.name {
				b.give(u)
			}
			want := combine(a.kind, b.kind)
			name := fmt.Sprintf("%s and %s", a.name, b.name)
			if got := CanCombine(u); got != want {
				t.Errorf("%s: CanCombine %v", name, got)
			}
			enrolled := u.Enrolled()
			for j := range enrolled {
				enrolled[j].At = now.Add(-time.Hour)
			}
			one := enrolled[:1]
			if len(one) == 0 {
				t.Fatalf("%s: nothing enrolled", name)
			}
			// One proof is enough to change factors only for who can show no more.
			if err := MayChangeFactors(u, one, time.Hour, now); errors.Is(err, ErrCombination) != want || err != nil && !want {
				t.Errorf("%s: with one proof %v", name, err)
			}
			if err := MayChangeFactors(u, enrolled, time.Hour, now); err != nil {
				t.Errorf("%s: with all proofs %v", name, err)
			}
			if err := MayChangeFactors(u, enrolled, time.Hour-time.Millisecond, now); !errors.Is(err, ErrStale) {
				t.Errorf("%s: with old proofs %v", name, err)
			}
			if err := MayChangeFactors(u, nil, time.Hour, now); err == nil {
				t.Errorf("%s: without any proof", name)
			}
			minimum := 15
			for _, kind := range []string{a.kind, b.kind} {
				if kind != "knowledge" && kind != "email or account" {
					minimum = 8
				}
			}
			if got := PasswordMinimum(u); got != minimum {
				t.Errorf("%s: passwords of %d characters, expected %d", name, got, minimum)
			}
		}
	}
}

// Every pair again: what is left when the first goes must still start a session.
func TestLastWayInOfEveryPair(t *testing.T) {
	all := []factors.Product{
		factors.Password, factors.MagicLink, factors.EmailOTP, factors.SMSOTP, factors.OAuth, factors.Passkey, factors.WebAuthn, factors.CryptoWallet,
	}
	for _, a := range things {
		for _, b := range things {
			if a.name == b.name {
				continue
			}
			u := &User{ID: "u"}
			a.give(u)
			b.give(u)
			without := []string{a.id}
			if a.name == "authenticator app" {
				without = append(without, RecoveryID("u"))
			}
			// A code of an app, and what stands in for it, never start a session.
			want := b.name != "authenticator app" && b.name != "recovery codes"
			if err := MayRemove(u, all, without...); (err == nil) != want {
				t.Errorf("%s without %s: %v", b.name, a.name, err)
			}
			// With passkeys alone as a way in, a plain security key is none.
			want = b.name == "passkey"
			if err := MayRemove(u, []factors.Product{factors.Passkey}, without...); (err == nil) != want {
				t.Errorf("%s without %s, passkeys only: %v", b.name, a.name, err)
			}
		}
	}
}

// Who may be given what: nobody binds a factor of their own to a stranger's address.
func TestWhoMayAdd(t *testing.T) {
	for name, c := range map[string]struct {
		user        User
		second, key error
	}{
		"nothing":                              {User{}, nil, ErrUnreachable},
		"password, mailbox not proven":         {User{Password: &password.Credential{}, Emails: []Email{{ID: "e"}}}, ErrEmailNotVerified, ErrEmailNotVerified},
		"password, mailbox proven":             {User{Password: &password.Credential{}, Emails: []Email{{ID: "e", Verified: true}}}, nil, nil},
		"password, one of two mailboxes":       {User{Password: &password.Credential{}, Emails: []Email{{ID: "e"}, {ID: "f", Verified: true}}}, nil, nil},
		"password, a number, mailbox not":      {User{Password: &password.Credential{}, Emails: []Email{{ID: "e"}}, Phones: []Phone{{ID: "p"}}}, ErrEmailNotVerified, ErrEmailNotVerified},
		"a number alone":                       {User{Phones: []Phone{{ID: "p"}}}, nil, nil},
		"an identity and a mailbox not proven": {User{Identities: []Identity{{ID: "i"}}, Emails: []Email{{ID: "e"}}}, nil, ErrUnreachable},
		"a wallet":                             {User{Wallets: []Wallet{{ID: "w"}}}, nil, ErrUnreachable},
	} {
		if err := MayAddSecond(&c.user); !errors.Is(err, c.second) {
			t.Errorf("%s: a second factor: %v", name, err)
		}
		if err := MayAddKey(&c.user); !errors.Is(err, c.key) {
			t.Errorf("%s: a passkey: %v", name, err)
		}
	}
}

// A password that was set by somebody who never proved the mailbox is locked when its owner does.
func TestWhenAPasswordIsLocked(t *testing.T) {
	proven, not := Email{ID: "e", Verified: true}, Email{ID: "e"}
	for name, c := range map[string]struct {
		user User
		mail Email
		want bool
	}{
		"no password":                {User{Emails: []Email{not}}, not, false},
		"mailbox not proven":         {User{Password: &password.Credential{}, Emails: []Email{not}}, not, true},
		"mailbox proven":             {User{Password: &password.Credential{}, Emails: []Email{proven}}, proven, false},
		"another one proven already": {User{Password: &password.Credential{}, Emails: []Email{{ID: "f", Verified: true}, not}}, not, false},
	} {
		if got := LocksPassword(&c.user, &c.mail); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

const neededPolicy = `
version: 1
rules:
  - {name: open, match: {path: /open}, allow: true}
  - {name: codes, match: {path: /codes}, require: totp}
  - {name: keys, match: {path: /keys}, require: {any_of: [passkey, webauthn], max_age: 5m}}
  - {name: pay, match: {path: /pay}, require: {factor: totp, once: true}}
  - {name: finance, match: {path: /finance, group: finance}, require: {all_of: [password, totp]}}
  - {name: soon, match: {path: /soon}, require: {factors: 3}, report_only: true}
minimum:
  - {name: sealed, match: {path: /sealed}, require: mfa}
default: {require: signed_in}
`

// What rules need is told before it goes: only rules that concern the user, that apply, and that
// could be met until now.
func TestNeededByRules(t *testing.T) {
	p, err := policy.Load("p", []byte(neededPolicy))
	if err != nil {
		t.Fatal(err)
	}
	give := func(groups []string, names ...string) *User {
		u := &User{ID: "u", Groups: groups}
		for _, thing := range things {
			if slices.Contains(names, thing.name) {
				thing.give(u)
			}
		}
		return u
	}
	for name, c := range map[string]struct {
		user    *User
		without []string
		want    []string
	}{
		"the app":                       {give(nil, "password", "authenticator app"), []string{"totp-1"}, []string{"codes", "pay", "sealed"}},
		"the app of somebody concerned": {give([]string{"finance"}, "password", "authenticator app"), []string{"totp-1"}, []string{"codes", "pay", "finance", "sealed"}},
		"the app beside a number":       {give(nil, "password", "authenticator app", "number"), []string{"totp-1"}, []string{"codes", "pay"}},
		"one of two keys":               {give(nil, "password", "passkey", "security key"), []string{"key-1"}, nil},
		"the only key":                  {give(nil, "password", "passkey"), []string{"key-2"}, []string{"keys", "sealed"}},
		"a mailbox beside a password":   {give(nil, "password", "mailbox"), []string{"email-1"}, nil},
		"something else":                {give(nil, "password", "passkey"), []string{"wallet-1"}, nil},
	} {
		if got := NeededBy(c.user, p.Demands(), c.without...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, expected %v", name, got, c.want)
		}
	}
}
