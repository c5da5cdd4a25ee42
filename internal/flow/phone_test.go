package flow

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/store"
)

const mobile = "+447400123456"

// newSwitchboard is a house that sends text messages and WhatsApp messages.
func newSwitchboard(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	h.queue.SetSenders(map[delivery.Channel]delivery.Sender{delivery.Email: h.outbox, delivery.SMS: h.outbox, delivery.WhatsApp: h.outbox})
	h.opts.Offered = append(h.opts.Offered, factors.SMSOTP, factors.WhatsAppOTP)
	h.opts.Primary = append(h.opts.Primary, factors.SMSOTP, factors.WhatsAppOTP)
	return h
}

// phone gives a signed-in user a number, and lets the pause between two messages pass.
func (h *house) phone(v Visitor, number string) Result {
	h.t.Helper()
	id, err := h.AddPhone(h.t.Context(), v, factors.SMSOTP, number)
	ok(h.t, err)
	r, err := h.AuthenticateCode(h.t.Context(), v, id, h.newest(number).Code)
	ok(h.t, err)
	h.clock.Advance(31 * time.Second)
	return r
}

// messages counts what was sent to a number.
func (h *house) messages(number string) (n int) {
	h.t.Helper()
	h.queue.Deliver(h.t.Context())
	for _, m := range h.outbox.List() {
		if m.To == number {
			n++
		}
	}
	return n
}

// A number is enrolled, signs in, and steps up; the last line of the text binds its code to the
// host, and a WhatsApp message has none.
func TestPhoneCodes(t *testing.T) {
	h := newSwitchboard(t)
	h.user("alice@example.com", true)
	h.phone(as(h.signIn("alice@example.com")), mobile)
	for product, want := range map[factors.Product]string{factors.SMSOTP: "sms", factors.WhatsAppOTP: "whatsapp"} {
		id, err := h.SendPhoneCode(t.Context(), anon(), product, mobile)
		ok(t, err)
		m := h.newest(mobile)
		lines := strings.Split(m.Text, "\n")
		if bound := lines[len(lines)-1] == "@app.test #"+m.Code; bound != (product == factors.SMSOTP) || string(m.Channel) != want {
			t.Errorf("%s by %s: %q", product, m.Channel, m.Text)
		}
		r, err := h.AuthenticateCode(t.Context(), anon(), id, m.Code)
		ok(t, err)
		if f := r.Session.Factors; len(f) != 1 || f[0].DeliveryMethod != want {
			t.Errorf("%+v", f)
		}
		_, err = h.AuthenticateCode(t.Context(), anon(), id, m.Code)
		refused(t, err, ErrOTPUsed)
		h.clock.Advance(31 * time.Second)
	}
}

// A code proves the channel by which it came, and the newest one replaces that of the other
// channel; it is no code of a mailbox.
func TestCodeIsOfItsChannel(t *testing.T) {
	h := newSwitchboard(t)
	h.user("alice@example.com", true)
	v := as(h.phone(as(h.signIn("alice@example.com")), mobile))
	id, err := h.SendPhoneCode(t.Context(), anon(), factors.SMSOTP, mobile)
	ok(t, err)
	text := h.newest(mobile).Code
	h.clock.Advance(31 * time.Second)
	_, err = h.SendPhoneCode(t.Context(), anon(), factors.WhatsAppOTP, mobile)
	ok(t, err)
	chat := h.newest(mobile).Code
	mailID, mailed := h.code(anon(), "alice@example.com")
	for _, try := range [][2]string{{id, text}, {id, mailed}, {mailID, chat}, {mailID, text}} {
		if try[1] == chat && try[0] == id || try[1] == mailed && try[0] == mailID {
			continue // two codes are equal by chance
		}
		_, err := h.AuthenticateCode(t.Context(), anon(), try[0], try[1])
		refused(t, err, ErrOTPIncorrect)
	}
	r, err := h.AuthenticateCode(t.Context(), v, id, chat)
	ok(t, err)
	var proven []string
	for _, f := range r.Session.Factors {
		proven = append(proven, f.DeliveryMethod)
	}
	if fmt.Sprint(proven) != "[knowledge sms whatsapp]" {
		t.Error(proven)
	}
}

