package portal_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors/oauth"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
)

const patient = 10 * time.Second

// newCorp is a site with one provider, and alice, who has connected her identity there.
func newCorp(t *testing.T) (*site, *idp, account.User) {
	t.Helper()
	s := newSite(t, nil)
	u := s.user(alice, true)
	corp := s.idp(oauth.OIDC, "corp")
	s.offer(patient, corp)
	b := s.browser()
	b.signIn(alice)
	if p := b.follow(b.connect(corp)); p.status != http.StatusOK || s.reread(u).Identities == nil {
		t.Fatalf("connect: %d %s", p.status, p.body)
	}
	s.served.Store(0)
	return s, corp, s.reread(u)
}

// An answer works in the browser that began, for ten minutes, at the provider where it began.
func TestAnswerBelongsToItsSignIn(t *testing.T) {
	s, corp, _ := newCorp(t)
	other := s.idp(oauth.OIDC, "other")
	s.offer(patient, corp, other)
	for name, bring := range map[string]func(b *browser, callback string, answer url.Values) page{
		"another browser": func(_ *browser, callback string, answer url.Values) page {
			stranger := s.browser()
			stranger.leave("/corp/x", "corp") // has an id of its own
			return stranger.get(callback + "?" + answer.Encode())
		},
		"a browser without an id": func(_ *browser, callback string, answer url.Values) page {
			return s.browser().get(callback + "?" + answer.Encode())
		},
		"another session": func(b *browser, callback string, _ url.Values) page {
			signedIn := s.browser()
			signedIn.signIn(alice)
			_, _, theirs, err := corp.SignIn(signedIn.start(corp))
			must(t, err)
			return b.get(callback + "?" + theirs.Encode())
		},
		"too late": func(b *browser, callback string, answer url.Values) page {
			s.clock.Advance(oauth.Life)
			return b.get(callback + "?" + answer.Encode())
		},
		"the callback of another provider": func(b *browser, callback string, answer url.Values) page {
			return b.get(strings.Replace(callback, "/corp/", "/other/", 1) + "?" + answer.Encode())
		},
		"a state made up": func(b *browser, callback string, answer url.Values) page {
			answer.Set("state", strings.Repeat("A", 43))
			return b.get(callback + "?" + answer.Encode())
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := s.browser()
			to, _ := b.leave("/corp/x", "corp")
			callback, _, answer, err := corp.SignIn(to)
			must(t, err)
			asked := corp.Exchanges()
			p := bring(b, callback, answer)
			refuses(t, p, flow.ErrOAuthState)
			b.nobody(t)
			if corp.Exchanges() != asked {
				t.Error("the code was taken to the provider")
			}
		})
	}
}

// The answer of one provider, brought with the state of another, opens nothing (RFC 9207).
func TestMixedUpProvidersOpenNothing(t *testing.T) {
	s, corp, _ := newCorp(t)
	attacker := s.idp(oauth.OIDC, "attacker")
	s.offer(patient, corp, attacker)
	b := s.browser()
	to, _ := b.leave("/corp/x", "attacker")
	callback, _, answer, err := attacker.SignIn(to)
	must(t, err)
	mine, _ := b.leave("/corp/x", "corp")
	_, _, right, err := corp.SignIn(mine)
	must(t, err)
	right.Set("state", answer.Get("state")) // the honest provider's code, for the attacker
	asked := attacker.Exchanges()
	refuses(t, b.get(callback+"?"+right.Encode()), flow.ErrOAuthRefused)
	b.nobody(t)
	if attacker.Exchanges() != asked {
		t.Error("the honest provider's code went to the attacker")
	}
}

