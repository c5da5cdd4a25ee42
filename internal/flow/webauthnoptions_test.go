package flow

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
)

// asked are the options of an authentication, without what is random in them.
func (h *house) asked(v Visitor, email string) (options string, allow []string) {
	h.t.Helper()
	raw, err := h.StartAuthentication(h.t.Context(), v, email, nil)
	ok(h.t, err)
	var o map[string]any
	ok(h.t, json.Unmarshal(raw, &o))
	delete(o, "challenge")
	list, _ := o["allowCredentials"].([]any)
	for _, one := range list {
		d := one.(map[string]any)
		b, err := json.Marshal(d)
		ok(h.t, err)
		allow = append(allow, string(b))
		d["id"] = strings.Repeat("x", len(d["id"].(string)))
	}
	b, err := json.Marshal(o)
	ok(h.t, err)
	return string(b), allow
}

// For an address without an account, or without a key, the options look like
// those of somebody who has one. They stay the same, whoever asks, and differ between addresses.
func TestOptionsTellNothing(t *testing.T) {
	h := newKeyHouse(t)
	u := h.user("alice@example.com", true)
	h.user("bob@example.com", true) // without a key
	a := passkey()
	a.Transports = []string{"internal", "hybrid"}
	h.enrolKey(as(h.signIn("alice@example.com")), a, webauthn.Passkey, "")
	_, known := h.asked(guest("one"), "alice@example.com")
	if len(known) != 1 {
		t.Fatalf("alice: %v", known)
	}
	shapes, ids, matched := map[string]bool{}, map[string]bool{}, false
	alices, _ := h.asked(guest("one"), "alice@example.com")
	for i := range 60 {
		address := fmt.Sprintf("nobody-%d@example.com", i)
		if i == 0 {
			address = "bob@example.com"
		}
		options, first := h.asked(guest("one"), address)
		if len(first) != 1 || ids[first[0]] {
			t.Fatalf("%s: %v", address, first)
		}
		ids[first[0]], shapes[options], matched = true, true, matched || options == alices
		h.rebuild(h.opts, webauthn.Options{})
		if _, again := h.asked(guest("two"), strings.ToUpper(address)); !slices.Equal(again, first) {
			t.Errorf("%s: first %v, then %v", address, first, again)
		}
		v := guest("three")
		v.Origin = "https://wiki.test"
		if _, elsewhere := h.asked(v, address); slices.Equal(elsewhere, first) {
			t.Errorf("%s: the same on another site", address)
		}
	}
	// Alice's options are told from none of the made-up ones by their form.
	if len(shapes) < 4 || !matched {
		t.Errorf("%d forms; alice's among them: %v", len(shapes), matched)
	}
	ok(t, h.Operator(false).Lock(t.Context(), u.ID))
	if _, locked := h.asked(guest("one"), "alice@example.com"); len(locked) != 1 || slices.Equal(locked, known) {
		t.Errorf("of a locked account: %v", locked)
	}
	if before := h.keys(); before != func() int { h.asked(guest("one"), "x@example.com"); return h.keys() }() {
		t.Error("asking left something in the store")
	}
	_, err := h.StartAuthentication(t.Context(), guest("one"), "no address", nil)
	refused(t, err, ErrInvalidEmail)
	if _, usernameless := h.asked(guest("one"), ""); usernameless != nil {
		t.Errorf("usernameless: %v", usernameless)
	}
}

// A user handle is random, the same for all keys of a user, and says nothing about the person.
func TestHandles(t *testing.T) {
	h := newKeyHouse(t)
	alice, bob := h.user("alice@example.com", true), h.user("bob@example.com", true)
	handle := func(u account.User, v Visitor) string {
		raw, err := h.StartRegistration(t.Context(), v, "")
		ok(t, err)
		var o struct{ User struct{ ID string } }
		ok(t, json.Unmarshal(raw, &o))
		if len(o.User.ID) != 43 || strings.Contains(o.User.ID, u.ID) {
			t.Errorf("handle %q", o.User.ID)
		}
		return o.User.ID
	}
	first := handle(alice, as(h.signIn("alice@example.com")))
	if again := handle(alice, as(h.signIn("alice@example.com"))); again != first {
		t.Error("the handle changed")
	}
	if handle(bob, as(h.signIn("bob@example.com"))) == first {
		t.Error("two users have one handle")
	}
}

// hwk stands in amr for a key whose attestation proves hardware, when the operator has a list
// of models to prove it against, and never otherwise.
func TestHardwareKeysInAMR(t *testing.T) {
	maker, publisher := must(webauthntest.NewMaker()), must(webauthntest.NewPublisher())
	model := [16]byte{1, 2, 3}
	models := func(protection string) webauthn.Options {
		list := must(publisher.List(webauthntest.Model{AAGUID: model, Root: maker.Root(), KeyProtection: []string{protection}}))
		return webauthn.Options{Models: must(webauthn.ReadModels(list, publisher.Root()))}
	}
	attesting := func() *webauthntest.Authenticator {
		a := passkey()
		a.Model, a.Maker = model, maker
		return a
	}
	for name, c := range map[string]struct {
		demands  webauthn.Options
		hardware bool
	}{
		"proven hardware": {models("secure_element"), true}, "proven software": {models("software"), false}, "no list": {webauthn.Options{}, false},
	} {
		h := newKeyHouse(t, c.demands)
		h.user("alice@example.com", true)
		a := attesting()
		registered, _ := h.enrolKey(as(h.signIn("alice@example.com")), a, webauthn.Passkey, "")
		for how, r := range map[string]Result{"registered": registered, "signed in": h.byKey(a)} {
			amr := policy.AMR(r.Session.Subject().Factors)
			if slices.Contains(amr, "hwk") != c.hardware || !slices.Contains(amr, "pop") || !slices.Contains(amr, "mfa") {
				t.Errorf("%s, %s: %v", name, how, amr)
			}
			stored, err := h.lookup2(r.Cookie)
			ok(t, err)
			if slices.Contains(policy.AMR(stored.Subject().Factors), "hwk") != c.hardware {
				t.Errorf("%s, %s: the stored session: %v", name, how, policy.AMR(stored.Subject().Factors))
			}
		}
		// Without the list, what was proven once is known no more.
		h.rebuild(h.opts, webauthn.Options{})
		if amr := policy.AMR(h.byKey(a).Session.Subject().Factors); slices.Contains(amr, "hwk") {
			t.Errorf("%s: afterwards, without a list: %v", name, amr)
		}
	}
	h := newKeyHouse(t, models("hardware"))
	h.user("alice@example.com", true)
	v := as(h.signIn("alice@example.com"))
	_, _, err := h.Register(t.Context(), v, h.create(v, passkey(), webauthn.Passkey), "")
	refused(t, err, ErrKeyNotAccepted)
}