// SPEC 6: a new number or address is confirmed within five minutes, however long codes and
// links live, or it is dropped.
func TestNewAddressIsConfirmedInTime(t *testing.T) {
	for name, add := range map[string]func(h *house, v Visitor) (id string){
		"number": func(h *house, v Visitor) string {
			id, err := h.AddPhone(h.t.Context(), v, factors.SMSOTP, mobile)
			ok(h.t, err)
			return id
		},
		"address": func(h *house, v Visitor) string {
			id, err := h.AddEmail(h.t.Context(), v, "new@example.com")
			ok(h.t, err)
			return id
		},
		"address by a code": func(h *house, v Visitor) string {
			id, err := h.SendEmailCode(h.t.Context(), v, "new@example.com")
			ok(h.t, err)
			return id
		},
	} {
		for by, want := range map[time.Duration]*Error{5*time.Minute - time.Millisecond: nil, 5 * time.Minute: ErrOTPExpired} {
			h := newSwitchboard(t)
			h.opts.CodeLife = 10 * time.Minute
			u := h.user("alice@example.com", true)
			v := as(h.signIn("alice@example.com"))
			id := add(h, v)
			h.queue.Deliver(t.Context())
			code := h.outbox.List()[0].Code
			h.clock.Advance(by)
			_, err := h.AuthenticateCode(t.Context(), v, id, code)
			u, _, gerr := h.accounts.Get(t.Context(), u.ID)
			ok(t, gerr)
			if want == nil && err != nil || want != nil && !errors.Is(err, want) || (len(u.Phones)+len(u.Emails) == 2) != (want == nil) {
				t.Errorf("%s after %s: %v, %+v %+v", name, by, err, u.Phones, u.Emails)
			}
		}
	}
	h := newPost(t)
	h.user("alice@example.com", true)
	v := in("laptop")
	v.Session = h.signIn("alice@example.com").Session
	token, _ := h.link(v, "new@example.com")
	h.clock.Advance(5 * time.Minute)
	_, err := h.AuthenticateLink(t.Context(), v, token)
	refused(t, err, ErrLinkNotFound)
}

// Strangers make nobody's phone ring but those that are enrolled, and are told nothing.
func TestStrangersTextNobody(t *testing.T) {
	h := newSwitchboard(t)
	h.user("alice@example.com", true)
	h.phone(as(h.signIn("alice@example.com")), mobile)
	h.user("bob@example.com", true)
	bob := as(h.signIn("bob@example.com"))
	known, err := h.SendPhoneCode(t.Context(), bob, factors.SMSOTP, mobile) // not his
	ok(t, err)
	unknown, err := h.SendPhoneCode(t.Context(), anon(), factors.SMSOTP, "+447400123457")
	ok(t, err)
	if len(known) != len(unknown) || h.messages(mobile) != 1 || h.messages("+447400123457") != 0 {
		t.Errorf("%d and %d messages", h.messages(mobile), h.messages("+447400123457"))
	}
	_, err = h.AuthenticateCode(t.Context(), anon(), unknown, "123456")
	refused(t, err, ErrOTPIncorrect)
	refused(t, func() error { _, err := h.AddPhone(t.Context(), anon(), factors.SMSOTP, mobile); return err }(), ErrNoSession)
}

// Messages are bounded per number in whatever spelling, per block of numbers, per
// user, per client, and all of it before anything is sent.
func TestTextsHaveBudgets(t *testing.T) {
	number := func(i int) string { return fmt.Sprintf("+4474001%05d", 20000+i) }
	client := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}) }
	spellings := []string{"+44 7400 120000", "0044 7400 120000", "+44 (0)7400-120000", "＋４４７４００１２００００", "+447400120000"}
	for name, c := range map[string]struct {
		allowed int
		// who sends for the i-th time, to which number, after which pause.
		client func(i int) netip.Addr
		number func(i int) string
		pause  time.Duration
		anon   bool
	}{
		"a number in half a minute": {1, client, func(i int) string { return spellings[i%5] }, 29 * time.Second, true},
		"a number in a day":         {5, client, func(i int) string { return spellings[i%5] }, time.Minute, true},
		"a block of numbers":        {50, client, func(i int) string { return number(i * 7) }, 0, true},
		"a client":                  {20, func(int) netip.Addr { return client(1) }, func(i int) string { return fmt.Sprintf("+447400%06d", 100000+20000*i) }, 0, true},
		"a user":                    {20, client, func(i int) string { return fmt.Sprintf("+447400%06d", 100000+20000*i) }, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newSwitchboard(t)
			h.user("alice@example.com", true)
			v := anon()
			if !c.anon {
				v = as(h.signIn("alice@example.com"))
			}
			for i := range c.allowed + 1 {
				v.IP = c.client(i)
				_, err := h.SendPhoneCode(t.Context(), v, factors.SMSOTP, c.number(i))
				if i < c.allowed {
					ok(t, err)
				} else {
					refused(t, err, ErrTooManyRequests)
					var e *Error
					if errors.As(err, &e); e.RetryAfter <= 0 {
						t.Error("it is not told when to try again")
					}
				}
				h.clock.Advance(c.pause)
			}
		})
	}
}

// A refused resend leaves the earlier code as it was, and costs the client nothing.
func TestRefusedResendLeavesTheCode(t *testing.T) {
	h := newSwitchboard(t)
	h.user("alice@example.com", true)
	h.phone(as(h.signIn("alice@example.com")), mobile)
	id, err := h.SendPhoneCode(t.Context(), anon(), factors.SMSOTP, mobile)
	ok(t, err)
	code := h.newest(mobile).Code
	for range 15 {
		for _, p := range []factors.Product{factors.SMSOTP, factors.WhatsAppOTP} {
			_, err := h.SendPhoneCode(t.Context(), anon(), p, mobile)
			refused(t, err, ErrTooManyRequests)
		}
	}
	_, err = h.SendPhoneCode(t.Context(), anon(), factors.SMSOTP, "+447400123457")
	ok(t, err)
	_, err = h.AuthenticateCode(t.Context(), anon(), id, code)
	ok(t, err)
}