// Of twenty equal answers at once, one signs in; later ones do not either.
func TestAnswerSignsInOnce(t *testing.T) {
	s, corp, _ := newCorp(t)
	b := s.browser()
	to, _ := b.leave("/corp/x", "corp")
	callback, _, answer, err := corp.SignIn(to)
	must(t, err)
	var copies []*browser
	var all sync.WaitGroup
	for range 20 {
		c := b.copy()
		copies = append(copies, c)
		all.Go(func() { c.get(callback + "?" + answer.Encode()) })
	}
	all.Wait()
	in := 0
	for _, c := range copies {
		if c.cookie() != "" {
			in++
		}
	}
	if in != 1 {
		t.Errorf("%d browsers are signed in", in)
	}
	refuses(t, b.get(callback+"?"+answer.Encode()), flow.ErrOAuthState)
	b.nobody(t)
}

// The identity of another user is told as such, and the session stays who it was (K, SPEC 6).
func TestForeignIdentityNeverSwitchesTheSession(t *testing.T) {
	s, corp, of := newCorp(t)
	u := s.user(bob, true)
	b := s.browser()
	b.signIn(bob)
	before := b.cookie()
	refuses(t, b.follow(b.connect(corp)), flow.ErrAnotherUser) // the provider says: alice
	if who, proven := b.who(); who != bob || !slices.Equal(proven, []string{"knowledge"}) || b.cookie() != before {
		t.Errorf("signed in as %s with %v", who, proven)
	}
	if got := s.reread(u).Identities; got != nil {
		t.Errorf("bob has %+v", got)
	}
	if got := s.reread(of).Identities; len(got) != 1 || got[0].Subject != "alice" {
		t.Errorf("alice has %+v", got)
	}
}

// Two tabs that go to a provider both end where they wanted to go.
func TestTwoTabsAtAProvider(t *testing.T) {
	for name, signedIn := range map[string]bool{"sign-in": false, "step-up": true} {
		t.Run(name, func(t *testing.T) {
			s, corp, _ := newCorp(t)
			b := s.browser()
			var to [2]string
			for i, path := range []string{"/corp/one", "/corp/two"} {
				if !signedIn {
					to[i], _ = b.leave(path, "corp")
					continue
				}
				if b.cookie() == "" {
					b.signIn(alice)
				}
				p := b.follow(b.get(path))
				p = b.post(p, "/.stepgate/challenge", url.Values{"action": {"start"}, "method": {"oauth:corp"}})
				to[i] = p.leads()
			}
			for _, i := range []int{1, 0} {
				if p := b.follow(b.back(corp, to[i])); p.body != "application: /corp/"+[]string{"one", "two"}[i] {
					t.Errorf("tab %d: %d %s", i, p.status, p.body)
				}
			}
		})
	}
}

// A tab that began before somebody signed in elsewhere adds no identity to that session, not
// even one that nobody has.
func TestTabFromBeforeTheSignInLinksNothing(t *testing.T) {
	s, corp, of := newCorp(t)
	u := s.user(bob, true)
	corp.Put("mallory", nil)
	b := s.browser()
	to, _ := b.leave("/two/x", "corp")
	b.signIn(bob)
	corp.As("mallory")
	asked := corp.Exchanges()
	p := b.follow(b.back(corp, to))
	if who, proven := b.who(); who != bob || len(proven) != 1 {
		t.Errorf("%s with %v", who, proven)
	}
	if got := s.reread(u).Identities; got != nil || len(s.reread(of).Identities) != 1 || corp.Exchanges() != asked {
		t.Errorf("linked %+v: %d %s", got, p.status, p.body)
	}
}

// Issuer and subject make an identity: the same subject and address at another provider are
// somebody else.
func TestSameSubjectElsewhereIsAnother(t *testing.T) {
	s, corp, u := newCorp(t)
	other := s.idp(oauth.OIDC, "other")
	other.Put("alice", map[string]any{"email_verified": false})
	s.offer(patient, corp, other)
	b := s.browser()
	refuses(t, b.through(other, "/corp/x"), flow.ErrIdentityUnknown)
	b.nobody(t)
	other.Put("alice", nil)
	if p := b.through(other, "/"); p.body != "application: /" {
		t.Fatalf("%d %s", p.status, p.body)
	}
	got := s.reread(u).Identities
	if len(got) != 2 || got[0].ID == got[1].ID || got[0].Issuer == got[1].Issuer {
		t.Errorf("%+v", got)
	}
	if p := b.follow(b.get("/corp/x")); strings.HasPrefix(p.body, "application") {
		t.Error("the other provider counts as corp")
	}
}

