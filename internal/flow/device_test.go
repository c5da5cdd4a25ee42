package flow

import (
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/policy"
)

const rememberRequired = `{"all_of":["password","totp"],"remember_device":"30d"}`

func parsed(t *testing.T, text string) *policy.Requirement {
	t.Helper()
	r, err := policy.ParseRequirement(text)
	ok(t, err)
	return r
}

// browser returns the visitor in a browser of that number.
func browser(v Visitor, n string) Visitor {
	v.Browser = strings.Repeat(n, 42) + "A"
	return v
}

// mfa signs a user with an authenticator app in: the password in one browser, the code in another.
func (h *house) mfa(email, first, second string) Visitor {
	h.t.Helper()
	r, err := h.AuthenticatePassword(h.t.Context(), browser(anon(), first), email, secret)
	ok(h.t, err)
	h.clock.Advance(31 * time.Second)
	r, err = h.AuthenticateTOTP(h.t.Context(), browser(as(r), second), h.totp(r.Session.UserID))
	ok(h.t, err)
	return browser(as(r), second)
}

// rememberedHouse has a user with an authenticator app and one remembered device.
func rememberedHouse(t *testing.T) (h *house, userID, device string) {
	t.Helper()
	h = newHouse(t)
	userID = h.user("alice@example.com", true).ID
	h.enrol(as(h.signIn("alice@example.com")))
	d, err := h.RememberDevice(t.Context(), h.mfa("alice@example.com", "B", "B"), parsed(t, rememberRequired))
	ok(t, err)
	if d.Value == "" || !d.ExpiresAt.Equal(h.clock.Now().Add(30*24*time.Hour)) {
		t.Fatalf("remembered: %+v", d)
	}
	return h, userID, d.Value
}

// asks tells whether a fresh password session with a device is still asked for the second factor.
func (h *house) asks(email, device string) bool {
	h.t.Helper()
	v := as(h.signIn(email))
	v.Device = device
	p, err := h.Need(h.t.Context(), v, parsed(h.t, rememberRequired))
	ok(h.t, err)
	return !p.Satisfied
}

// What is remembered stands in for the second factor on that device, for that user, until it
// expires; never elsewhere, never for the first, and never for somebody else.
func TestRememberedDeviceStandsIn(t *testing.T) {
	h, _, device := rememberedHouse(t)
	h.user("bob@example.com", true)
	if h.asks("alice@example.com", device) {
		t.Error("asked on the remembered device")
	}
	for name, other := range map[string]string{
		"none": "", "another": strings.Repeat("C", 42) + "A", "cut": device[1:], "longer": device + "A", "alg none": "eyJhbGciOiJub25lIn0.e30.",
	} {
		if !h.asks("alice@example.com", other) {
			t.Errorf("not asked with %s", name)
		}
	}
	if !h.asks("bob@example.com", device) {
		t.Error("the device of alice stands in for a factor of bob")
	}
	// It stands in for one factor: a code from the mailbox alone is not enough.
	v := anon()
	v.Device = device
	id, code := h.code(v, "alice@example.com")
	r, err := h.AuthenticateCode(t.Context(), v, id, code)
	ok(t, err)
	v = as(r)
	v.Device = device
	p, err := h.Need(t.Context(), v, parsed(t, rememberRequired))
	ok(t, err)
	if p.Satisfied {
		t.Error("a device and a mailbox met password and totp")
	}
	h.clock.Advance(30*24*time.Hour - time.Minute)
	if h.asks("alice@example.com", device) {
		t.Error("asked a minute before the end")
	}
	h.clock.Advance(time.Minute)
	if !h.asks("alice@example.com", device) {
		t.Error("not asked at the end")
	}
}

// Changing factors takes real proofs: a remembered device is none.
func TestRememberedDeviceChangesNothing(t *testing.T) {
	h, _, device := rememberedHouse(t)
	v := as(h.signIn("alice@example.com"))
	v.Device = device
	if err := h.MayChange(t.Context(), v); err == nil {
		t.Fatal("a password and a remembered device may change factors")
	}
}

