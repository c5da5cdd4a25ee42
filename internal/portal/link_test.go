package portal_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
)

// mailing makes the site offer links.
func mailing(c *flow.Config) {
	c.Options.Offered = append(slices.Clone(c.Options.Offered), factors.MagicLink)
	c.Options.Primary = append(slices.Clone(c.Options.Primary), factors.MagicLink)
}

// askForLink asks for a link on the way to a page, and returns the page that waits for it and
// the address that was mailed.
func (b *browser) askForLink(path, email string) (waiting page, link string) {
	b.s.t.Helper()
	p := b.follow(b.get(path))
	p = b.follow(b.post(p, "/.stepgate/sign-in", url.Values{"action": {"magic_link"}, "email": {email}}))
	if p.status != http.StatusOK || !p.says("Look into your mail") {
		b.s.t.Fatalf("ask: %d %s", p.status, p.body)
	}
	return p, b.s.mail(email).Link
}

var shown = regexp.MustCompile(`<p class="big-code" translate="no"><code>([^<]+)</code>`)

// Whatever a program does with a link that it finds in a mail, nobody is signed
// in by it, and the link still works where it was asked for.
func TestScannerSpendsNoLink(t *testing.T) {
	s := newSite(t, mailing)
	s.user(alice, true)
	s.user(bob, true)
	b := s.browser()
	_, link := b.askForLink("/report", alice)
	blank, busy := s.browser(), s.browser()
	busy.askForLink("/", bob) // a browser that has an id of its own
	for _, scanner := range []*browser{blank, busy} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
			for _, headers := range [][]string{nil, {"Sec-Purpose", "prefetch"}, {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}} {
				p := scanner.do(method, link, "", "", headers...)
				if want := map[bool]int{true: http.StatusMethodNotAllowed, false: http.StatusOK}[method == http.MethodOptions]; p.status != want {
					t.Errorf("%s: %d", method, p.status)
				}
			}
		}
		p := scanner.get(link)
		if strings.Contains(p.body, "<form") || p.says(alice) {
			t.Errorf("the page has a form or tells the address: %s", p.body)
		}
		// The token of a form may stand on any other page, and so may a code.
		other := scanner.get("/.stepgate/sign-in")
		refuses(t, scanner.post(other, strings.TrimPrefix(link, origin), url.Values{"action": {"sign_in"}}), flow.ErrOtherBrowser)
		code := shown.FindStringSubmatch(p.body)[1]
		for _, body := range []map[string]string{{"token": link[strings.LastIndex(link, "/")+1:]}, {"code": code}} {
			if p, _ := scanner.api(http.MethodPost, "magic_links/authenticate", body); p.status < 400 {
				t.Errorf("%v: %d %s", body, p.status, p.body)
			}
		}
		scanner.nobody(t)
	}
	p := b.get(link)
	if !p.says(alice) || b.cookie() != "" {
		t.Fatalf("%d %s", p.status, p.body)
	}
	p = b.follow(b.post(p, strings.TrimPrefix(link, origin), url.Values{"action": {"sign_in"}}))
	if p.body != "application: /report" {
		t.Errorf("%d %s", p.status, p.body)
	}
	if p := b.get(link); p.status != http.StatusNotFound {
		t.Errorf("a second time: %d", p.status)
	}
}

// A link that is opened on the phone shows a code, which signs in where the link was asked for;
// wrong codes are told, and the fifth burns the link.
func TestLinkOpenedOnAnotherDevice(t *testing.T) {
	for _, wrong := range []int{1, 5} {
		s := newSite(t, mailing)
		s.user(alice, true)
		b := s.browser()
		waiting, link := b.askForLink("/report", alice)
		p := s.browser().get(link)
		if !p.says(account.MaskEmail(alice)) {
			t.Errorf("the page does not tell whose it is: %s", p.body)
		}
		code := shown.FindStringSubmatch(p.body)[1]
		for i := range wrong {
			p := b.post(waiting, "/.stepgate/sign-in", url.Values{"action": {"verify"}, "code": {"0000-0000"}})
			refuses(t, p, map[bool]*flow.Error{true: flow.ErrLinkNotFound, false: flow.ErrLinkCodeIncorrect}[i == 4])
		}
		p = b.follow(b.post(waiting, "/.stepgate/sign-in", url.Values{"action": {"verify"}, "code": {strings.ToLower(code)}}))
		if wrong == 1 && p.body != "application: /report" {
			t.Errorf("%d %s", p.status, p.body)
		}
		if wrong == 5 {
			refuses(t, p, flow.ErrLinkNotFound)
			b.nobody(t)
		}
	}
}