// An address that was registered here and never proven links nothing: whoever registered it
// would share the account.
func TestUnprovenAddressHereLinksNothing(t *testing.T) {
	s := newSite(t, nil)
	u := s.user(alice, false)
	corp := s.idp(oauth.OIDC, "corp")
	s.offer(patient, corp)
	b := s.browser()
	refuses(t, b.through(corp, "/corp/x"), flow.ErrIdentityUnknown)
	b.nobody(t)
	if got := s.reread(u); got.Identities != nil || got.Emails[0].Verified {
		t.Errorf("%+v", got)
	}
}

// Registration by a provider follows the rules of registration, and only a verified address
// counts.
func TestRegistrationByAProvider(t *testing.T) {
	for name, c := range map[string]struct {
		open     bool
		domains  []string
		verified bool
		want     bool
	}{
		"closed":         {false, nil, true, false},
		"open":           {true, nil, true, true},
		"of the domain":  {true, []string{"example.org"}, true, true},
		"of another":     {true, []string{"example.com"}, true, false},
		"not verified":   {true, nil, false, false},
		"no such domain": {true, []string{"org"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			s.config.Options.Registration = flow.Registration{Open: c.open, Domains: c.domains}
			corp := s.idp(oauth.OIDC, "corp")
			corp.Put("alice", map[string]any{"email_verified": c.verified})
			s.offer(patient, corp)
			b := s.browser()
			p := b.through(corp, "/corp/x")
			if !c.want {
				refuses(t, p, flow.ErrIdentityUnknown)
				b.nobody(t)
				if empty, err := s.accounts.Empty(t.Context()); err != nil || !empty {
					t.Errorf("there is an account: %v", err)
				}
				return
			}
			who, proven := b.who()
			if p.body != "application: /corp/x" || who != alice || !slices.Equal(proven, []string{"oauth_oidc"}) {
				t.Errorf("%s with %v: %d %s", who, proven, p.status, p.body)
			}
		})
	}
}

// A locked account stays locked whatever a provider says, and a provider that is no longer
// configured opens nothing.
func TestLockedAccountAndRemovedProvider(t *testing.T) {
	s, corp, u := newCorp(t)
	b := s.browser()
	to, _ := b.leave("/corp/x", "corp")
	must(t, s.Operator(false).Lock(t.Context(), u.ID))
	refuses(t, b.back(corp, to), flow.ErrIdentityUnknown)
	b.nobody(t)
	if got := s.reread(u); !got.Locked() {
		t.Error("the account is no longer locked")
	}
	must(t, s.Operator(false).Unlock(t.Context(), u.ID))
	to, _ = b.leave("/corp/x", "corp")
	s.offer(patient, s.idp(oauth.OIDC, "other"))
	for _, p := range []page{b.back(corp, to), b.get("/.stepgate/api/v1/oauth/corp/start")} {
		refuses(t, p, flow.ErrNotOffered)
	}
	b.nobody(t)
	if p := s.browser().follow(b.get("/")); strings.Contains(p.body, "oauth:corp") {
		t.Error("the page still offers it")
	}
}

// A link by a mailbox does not reach into a locked account either.
func TestLockedAccountIsNotLinked(t *testing.T) {
	s := newSite(t, nil)
	u := s.user(alice, true)
	must(t, s.Operator(false).Lock(t.Context(), u.ID))
	corp := s.idp(oauth.OIDC, "corp")
	s.offer(patient, corp)
	b := s.browser()
	refuses(t, b.through(corp, "/corp/x"), flow.ErrIdentityUnknown)
	b.nobody(t)
	if got := s.reread(u); got.Identities != nil || !got.Locked() {
		t.Errorf("%+v", got)
	}
}

