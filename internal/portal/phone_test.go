package portal_test

import (
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/flow"
)

const (
	mobile = "+447400123456"
	weaker = "Text messages can be read by others on the way."
)

// texting makes the site offer codes by text message and by WhatsApp.
func texting(c *flow.Config) {
	c.Options.Offered = append(slices.Clone(c.Options.Offered), factors.SMSOTP, factors.WhatsAppOTP)
	c.Options.Primary = append(slices.Clone(c.Options.Primary), factors.SMSOTP, factors.WhatsAppOTP)
}

// newPhone is a site with alice, who has a number.
func newPhone(t *testing.T) *site {
	t.Helper()
	s := newSite(t, texting)
	s.user(alice, true)
	b := s.browser()
	b.signIn(alice)
	b.enrolPhone()
	return s
}

// enrolPhone adds the number to who is signed in, and waits until it can be sent to again.
func (b *browser) enrolPhone() {
	b.s.t.Helper()
	_, sent := b.api(http.MethodPost, "phone_numbers", map[string]string{"phone_number": mobile})
	if p, _ := b.api(http.MethodPost, "otps/authenticate", map[string]any{"method_id": sent["method_id"], "code": b.s.mail(mobile).Code}); p.status != http.StatusOK {
		b.s.t.Fatalf("%d %s", p.status, p.body)
	}
	b.s.clock.Advance(31 * time.Second)
}

// A page that asks for a text message says that it is the weaker way, and leads to the others
// that the person has; WhatsApp messages are sealed, and the page does not say it of them.
func TestTextMessagesAreCalledWeaker(t *testing.T) {
	s := newPhone(t)
	b := s.browser()
	p := b.follow(b.get("/"))
	for _, channel := range []string{"sms_otp", "whatsapp_otp"} {
		p := b.follow(b.post(p, "/.stepgate/sign-in", url.Values{"action": {channel}}))
		if p.says(weaker) != (channel == "sms_otp") || !p.says("Sign in another way") {
			t.Errorf("%s: %s", channel, p.body)
		}
	}
	b.signIn(alice)
	p = b.follow(b.get("/two/x"))
	for value, want := range map[string]bool{"sms_otp": true, "whatsapp_otp": false} {
		id := s.phoneID()
		p := b.follow(b.post(p, "/.stepgate/challenge", url.Values{"action": {"choose"}, "method": {value + "/" + id}}))
		if p.says(weaker) != want || !p.says("Try another way") {
			t.Errorf("%s: %s", value, p.body)
		}
	}
}

// phoneID is the id of alice's number.
func (s *site) phoneID() string {
	s.t.Helper()
	u, _, err := s.accounts.ByEmail(s.t.Context(), alice)
	must(s.t, err)
	return u.Phones[0].ID
}

// A sign-in by text ends where it began; a code of the other channel is none for it.
func TestSignInByText(t *testing.T) {
	s := newPhone(t)
	b := s.browser()
	p := b.follow(b.get("/texted/report"))
	p = b.follow(b.post(p, "/.stepgate/sign-in", url.Values{"action": {"sms_otp"}, "phone_number": {"+44 7400 123456"}}))
	refuses(t, b.post(p, "/.stepgate/sign-in", url.Values{"action": {"verify"}, "code": {"12 345"}}), flow.ErrInvalidCode)
	b.nobody(t)
	p = b.follow(b.post(p, "/.stepgate/sign-in", url.Values{"action": {"verify"}, "code": {s.mail(mobile).Code}}))
	if who, proven := b.who(); p.body != "application: /texted/report" || who != alice || !slices.Equal(proven, []string{"sms"}) {
		t.Errorf("%s with %v: %d %s", who, proven, p.status, p.body)
	}
	s.served.Store(0)
	s.clock.Advance(31 * time.Second)
	other := s.browser()
	p = other.follow(other.get("/texted/report"))
	p = other.follow(other.post(p, "/.stepgate/sign-in", url.Values{"action": {"whatsapp_otp"}, "phone_number": {mobile}}))
	p = other.follow(other.post(p, "/.stepgate/sign-in", url.Values{"action": {"verify"}, "code": {s.mail(mobile).Code}}))
	if _, proven := other.who(); s.served.Load() != 0 || !slices.Equal(proven, []string{"whatsapp"}) {
		t.Errorf("%v: %d %s", proven, p.status, p.body)
	}
}