// A device is remembered only when all that was required was proven in it.
func TestRememberedOnlyAfterCompleteMFAInThisBrowser(t *testing.T) {
	h := newHouse(t)
	h.user("alice@example.com", true)
	h.enrol(as(h.signIn("alice@example.com")))
	half, err := h.AuthenticatePassword(t.Context(), browser(anon(), "B"), "alice@example.com", secret)
	ok(t, err)
	mailed := h.mfa("alice@example.com", "B", "B") // and a password with the mailbox that resets it
	id, code := h.code(mailed, "alice@example.com")
	both := browser(as(must(h.AuthenticatePassword(t.Context(), browser(anon(), "B"), "alice@example.com", secret))), "B")
	both = browser(as(must(h.AuthenticateCode(t.Context(), both, id, code))), "B")
	for name, c := range map[string]struct {
		v        Visitor
		required string
	}{
		"two proofs of one thing":      {both, `{"all_of":["password","email_otp"],"remember_device":"30d"}`},
		"one factor":                   {browser(as(half), "B"), rememberRequired},
		"the password elsewhere":       {h.mfa("alice@example.com", "C", "B"), rememberRequired},
		"a cookie carried elsewhere":   {browser(h.mfa("alice@example.com", "B", "B"), "C"), rememberRequired},
		"a browser without an id":      {browser(h.mfa("alice@example.com", "B", "B"), ""), rememberRequired},
		"nothing remembers":            {h.mfa("alice@example.com", "B", "B"), `{"all_of":["password","totp"]}`},
		"something else is remembered": {h.mfa("alice@example.com", "B", "B"), `{"all_of":["password","sms_otp"],"remember_device":"30d"}`},
	} {
		if name == "a browser without an id" {
			c.v.Browser = ""
		}
		d, err := h.RememberDevice(t.Context(), c.v, parsed(t, c.required))
		if err != nil || d.Value != "" {
			t.Errorf("%s: remembered %+v, %v", name, d, err)
		}
	}
	refused(t, second(h.RememberDevice(t.Context(), anon(), parsed(t, rememberRequired))), ErrNoSession)
}

func second[T any](_ T, err error) error { return err }

// Whatever may put a factor into other hands forgets all devices but the one it was done on.
func TestDevicesAreForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(h *house, v Visitor, userID string) error
		keeps bool // the device it is done on
	}{
		"password changed": {func(h *house, v Visitor, _ string) error {
			return h.SetPassword(h.t.Context(), v, "eight loud lamps under water")
		}, true},
		"factor removed": {func(h *house, v Visitor, userID string) error {
			u, _, err := h.accounts.Get(h.t.Context(), userID)
			ok(h.t, err)
			return h.RemoveFactor(h.t.Context(), v, u.TOTP.ID, false)
		}, true},
		"other sessions ended": {func(h *house, v Visitor, _ string) error { return h.RevokeOtherSessions(h.t.Context(), v) }, true},
		"password reset": {func(h *house, v Visitor, _ string) error {
			ok(h.t, h.StartReset(h.t.Context(), anon(), "alice@example.com"))
			link := h.newest("alice@example.com").Link
			return h.Reset(h.t.Context(), anon(), link[strings.LastIndex(link, "/")+1:], "eight loud lamps under water")
		}, false},
		"factor reset": {func(h *house, _ Visitor, userID string) error {
			return h.Operator(false).ResetFactor(h.t.Context(), userID, "totp")
		}, false},
		"locked": {func(h *house, _ Visitor, userID string) error {
			ok(h.t, h.Operator(false).Lock(h.t.Context(), userID))
			return h.Operator(false).Unlock(h.t.Context(), userID)
		}, false},
		"all sessions ended": {func(h *house, _ Visitor, userID string) error {
			return h.Operator(false).RevokeSessions(h.t.Context(), userID)
		}, false},
	} {
		for _, same := range []bool{true, false} {
			h, userID, device := rememberedHouse(t)
			v := h.mfa("alice@example.com", "B", "B")
			if same {
				v.Device = device
			}
			ok(t, c.do(h, v, userID))
			u, _, err := h.accounts.Get(t.Context(), userID)
			ok(t, err)
			if kept := len(u.Devices) == 1; kept != (c.keeps && same) {
				t.Errorf("%s, on the device itself %v: kept %v", name, same, kept)
			}
		}
	}
}