// What a provider says of its own factors is none of ours.
func TestProviderIsOneFactor(t *testing.T) {
	s, corp, _ := newCorp(t)
	corp.Put("alice", map[string]any{"acr": "aal3", "amr": []string{"pwd", "otp", "hwk", "mfa"}, "auth_time": s.clock.Now().Unix()})
	b := s.browser()
	b.through(corp, "/corp/x")
	s.served.Store(0)
	if p := b.get("/two/x"); !strings.HasPrefix(p.header.Get("Location"), "/.stepgate/challenge?") || s.served.Load() != 0 {
		t.Errorf("%d %s", p.status, p.header.Get("Location"))
	}
	if who, proven := b.who(); who != alice || !slices.Equal(proven, []string{"oauth_oidc"}) {
		t.Errorf("%s with %v", who, proven)
	}
}

// A rule that wants a recent identity sends the person to prove it anew, and an old proof of
// the provider's does not count.
func TestRecentIdentity(t *testing.T) {
	s, corp, _ := newCorp(t)
	b := s.browser()
	b.through(corp, "/corp/x")
	s.clock.Advance(5*time.Minute + time.Millisecond)
	for _, c := range []struct {
		age  time.Duration
		want bool
	}{{6*time.Minute + time.Second, false}, {0, true}} {
		corp.Put("alice", map[string]any{"auth_time": s.clock.Now().Add(-c.age).Unix()})
		s.served.Store(0)
		p := b.follow(b.get("/fresh/x"))
		p = b.post(p, "/.stepgate/challenge", url.Values{"action": {"start"}, "method": {p.field("method")}})
		to, err := url.Parse(p.leads())
		must(t, err)
		if q := to.Query(); q.Get("max_age") != "300" || q.Get("prompt") != "login" {
			t.Fatalf("asked for %v: %s", q, p.body)
		}
		p = b.follow(b.back(corp, to.String()))
		if passed := p.body == "application: /fresh/x"; passed != c.want {
			t.Errorf("proven %s ago: %d %s", c.age, p.status, p.body)
		}
		if !c.want {
			refuses(t, p, flow.ErrOAuthRefused)
		}
	}
}

// A provider may change its keys at any time, and its clock may be off by the leeway.
func TestKeysAndClocksOfAProvider(t *testing.T) {
	s, corp, _ := newCorp(t)
	for range 2 {
		if p := s.browser().through(corp, "/corp/x"); p.status != http.StatusOK {
			t.Fatalf("%d %s", p.status, p.body)
		}
		must(t, corp.Rotate())
	}
	for _, c := range []struct {
		ahead, leeway time.Duration
		want          bool
	}{
		{50 * time.Second, 0, true}, {70 * time.Second, 0, false}, {70 * time.Second, 2 * time.Minute, true},
		{-5 * time.Minute, 0, true}, {-7 * time.Minute, 0, false},
	} {
		corp.ahead, corp.config.Leeway = c.ahead, c.leeway
		s.offer(patient, corp)
		p := s.browser().through(corp, "/corp/x")
		if passed := p.body == "application: /corp/x"; passed != c.want {
			t.Errorf("%s ahead with %s: %d %s", c.ahead, c.leeway, p.status, p.body)
		}
	}
}

// Another site cannot begin a sign-in: it could have put its own identity into the browser
// before.
func TestOtherSitesBeginNothing(t *testing.T) {
	s, corp, _ := newCorp(t)
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 303, "none": 303} {
		p := s.browser().get("/.stepgate/api/v1/oauth/"+corp.config.Name+"/start", "Sec-Fetch-Site", site)
		if p.status != want || (want == 403) != (p.header.Get("Location") == "") {
			t.Errorf("%s: %d %s", site, p.status, p.header.Get("Location"))
		}
	}
}
