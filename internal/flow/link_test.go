package flow

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/magiclink"
)

// newPost is a house that mails links.
func newPost(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	h.opts.LinkLife = time.Hour
	h.opts.Offered = append(h.opts.Offered, factors.MagicLink)
	h.opts.Primary = append(h.opts.Primary, factors.MagicLink)
	return h
}

// in is a visitor with a browser of that name.
func in(browser string) Visitor {
	v := anon()
	v.Browser = browser
	return v
}

// link asks for a link in a browser and returns its token and its short code.
func (h *house) link(v Visitor, email string) (token, code string) {
	h.t.Helper()
	_, err := h.SendLink(h.t.Context(), v, email, "")
	ok(h.t, err)
	link := h.newest(email).Link
	if !strings.HasPrefix(link, "https://app.test/.stepgate/link/") {
		h.t.Fatal(link)
	}
	token = link[strings.LastIndex(link, "/")+1:]
	view, err := h.Link(h.t.Context(), in("the phone"), token)
	ok(h.t, err)
	return token, view.Code
}

// wrongCode is a code that is not the given one.
func wrongCode(code string) string {
	if strings.HasPrefix(code, "0") {
		return "1" + code[1:]
	}
	return "0" + code[1:]
}

// A link signs in the browser that asked, and no other; looking at it spends nothing.
func TestLinkWorksWhereItWasAsked(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", true)
	token, _ := h.link(in("laptop"), "alice@example.com")
	for range 20 {
		for _, browser := range []string{"laptop", "phone", ""} {
			view, err := h.Link(t.Context(), in(browser), token)
			ok(t, err)
			if here := browser == "laptop"; here != (view.Code == "") || here != (view.Email == "alice@example.com") {
				t.Errorf("%q: %+v", browser, view)
			}
		}
	}
	for _, browser := range []string{"phone", ""} {
		_, err := h.AuthenticateLink(t.Context(), in(browser), token)
		refused(t, err, ErrOtherBrowser)
	}
	r, err := h.AuthenticateLink(t.Context(), in("laptop"), token)
	ok(t, err)
	if r.Session.User.Email != "alice@example.com" || len(r.Session.Factors) != 1 {
		t.Errorf("%+v", r.Session)
	}
	_, err = h.AuthenticateLink(t.Context(), in("laptop"), token)
	refused(t, err, ErrLinkNotFound)
	_, err = h.Link(t.Context(), in("laptop"), token)
	refused(t, err, ErrLinkNotFound)
}

// A link signs in once, whether by itself or by its code, in 50 tries at once.
func TestLinkWorksOnceInParallel(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", true)
	token, code := h.link(in("laptop"), "alice@example.com")
	tries := make(chan int, 50)
	for i := range 50 {
		tries <- i
	}
	n, errs := many(50, func() error {
		i := <-tries
		v := in("laptop")
		v.IP = netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}) // failures of one network wait for each other
		if i%5 != 0 {
			_, err := h.AuthenticateLink(t.Context(), v, token)
			return err
		}
		_, err := h.AuthenticateLinkCode(t.Context(), v, code) // ten of them: more than there are tries
		return err
	})
	if n != 1 {
		t.Fatalf("%d of 50 counted", n)
	}
	for _, err := range errs {
		if !errors.Is(err, ErrLinkNotFound) && !errors.Is(err, ErrLinkCodeIncorrect) {
			t.Error(err)
		}
	}
}

// An hour, by our clock.
func TestLinkExpires(t *testing.T) {
	for by, want := range map[time.Duration]*Error{time.Hour - time.Millisecond: nil, time.Hour: ErrLinkNotFound} {
		h := newPost(t)
		h.user("alice@example.com", true)
		token, code := h.link(in("laptop"), "alice@example.com")
		h.clock.Advance(by)
		_, byCode := h.AuthenticateLinkCode(t.Context(), in("laptop"), wrongCode(code))
		_, byToken := h.AuthenticateLink(t.Context(), in("laptop"), token)
		if want == nil {
			refused(t, byCode, ErrLinkCodeIncorrect)
			ok(t, byToken)
			continue
		}
		refused(t, byCode, want)
		refused(t, byToken, want)
	}
}

