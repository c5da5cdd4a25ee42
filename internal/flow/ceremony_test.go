package flow

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
)

// broken is an answer whose signature is wrong.
var broken = webauthntest.Fault{Send: func(r *webauthntest.Response) { r.Signature[len(r.Signature)-1] ^= 1 }}

// challengeOf is the challenge in options for a browser.
func challengeOf(t *testing.T, options json.RawMessage) string {
	t.Helper()
	var o struct{ Challenge string }
	ok(t, json.Unmarshal(options, &o))
	return o.Challenge
}

// An answer counts once, and the first answer, right or wrong, is the last.
func TestACeremonyIsAnsweredOnce(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	a := passkey()
	session := as(h.signIn("alice@example.com"))
	created := h.create(session, a, webauthn.Passkey)
	r, _, err := h.Register(t.Context(), session, created, "")
	ok(t, err)
	_, _, err = h.Register(t.Context(), as(r), created, "")
	refused(t, err, ErrKeyExpired)

	for name, v := range map[string]Visitor{"guest": guest("browser"), "session": as(h.signIn("alice@example.com"))} {
		answer := h.get(v, a, "", nil)
		_, err = h.AuthenticateKey(t.Context(), v, answer)
		ok(t, err)
		again, err := h.AuthenticateKey(t.Context(), v, answer)
		refused(t, err, ErrKeyExpired)
		if again.Session != nil {
			t.Errorf("%s: a session by a spent answer", name)
		}
		v = guest("browser")
		options, err := h.StartAuthentication(t.Context(), v, "", nil)
		ok(t, err)
		wrong, err := a.Get(options, v.Origin, broken)
		ok(t, err)
		right, err := a.Get(options, v.Origin)
		ok(t, err)
		_, err = h.AuthenticateKey(t.Context(), v, wrong)
		refused(t, err, ErrKeyIncorrect)
		_, err = h.AuthenticateKey(t.Context(), v, right)
		refused(t, err, ErrKeyExpired)
	}

	// The same for a registration whose first answer was refused.
	v := as(h.signIn("alice@example.com"))
	v = as(must(h.AuthenticateKey(t.Context(), v, h.get(v, a, "", nil))))
	options, err := h.StartRegistration(t.Context(), v, "platform")
	ok(t, err)
	wrong, err := passkey().Create(options, v.Origin, webauthntest.Fault{Sign: func(s *webauthntest.Statement) { s.Flags &^= webauthntest.UserVerified }})
	ok(t, err)
	right, err := passkey().Create(options, v.Origin)
	ok(t, err)
	_, _, err = h.Register(t.Context(), v, wrong, "")
	refused(t, err, ErrKeyIncorrect)
	_, _, err = h.Register(t.Context(), v, right, "")
	refused(t, err, ErrKeyExpired)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Of the same answer sent many times at once, one counts.
func TestOneAnswerCountsOnceInParallel(t *testing.T) {
	h := newKeyHouse(t)
	u := h.user("alice@example.com", true)
	a := passkey()
	session := as(h.signIn("alice@example.com"))
	created := h.create(session, a, webauthn.Passkey)
	n, errs := many(20, func() error { _, _, err := h.Register(t.Context(), session, created, ""); return err })
	if n != 1 || len(h.keyNames(u.ID)) != 1 {
		t.Errorf("%d of 20 registered: %v", n, errs)
	}
	v := guest("browser")
	answer := h.get(v, a, "", nil)
	n, errs = many(20, func() error { _, err := h.AuthenticateKey(t.Context(), v, answer); return err })
	if n != 1 {
		t.Errorf("%d of 20 signed in: %v", n, errs)
	}
}

// A ceremony ends by our clock, whatever the browser thinks.
func TestACeremonyEnds(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	a := passkey()
	session := as(h.signIn("alice@example.com"))
	created := h.create(session, passkey(), webauthn.Passkey)
	h.clock.Advance(webauthn.Life)
	_, _, err := h.Register(t.Context(), session, created, "")
	refused(t, err, ErrKeyExpired)
	created = h.create(session, a, webauthn.Passkey)
	h.clock.Advance(webauthn.Life - time.Second)
	_, _, err = h.Register(t.Context(), session, created, "")
	ok(t, err)
	for name, c := range map[string]struct {
		v     Visitor
		email string
	}{
		"usernameless": {guest("browser"), ""}, "named": {guest("browser"), "alice@example.com"}, "session": {as(h.signIn("alice@example.com")), ""},
	} {
		late, early := h.get(c.v, a, c.email, nil), h.get(c.v, a, c.email, nil)
		h.clock.Advance(webauthn.Life - time.Second)
		r, err := h.AuthenticateKey(t.Context(), c.v, early)
		if err != nil {
			t.Errorf("%s: in time: %v", name, err)
		}
		if c.v.Session != nil {
			c.v = as(r)
		}
		h.clock.Advance(time.Second)
		_, err = h.AuthenticateKey(t.Context(), c.v, late)
		refused(t, err, ErrKeyExpired)
	}
}

// A ceremony is finished where it was begun: in the same browser or session,
// at the same origin, and as the ceremony that it is.
func TestACeremonyStaysWhereItBegan(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	h.user("bob@example.com", true)
	a, b := passkey(), passkey()
	alice, _ := h.enrolKey(as(h.signIn("alice@example.com")), a, webauthn.Passkey, "")
	bob, _ := h.enrolKey(as(h.signIn("bob@example.com")), b, webauthn.Passkey, "")
	elsewhere := func(v Visitor) Visitor { v.Origin = "https://wiki.test"; return v }
	for name, c := range map[string]func(alice Visitor) (begun, finished Visitor){
		"another browser":                func(Visitor) (begun, finished Visitor) { return guest("one"), guest("two") },
		"a browser without an id":        func(Visitor) (begun, finished Visitor) { return guest("one"), guest("") },
		"another origin":                 func(Visitor) (begun, finished Visitor) { return guest("one"), elsewhere(guest("one")) },
		"begun by a guest, in a session": func(alice Visitor) (begun, finished Visitor) { return guest("one"), alice },
		"begun in a session, as a guest": func(alice Visitor) (begun, finished Visitor) { return alice, guest("one") },
		"another session of the user":    func(alice Visitor) (begun, finished Visitor) { return alice, as(h.byKey(a)) },
		"a session of somebody":          func(alice Visitor) (begun, finished Visitor) { return alice, as(bob) },
		"a session at another origin":    func(alice Visitor) (begun, finished Visitor) { return alice, elsewhere(alice) },
	} {
		begun, finished := c(as(h.signIn("alice@example.com")))
		answer := h.get(begun, a, "", nil)
		if _, err := h.AuthenticateKey(t.Context(), finished, answer); err == nil {
			t.Errorf("%s: proven", name)
		} else {
			refused(t, err, ErrKeyIncorrect)
		}
		// Whoever has no part in a ceremony cannot spend it either.
		if _, err := h.AuthenticateKey(t.Context(), begun, answer); err != nil {
			t.Errorf("%s: afterwards, where it began: %v", name, err)
		}
	}
	for name, v := range map[string]Visitor{
		"a session of somebody": as(bob), "a session at another origin": elsewhere(as(alice)), "another session": as(upgraded(h, a)),
	} {
		fresh := passkey()
		created := h.create(as(alice), fresh, webauthn.Passkey)
		if _, _, err := h.Register(t.Context(), v, created, ""); err == nil {
			t.Errorf("%s: registered", name)
		} else {
			refused(t, err, ErrKeyIncorrect)
		}
	}

	// Neither ceremony finishes as the other, and the answer to one is spent by the attempt.
	options, err := h.StartRegistration(t.Context(), as(alice), "")
	ok(t, err)
	signed, err := a.Sign(a.Keys[0], challengeOf(t, options), "https://app.test")
	ok(t, err)
	_, err = h.AuthenticateKey(t.Context(), as(alice), signed)
	refused(t, err, ErrKeyIncorrect)
	options, err = h.StartAuthentication(t.Context(), as(alice), "", nil)
	ok(t, err)
	forged := registrationOptions(t, options)
	created, err := passkey().Create(forged, "https://app.test")
	ok(t, err)
	_, _, err = h.Register(t.Context(), as(alice), created, "")
	refused(t, err, ErrKeyIncorrect)
}

// Sites that share a relying party share credentials, and no ceremony: what was begun at one
// origin is not answered at another, though the answer is right there.
func TestACeremonyStaysAtItsOrigin(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	o := h.opts
	o.RPID = "example.com"
	h.rebuild(o, webauthn.Options{})
	at := func(v Visitor, origin string) Visitor { v.Origin = origin; return v }
	const shop, wiki = "https://shop.example.com", "https://wiki.example.com"
	a := passkey()
	r, _ := h.enrolKey(at(as(h.signIn("alice@example.com")), shop), a, webauthn.Passkey, "")
	options, err := h.StartRegistration(t.Context(), at(as(r), shop), "platform")
	ok(t, err)
	created, err := passkey().Create(options, wiki)
	ok(t, err)
	_, _, err = h.Register(t.Context(), at(as(r), wiki), created, "")
	refused(t, err, ErrKeyIncorrect)
	for name, v := range map[string]Visitor{"as a guest": guest("one"), "in a session": as(r)} {
		options, err := h.StartAuthentication(t.Context(), at(v, shop), "", nil)
		ok(t, err)
		answer, err := a.Get(options, wiki)
		ok(t, err)
		_, err = h.AuthenticateKey(t.Context(), at(v, wiki), answer)
		if err == nil {
			t.Fatalf("%s: proven", name)
		}
		refused(t, err, ErrKeyIncorrect)
		_, err = h.AuthenticateKey(t.Context(), at(v, wiki), h.get(at(v, wiki), a, "", nil))
		ok(t, err)
	}
}

// upgraded is one more session of alice with password and key.
func upgraded(h *house, a *webauthntest.Authenticator) Result {
	v := as(h.signIn("alice@example.com"))
	return must(h.AuthenticateKey(h.t.Context(), v, h.get(v, a, "", nil)))
}

// registrationOptions are options for a registration with the challenge of an authentication.
func registrationOptions(t *testing.T, options json.RawMessage) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"challenge": challengeOf(t, options), "rp": map[string]string{"id": "app.test"},
		"user": map[string]string{"id": base64.RawURLEncoding.EncodeToString(make([]byte, 32))},
	})
	ok(t, err)
	return b
}