// Numbers of other countries, of no country, that cost, or with an extension get
// nothing and cost no budget.
func TestNumbersThatGetNothing(t *testing.T) {
	h := newSwitchboard(t)
	h.opts.Countries = []string{"GB", "DE"}
	h.user("alice@example.com", true)
	v := as(h.signIn("alice@example.com"))
	for number, want := range map[string]*Error{
		"+12125551234":        ErrCountry,
		"+33612345678":        ErrCountry,
		"+881612345678":       ErrCountry,      // a satellite
		"+449098790123":       ErrInvalidPhone, // premium
		"+448001111111":       ErrInvalidPhone, // free to call
		mobile + " ext. 12":   ErrInvalidPhone,
		mobile + ";ext=12":    ErrInvalidPhone,
		"07400 123456":        ErrInvalidPhone, // of no country
		mobile + "\r\nBcc: x": ErrInvalidPhone,
		"":                    ErrInvalidPhone,
	} {
		_, err := h.AddPhone(t.Context(), v, factors.SMSOTP, number)
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %s", number, err, want.Type)
		}
	}
	h.queue.Deliver(t.Context())
	if n := len(h.outbox.List()); n != 0 {
		t.Errorf("%d messages", n)
	}
	h.phone(v, mobile)
}

// SPEC 6: the number of another user is told as such, and never switches the session.
func TestNumberOfAnotherUser(t *testing.T) {
	h := newSwitchboard(t)
	h.user("alice@example.com", true)
	h.phone(as(h.signIn("alice@example.com")), mobile)
	h.user("bob@example.com", true)
	bob := as(h.signIn("bob@example.com"))
	id, err := h.SendPhoneCode(t.Context(), anon(), factors.SMSOTP, mobile)
	ok(t, err)
	_, err = h.AuthenticateCode(t.Context(), bob, id, h.newest(mobile).Code)
	refused(t, err, ErrAnotherUser)
}

// Wrong codes of a phone count for the account, as all others do.
func TestWrongTextCodesLock(t *testing.T) {
	h := newSwitchboard(t)
	u := h.user("alice@example.com", true)
	h.phone(as(h.signIn("alice@example.com")), mobile)
	id, err := h.SendPhoneCode(t.Context(), anon(), factors.SMSOTP, mobile)
	ok(t, err)
	code := h.newest(mobile).Code
	for range 10 {
		_, err := h.AuthenticateCode(t.Context(), anon(), id, wrong(code))
		refused(t, err, ErrOTPIncorrect)
	}
	_, err = h.AuthenticateCode(t.Context(), anon(), id, code)
	refused(t, err, ErrOTPIncorrect)
	until, err := h.accounts.LockedUntil(t.Context(), u.ID)
	ok(t, err)
	if until.IsZero() {
		t.Error("ten wrong codes did not lock")
	}
}

// A text does not outlive what would have ended a session, and does not pass to whoever is given
// the number.
func TestTextsThatOutlivedTheirReason(t *testing.T) {
	for name, later := range map[string]func(h *house){
		"the password changed": func(h *house) {
			r, err := h.AuthenticateTOTP(t.Context(), as(h.signIn("alice@example.com")), h.totp(h.signIn("alice@example.com").Session.UserID))
			ok(t, err)
			ok(t, h.SetPassword(t.Context(), as(r), "eight loud lamps under water"))
		},
		"locked and unlocked": func(h *house) {
			u, _, err := h.accounts.ByEmail(t.Context(), "alice@example.com")
			ok(t, err)
			ok(t, h.Operator(false).Lock(t.Context(), u.ID))
			ok(t, h.Operator(false).Unlock(t.Context(), u.ID))
		},
		"the number is another user's": func(h *house) {
			u, _, err := h.accounts.ByEmail(t.Context(), "alice@example.com")
			ok(t, err)
			ok(t, h.Operator(false).Delete(t.Context(), u.ID))
			h.user("bob@example.com", true)
			bob := h.signIn("bob@example.com").Session.UserID
			_, err = h.accounts.Update(t.Context(), bob, func(u *account.User, c *store.Change) error {
				return h.accounts.AddPhone(t.Context(), c, u, mobile)
			})
			ok(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newSwitchboard(t)
			h.user("alice@example.com", true)
			h.enrol(as(h.phone(as(h.signIn("alice@example.com")), mobile)))
			id, err := h.SendPhoneCode(t.Context(), anon(), factors.SMSOTP, mobile)
			ok(t, err)
			code := h.newest(mobile).Code
			h.clock.Advance(time.Second)
			later(h)
			_, err = h.AuthenticateCode(t.Context(), anon(), id, code)
			refused(t, err, ErrOTPExpired)
			h.clock.Advance(31 * time.Second)
			id, err = h.SendPhoneCode(t.Context(), anon(), factors.SMSOTP, mobile)
			ok(t, err)
			_, err = h.AuthenticateCode(t.Context(), anon(), id, h.newest(mobile).Code)
			ok(t, err)
		})
	}
}