// Five wrong codes burn a link; the right one works up to the fifth try, and only in the
// browser that asked. Codes that cannot be one, and those of other browsers, cost nothing.
func TestCodeOfALinkHasABudget(t *testing.T) {
	for wrong, want := range map[int]*Error{0: nil, magiclink.MaxTries - 1: nil, magiclink.MaxTries: ErrLinkNotFound} {
		h := newPost(t)
		h.user("alice@example.com", true)
		token, code := h.link(in("laptop"), "alice@example.com")
		for range 3 * magiclink.MaxTries {
			_, err := h.AuthenticateLinkCode(t.Context(), in("laptop"), "4F7K-2M9")
			refused(t, err, ErrInvalidLinkCode)
			_, err = h.AuthenticateLinkCode(t.Context(), in("phone"), code)
			refused(t, err, ErrLinkNotFound)
			_, err = h.AuthenticateLinkCode(t.Context(), in(""), code)
			refused(t, err, ErrLinkNotFound)
		}
		for i := range wrong {
			_, err := h.AuthenticateLinkCode(t.Context(), in("laptop"), wrongCode(code))
			refused(t, err, map[bool]*Error{false: ErrLinkCodeIncorrect, true: ErrLinkNotFound}[i == magiclink.MaxTries-1])
		}
		_, err := h.AuthenticateLinkCode(t.Context(), in("laptop"), strings.ToLower(code))
		if want == nil {
			ok(t, err)
			continue
		}
		refused(t, err, want)
		_, err = h.AuthenticateLink(t.Context(), in("laptop"), token)
		refused(t, err, want)
		_, err = h.Link(t.Context(), in("phone"), token)
		refused(t, err, want)
		token, _ = h.link(in("laptop"), "alice@example.com")
		_, err = h.AuthenticateLink(t.Context(), in("laptop"), token)
		ok(t, err)
	}
}

// Of many guesses at once, five are looked at: the right one is too late after them.
func TestParallelCodesOfALinkAreCounted(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", true)
	token, code := h.link(in("laptop"), "alice@example.com")
	n, _ := many(40, func() error {
		_, err := h.AuthenticateLinkCode(t.Context(), in("laptop"), wrongCode(code))
		return err
	})
	_, err := h.AuthenticateLink(t.Context(), in("laptop"), token)
	refused(t, err, ErrLinkNotFound)
	if n != 0 {
		t.Errorf("%d wrong codes signed in", n)
	}
}

// A browser has five links at most; the oldest goes.
func TestLinksOfABrowserAreBounded(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", true)
	var tokens []string
	for range maxAsked + 1 {
		token, _ := h.link(in("laptop"), "alice@example.com")
		tokens = append(tokens, token)
		h.clock.Advance(time.Minute)
	}
	_, err := h.Link(t.Context(), in("laptop"), tokens[0])
	refused(t, err, ErrLinkNotFound)
	_, err = h.AuthenticateLink(t.Context(), in("laptop"), tokens[1])
	ok(t, err)
}

// Asking for a link does the same for an address that nobody has, but for the message.
func TestSendingALinkTellsNothing(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", true)
	_, err := h.SendLink(t.Context(), in("first"), "first@example.com", "") // makes the counters that all share
	ok(t, err)
	var added []int
	var ids []string
	for _, email := range []string{"alice@example.com", "nobody@example.com"} {
		before := h.keys()
		id, err := h.SendLink(t.Context(), in("browser of "+email), email, "")
		ok(t, err)
		added, ids = append(added, h.keys()-before), append(ids, id)
	}
	const message = 1
	if added[0]-message != added[1] || len(ids[0]) != len(ids[1]) || ids[0] == ids[1] {
		t.Errorf("%v records, ids %v", added, ids)
	}
	_, err = h.AuthenticateLinkCode(t.Context(), in("browser of nobody@example.com"), "0000-0000")
	refused(t, err, ErrLinkCodeIncorrect)
	h.queue.Deliver(t.Context())
	for _, m := range h.outbox.List() {
		if m.To != "alice@example.com" {
			t.Error("a stranger got mail")
		}
	}
}

// The link of another account never switches a session, and is not spent by the try.
func TestLinkOfAnotherSwitchesNothing(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", true)
	h.user("bob@example.com", true)
	token, code := h.link(in("laptop"), "bob@example.com")
	v := in("laptop")
	v.Session = h.signIn("alice@example.com").Session
	_, err := h.AuthenticateLink(t.Context(), v, token)
	refused(t, err, ErrAnotherUser)
	_, err = h.AuthenticateLinkCode(t.Context(), v, code)
	refused(t, err, ErrAnotherUser)
	r, err := h.AuthenticateLink(t.Context(), in("laptop"), token)
	ok(t, err)
	if r.Session.User.Email != "bob@example.com" {
		t.Error(r.Session.User)
	}
}

// The token of a link is none of an invitation or a reset.
func TestLinkIsNoTicket(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", true)
	token, _ := h.link(in("laptop"), "alice@example.com")
	refused(t, h.Reset(t.Context(), in("laptop"), token, secret+" new"), ErrLinkNotFound)
	_, err := h.AcceptInvite(t.Context(), in("laptop"), token, Acceptance{Password: secret})
	refused(t, err, ErrLinkNotFound)
	_, err = h.AuthenticateLink(t.Context(), in("laptop"), token)
	ok(t, err)
}