// A challenge that a link answers goes on where it began, in the session that asked.
func TestLinkInAChallenge(t *testing.T) {
	s := newSite(t, mailing)
	s.user(alice, true)
	b := s.browser()
	b.signIn(alice)
	p := b.follow(b.get("/linked/report"))
	p = b.follow(b.post(p, "/.stepgate/challenge", url.Values{"action": {"send"}, "method": {p.field("method")}}))
	link := s.mail(alice).Link
	if p.status != http.StatusOK || link == "" {
		t.Fatalf("%d %s", p.status, p.body)
	}
	stranger := s.browser()
	stranger.signIn(alice)
	refuses(t, stranger.post(stranger.get("/.stepgate/account"), strings.TrimPrefix(link, origin), nil), flow.ErrOtherBrowser)
	p = b.get(link)
	p = b.follow(b.post(p, strings.TrimPrefix(link, origin), url.Values{"action": {"sign_in"}}))
	if who, proven := b.who(); p.body != "application: /linked/report" || who != alice || !slices.Equal(proven, []string{"knowledge", "email"}) {
		t.Errorf("%s with %v: %d %s", who, proven, p.status, p.body)
	}
}

// The link of another account, opened in a browser in which alice works, names whose it is
// and leaves her session alone.
func TestLinkOfAnotherLeavesTheSessionAlone(t *testing.T) {
	s := newSite(t, mailing)
	s.user(alice, true)
	s.user(bob, true)
	b := s.browser()
	_, link := b.askForLink("/", bob)
	b.signIn(alice)
	before := b.cookie()
	p := b.get(link)
	if !p.says(bob) || b.cookie() != before {
		t.Errorf("the page does not name bob: %s", p.body)
	}
	refuses(t, b.post(p, strings.TrimPrefix(link, origin), url.Values{"action": {"sign_in"}}), flow.ErrAnotherUser)
	if who, _ := b.who(); who != alice || b.cookie() != before {
		t.Errorf("%s is signed in", who)
	}
}

// What a request says of hosts and addresses never reaches the link.
func TestLinkLeadsToTheSiteItself(t *testing.T) {
	s := newSite(t, mailing)
	s.user(alice, true)
	b := s.browser()
	p := b.follow(b.get("/"))
	form := url.Values{
		"csrf": {p.field("csrf")}, "flow": {p.field("flow")}, "action": {"magic_link"}, "email": {alice},
		"return_to": {"https://evil.test/"}, "redirect_uri": {"https://evil.test/"}, "host": {"evil.test"},
	}
	b.do(http.MethodPost, "/.stepgate/sign-in?return_to=https://evil.test", "application/x-www-form-urlencoded", form.Encode(),
		"X-Forwarded-Host", "evil.test", "Forwarded", "host=evil.test", "X-Original-Host", "evil.test", "Origin", origin)
	m := s.mail(alice)
	if !strings.HasPrefix(m.Link, origin+"/.stepgate/link/") || strings.Contains(m.Text, "evil.test") {
		t.Errorf("%q: %s", m.Link, m.Text)
	}
	if p := b.do(http.MethodPost, "https://evil.test/.stepgate/api/v1/magic_links/email/send", "application/json", `{"email":"`+alice+`"}`); p.status < 400 {
		t.Errorf("a host that nobody configured: %d %s", p.status, p.body)
	}
}