// A challenge that we did not seal, or that somebody changed, begins nothing.
func TestOnlyOurChallengesAreAnswered(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	a := passkey()
	h.enrolKey(as(h.signIn("alice@example.com")), a, webauthn.Passkey, "")
	v := guest("browser")
	options, err := h.StartAuthentication(t.Context(), v, "", nil)
	ok(t, err)
	sealed, err := base64.RawURLEncoding.DecodeString(challengeOf(t, options))
	ok(t, err)
	changed := slices.Clone(sealed)
	changed[len(changed)/2] ^= 1
	for name, challenge := range map[string][]byte{
		"made up": make([]byte, 32), "changed": changed, "cut": sealed[:len(sealed)-1], "longer": append(slices.Clone(sealed), 0), "short": sealed[:15],
	} {
		answer, err := a.Sign(a.Keys[0], base64.RawURLEncoding.EncodeToString(challenge), v.Origin)
		ok(t, err)
		if _, err := h.AuthenticateKey(t.Context(), v, answer); err == nil {
			t.Errorf("%s: proven", name)
		}
	}
	answer, err := a.Sign(a.Keys[0], base64.RawURLEncoding.EncodeToString(sealed), v.Origin)
	ok(t, err)
	_, err = h.AuthenticateKey(t.Context(), v, answer)
	ok(t, err)
}