// Somebody registered a stranger's address with a password. The stranger's link locks it.
func TestLinkLocksAStrangersPassword(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", false)
	token, _ := h.link(in("laptop"), "alice@example.com")
	_, err := h.AuthenticateLink(t.Context(), in("laptop"), token)
	ok(t, err)
	_, err = h.AuthenticatePassword(t.Context(), anon(), "alice@example.com", secret)
	refused(t, err, ErrResetPassword)
}

// A lock that an administrator sets holds for a link that was mailed before.
func TestLockedAccountHasNoLinks(t *testing.T) {
	h := newPost(t)
	u := h.user("alice@example.com", true)
	token, code := h.link(in("laptop"), "alice@example.com")
	ok(t, h.Operator(false).Lock(t.Context(), u.ID))
	_, err := h.AuthenticateLink(t.Context(), in("laptop"), token)
	refused(t, err, ErrLinkNotFound)
	_, err = h.AuthenticateLinkCode(t.Context(), in("laptop"), code)
	refused(t, err, ErrLinkNotFound)
}

// The code of a link works as long as the link, whatever was asked for after it.
func TestANewerLinkDoesNotShortenAnOlderOne(t *testing.T) {
	h := newPost(t)
	h.user("alice@example.com", true)
	_, code := h.link(in("laptop"), "alice@example.com")
	v := in("laptop")
	v.Session = h.signIn("alice@example.com").Session
	_, err := h.SendLink(t.Context(), v, "new@example.com", "")
	ok(t, err)
	h.clock.Advance(h.opts.LinkLife - time.Second)
	_, err = h.AuthenticateLinkCode(t.Context(), in("laptop"), code)
	ok(t, err)
}

// What a session sends to an address lives as short when somebody has the address as when
// nobody does; to the user's own it lives its full time.
func TestALifeTellsNothing(t *testing.T) {
	h := newPost(t)
	h.opts.CodeLife = 2 * confirmLife
	h.user("alice@example.com", true)
	h.user("bob@example.com", true)
	bob := h.signIn("bob@example.com")
	for email, life := range map[string]time.Duration{
		"bob@example.com": h.opts.CodeLife, "alice@example.com": confirmLife, "nobody@example.com": confirmLife,
	} {
		v := as(bob)
		v.Browser = "browser for " + email
		id, err := h.SendEmailCode(t.Context(), v, email)
		ok(t, err)
		code := wrong(h.newest(email).Code)
		_, err = h.SendLink(t.Context(), v, email, "")
		ok(t, err)
		h.clock.Advance(life - time.Second)
		_, err = h.AuthenticateLinkCode(t.Context(), v, "0000-0000")
		refused(t, err, ErrLinkCodeIncorrect)
		_, err = h.AuthenticateCode(t.Context(), v, id, code)
		refused(t, err, ErrOTPIncorrect)
		h.clock.Advance(time.Second)
		if life == confirmLife {
			_, err = h.AuthenticateLinkCode(t.Context(), v, "0000-0000")
			refused(t, err, ErrLinkNotFound)
		}
		_, err = h.AuthenticateCode(t.Context(), v, id, code)
		refused(t, err, ErrOTPExpired)
	}
}

// A link or code that waits in a mailbox does not outlive what would have ended a session, and
// does not pass to whoever is given the address.
func TestMailedProofsThatOutlivedTheirReason(t *testing.T) {
	for name, later := range map[string]func(h *house){
		"the password changed": func(h *house) {
			ok(t, h.SetPassword(t.Context(), as(h.signIn("alice@example.com")), "eight loud lamps under water"))
		},
		"locked and unlocked": func(h *house) {
			u, _, err := h.accounts.ByEmail(t.Context(), "alice@example.com")
			ok(t, err)
			ok(t, h.Operator(false).Lock(t.Context(), u.ID))
			ok(t, h.Operator(false).Unlock(t.Context(), u.ID))
		},
		"the address is another user's": func(h *house) {
			u, _, err := h.accounts.ByEmail(t.Context(), "alice@example.com")
			ok(t, err)
			ok(t, h.Operator(false).Delete(t.Context(), u.ID))
			h.user("alice@example.com", true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newPost(t)
			h.user("alice@example.com", true)
			token, _ := h.link(in("laptop"), "alice@example.com")
			h.clock.Advance(31 * time.Second)
			id, code := h.code(in("laptop"), "alice@example.com")
			h.clock.Advance(time.Second)
			later(h)
			_, err := h.AuthenticateLink(t.Context(), in("laptop"), token)
			refused(t, err, ErrLinkNotFound)
			_, err = h.AuthenticateCode(t.Context(), in("laptop"), id, code)
			refused(t, err, ErrOTPExpired)
			h.clock.Advance(31 * time.Second)
			token, _ = h.link(in("laptop"), "alice@example.com")
			_, err = h.AuthenticateLink(t.Context(), in("laptop"), token)
			ok(t, err)
		})
	}
}