// Owners list and forget their devices; those of others do not exist for them.
func TestOwnerForgetsADevice(t *testing.T) {
	h, _, device := rememberedHouse(t)
	h.user("bob@example.com", true)
	v := as(h.signIn("alice@example.com"))
	v.Device = device
	list, err := h.Devices(t.Context(), v)
	ok(t, err)
	if len(list) != 1 || !list[0].Current || list[0].UserAgent != "test" {
		t.Fatalf("devices: %+v", list)
	}
	refused(t, h.ForgetDevice(t.Context(), as(h.signIn("bob@example.com")), list[0].DeviceID), ErrNotFound)
	ok(t, h.ForgetDevice(t.Context(), v, list[0].DeviceID))
	refused(t, h.ForgetDevice(t.Context(), v, list[0].DeviceID), ErrNotFound)
	if !h.asks("alice@example.com", device) {
		t.Error("not asked on a forgotten device")
	}
}

// One user keeps a bounded number of devices; the one that ends first gives way.
func TestDevicesAreBounded(t *testing.T) {
	h, userID, first := rememberedHouse(t)
	for range 20 {
		h.clock.Advance(time.Minute)
		d, err := h.RememberDevice(t.Context(), h.mfa("alice@example.com", "B", "B"), parsed(t, rememberRequired))
		ok(t, err)
		if d.Value == "" {
			t.Fatal("not remembered")
		}
	}
	u, _, err := h.accounts.Get(t.Context(), userID)
	ok(t, err)
	if len(u.Devices) != 20 || !h.asks("alice@example.com", first) {
		t.Errorf("%d devices", len(u.Devices))
	}
}

// The stored form of a device opens nothing.
func TestStoredDeviceIsNoDevice(t *testing.T) {
	h, userID, _ := rememberedHouse(t)
	u, _, err := h.accounts.Get(t.Context(), userID)
	ok(t, err)
	s := &session.Session{UserID: userID, User: session.Identity{Devices: []session.Device{{
		Secret: u.Devices[0].Secret, ProvenAt: h.clock.Now(), ExpiresAt: h.clock.Now().Add(time.Hour),
	}}}}
	if at := h.RememberedAt(s, u.Devices[0].Secret); !at.IsZero() {
		t.Error("a copy of the file knows a device")
	}
}

// A session that was ended or rotated away remembers nothing more, and a browser that is
// remembered again is one device.
func TestWhoseSessionRemembers(t *testing.T) {
	h, userID, device := rememberedHouse(t)
	v := h.mfa("alice@example.com", "B", "B")
	v.Device = device
	d, err := h.RememberDevice(t.Context(), v, parsed(t, rememberRequired))
	ok(t, err)
	if n := len(must(h.Operator(false).Find(t.Context(), userID)).Devices); n != 1 || d.Value == "" || d.Value == device {
		t.Errorf("%d devices of one browser", n)
	}
	old := v
	old.Session = v.Session.Snapshot()
	old.Session.ReadOnly = true
	refused(t, second(h.RememberDevice(t.Context(), old, parsed(t, rememberRequired))), ErrSessionChanged)
	ok(t, h.Operator(false).RevokeSessions(t.Context(), userID))
	refused(t, second(h.RememberDevice(t.Context(), v, parsed(t, rememberRequired))), ErrSessionChanged)
	if n := len(must(h.Operator(false).Find(t.Context(), userID)).Devices); n != 0 {
		t.Errorf("%d devices after everything was ended", n)
	}
}