// A key that nobody has, a wrong signature and a strange user handle are answered
// alike.
func TestUnknownKeysAnswerLikeWrongOnes(t *testing.T) {
	h := newKeyHouse(t)
	u := h.user("alice@example.com", true)
	h.user("bob@example.com", true)
	a, b := passkey(), passkey()
	h.enrolKey(as(h.signIn("alice@example.com")), a, webauthn.Passkey, "")
	bob, _ := h.enrolKey(as(h.signIn("bob@example.com")), b, webauthn.Passkey, "")
	v := guest("browser")
	stranger := passkey()
	options, err := h.StartRegistration(t.Context(), as(bob), "platform")
	ok(t, err)
	_, err = stranger.Create(options, v.Origin)
	ok(t, err)
	handle := func(of *webauthntest.Authenticator) webauthntest.Fault {
		return webauthntest.Fault{Send: func(r *webauthntest.Response) { r.Handle = of.Keys[0].Handle }}
	}
	tries := map[string][]byte{
		"unknown key":     h.get(v, stranger, "", nil),
		"wrong signature": h.get(v, a, "", nil, broken),
		"bob's handle":    h.get(v, a, "", nil, handle(b)),
		"bob's key named": h.get(v, a, "", nil, webauthntest.Fault{Send: func(r *webauthntest.Response) {
			r.ID = base64.RawURLEncoding.EncodeToString(b.Keys[0].ID)
			r.RawID = r.ID
		}}),
	}
	for name, answer := range tries {
		_, err := h.AuthenticateKey(t.Context(), v, answer)
		refused(t, err, ErrKeyIncorrect)
		var got *Error
		if !errors.As(err, &got) || got.Detail != ErrKeyIncorrect.Detail || got.Status != ErrKeyIncorrect.Status {
			t.Errorf("%s: %+v", name, got)
		}
	}
	ok(t, h.Operator(false).Lock(t.Context(), u.ID))
	_, err = h.AuthenticateKey(t.Context(), v, h.get(v, a, "", nil)) // A locked account, a right key
	refused(t, err, ErrKeyIncorrect)
}

// A copied key is refused, recorded, and does not move the counter.
func TestClonedKey(t *testing.T) {
	h := newKeyHouse(t)
	u := h.user("alice@example.com", true)
	stick := securityKey()
	h.enrolKey(as(h.signIn("alice@example.com")), stick, webauthn.SecurityKey, "")
	v := guest("browser")
	_, err := h.AuthenticateKey(t.Context(), v, h.get(v, stick, "alice@example.com", nil))
	ok(t, err)
	_, err = h.AuthenticateKey(t.Context(), v, h.get(v, stick, "alice@example.com", nil))
	ok(t, err)
	_, err = h.AuthenticateKey(t.Context(), v, h.get(v, stick, "alice@example.com", nil, counter(2)))
	refused(t, err, ErrKeyIncorrect)
	if h.events.count(audit.KeyCloned) != 1 {
		t.Errorf("%d recorded", h.events.count(audit.KeyCloned))
	}
	user, _, err := h.accounts.Get(t.Context(), u.ID)
	ok(t, err)
	if user.Keys[0].SignCount != 2 {
		t.Errorf("counter %d", user.Keys[0].SignCount)
	}
}

func counter(n uint32) webauthntest.Fault {
	return webauthntest.Fault{Sign: func(s *webauthntest.Statement) { s.Count = n }}
}

// NIST SP 800-63B-4, 3.2.2: a hundred failures in a row that a key itself signed disable it
// until it is enrolled again. Forged ones count for nothing: whoever knows the id of a key
// could switch it off.
func TestHundredFailuresDisableTheKey(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	stick := securityKey()
	r, id := h.enrolKey(as(h.signIn("alice@example.com")), stick, webauthn.SecurityKey, "")
	use := func(i int, faults ...webauthntest.Fault) error {
		v := guest("browser")
		v.IP = netip.AddrFrom4([4]byte{203, 0, byte(i), 1})
		_, err := h.AuthenticateKey(t.Context(), v, h.get(v, stick, "alice@example.com", nil, faults...))
		return err
	}
	ok(t, use(0))
	for i := range 101 {
		refused(t, use(i, broken), ErrKeyIncorrect)
	}
	ok(t, use(0))
	for i := range 99 {
		refused(t, use(i, counter(1)), ErrKeyIncorrect)
	}
	ok(t, use(0)) // the row is broken
	for i := range 100 {
		refused(t, use(i, counter(1)), ErrKeyIncorrect)
	}
	refused(t, use(0), ErrFactorDisabled)
	refused(t, use(0, broken), ErrKeyIncorrect) // strangers are not told
	h.signIn("alice@example.com")               // nothing else is locked

	ok(t, h.RemoveFactor(t.Context(), as(r), id, false))
	stick.Keys = nil
	h.enrolKey(as(h.signIn("alice@example.com")), stick, webauthn.SecurityKey, "")
	ok(t, use(0))
}

// Ten failures lock passwords and codes, never a passkey, and the passkey
// unlocks nothing.
func TestALockStopsNoPasskey(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	a := passkey()
	h.enrolKey(as(h.signIn("alice@example.com")), a, webauthn.Passkey, "")
	for range 10 {
		_, err := h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", "wrong")
		refused(t, err, ErrCredentials)
	}
	h.byKey(a)
	v := guest("browser")
	_, err := h.AuthenticateKey(t.Context(), v, h.get(v, a, "alice@example.com", nil))
	ok(t, err)
	_, err = h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", secret)
	refused(t, err, ErrCredentials)
}

// A key of another user never switches the session, and cannot be taken over.
func TestForeignKey(t *testing.T) {
	h := newKeyHouse(t)
	h.user("alice@example.com", true)
	h.user("bob@example.com", true)
	a, b := passkey(), passkey()
	alice, _ := h.enrolKey(as(h.signIn("alice@example.com")), a, webauthn.Passkey, "")
	bob, _ := h.enrolKey(as(h.signIn("bob@example.com")), b, webauthn.Passkey, "")
	options, err := h.StartAuthentication(t.Context(), as(alice), "", nil)
	ok(t, err)
	signed, err := b.Sign(b.Keys[0], challengeOf(t, options), "https://app.test")
	ok(t, err)
	_, err = h.AuthenticateKey(t.Context(), as(alice), signed)
	refused(t, err, ErrAnotherUser)
	if s, err := h.lookup2(alice.Cookie); err != nil || s.UserID != alice.Session.UserID || len(s.Factors) != 2 {
		t.Errorf("alice's session: %+v %v", s, err)
	}
	// Alice's browser claims that it made a credential with the id of bob's.
	theirs := webauthntest.Fault{
		Sign: func(s *webauthntest.Statement) { s.ID = b.Keys[0].ID },
		Send: func(r *webauthntest.Response) {
			r.ID = base64.RawURLEncoding.EncodeToString(b.Keys[0].ID)
			r.RawID = r.ID
		},
	}
	_, _, err = h.Register(t.Context(), as(alice), h.create(as(alice), passkey(), webauthn.Passkey, theirs), "")
	refused(t, err, ErrAnotherUser)
	_, _, err = h.Register(t.Context(), as(bob), h.create(as(bob), passkey(), webauthn.Passkey, theirs), "")
	refused(t, err, ErrDuplicateKey)
	h.byKey(b)
}

// Who may register a key is asked when it begins and again when it ends.
func TestWhoMayRegisterAKey(t *testing.T) {
	h := newKeyHouse(t)
	alice := h.user("alice@example.com", true)
	h.user("eve@example.com", false)
	single := as(h.signIn("alice@example.com"))
	stale := as(h.signIn("alice@example.com"))
	for _, c := range map[string]struct {
		v    Visitor
		want *Error
		prep func()
	}{
		"nobody":                    {v: guest("browser"), want: ErrNoSession},
		"an unverified address":     {v: as(h.signIn("eve@example.com")), want: ErrEmailNotVerified},
		"an hour after signing in":  {v: stale, want: &Error{Type: "stale_factors"}, prep: func() { h.clock.Advance(account.ChangeMaxAge + time.Millisecond) }},
		"a session that is old now": {v: replaced(h), want: ErrSessionChanged},
	} {
		if c.prep != nil {
			c.prep()
		}
		_, err := h.StartRegistration(t.Context(), c.v, "platform")
		refused(t, err, c.want)
		_, _, err = h.Register(t.Context(), c.v, nil, "")
		refused(t, err, c.want)
		if c.prep != nil {
			h.clock.Advance(-account.ChangeMaxAge - time.Millisecond)
		}
	}
	// Begun while one factor was enough; a second one is enrolled elsewhere before it ends.
	created := h.create(single, passkey(), webauthn.Passkey)
	h.enrol(as(h.signIn("alice@example.com")))
	_, _, err := h.Register(t.Context(), single, created, "")
	refused(t, err, &Error{Type: "insufficient_factors"})
	_, err = h.StartRegistration(t.Context(), single, "platform")
	refused(t, err, &Error{Type: "insufficient_factors"})
	both := as(must(h.AuthenticateTOTP(t.Context(), single, h.totp(alice.ID))))
	h.enrolKey(both, passkey(), webauthn.Passkey, "")
	if h.events.count(audit.FactorAdded) != 2 { // TOTP and the key
		t.Errorf("%d additions recorded", h.events.count(audit.FactorAdded))
	}
}

// replaced is a session of alice that another has taken the place of a moment ago.
func replaced(h *house) Visitor {
	h.t.Helper()
	r := h.signIn("alice@example.com")
	must(h.AuthenticatePassword(h.t.Context(), as(r), "alice@example.com", secret))
	return as(Result{Session: must(h.lookup2(r.Cookie))})
}

// A guest without a cookie cannot begin what only this browser may finish.
func TestGuestsNeedABrowser(t *testing.T) {
	h := newKeyHouse(t)
	_, err := h.StartAuthentication(t.Context(), anon(), "", nil)
	refused(t, err, ErrNoBrowser)
	h.user("alice@example.com", true)
	_, err = h.StartAuthentication(t.Context(), as(h.signIn("alice@example.com")), "", nil)
	refused(t, err, ErrKeyNotFound)
}

// What a browser says of a ceremony stands in no event, whatever is in it.
func TestWhatABrowserSaysIsNotRecorded(t *testing.T) {
	h := newKeyHouse(t)
	u := h.user("alice@example.com", true)
	a := passkey()
	h.enrolKey(as(h.signIn("alice@example.com")), a, webauthn.Passkey, "")
	const line = "https://app.test\r\n{\"level\":\"info\",\"msg\":\"forged\"}\x1b[2K\u2028"
	for name, f := range map[string]webauthntest.Fault{
		"origin": {Sign: func(s *webauthntest.Statement) { s.Client["origin"] = line }},
		"type":   {Sign: func(s *webauthntest.Statement) { s.Client["type"] = line }},
	} {
		v := guest("browser")
		_, err := h.AuthenticateKey(t.Context(), v, h.get(v, a, "", nil, f))
		refused(t, err, ErrKeyIncorrect)
		h.events.mu.Lock()
		last := h.events.list[len(h.events.list)-1]
		h.events.mu.Unlock()
		want := audit.Event{
			Kind: audit.FactorRefused, Time: last.Time, UserID: u.ID, Factor: "webauthn", Reason: ErrKeyIncorrect.Type, IPAddress: v.IP.String(),
		}
		if last != want {
			t.Errorf("%s: %+v", name, last)
		}
	}
}
