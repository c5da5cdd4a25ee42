package oauth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/factors/oauth"
)

// What an ID token does not tell of the person comes from userinfo, plain or signed, found by
// discovery or configured.
func TestUserInfo(t *testing.T) {
	for name, change := range map[string]func(w *world, c *oauth.Config){
		"discovered": func(*world, *oauth.Config) {},
		"signed":     func(w *world, _ *oauth.Config) { w.Sign() },
		"manual": func(w *world, c *oauth.Config) {
			c.AuthURL, c.TokenURL, c.JWKSURL = w.URL()+"/authorize", w.URL()+"/token", w.URL()+"/jwks"
			c.UserInfoURL = w.URL() + "/userinfo"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, oauth.OIDC, jose.ES256)
			w.Put("alice", map[string]any{"groups": []string{"staff"}, "dept": "R&D", "secret": "not mapped"})
			w.Withhold("email", "email_verified", "name", "groups", "dept")
			got, err := w.signIn(w.client(func(c *oauth.Config) {
				c.GroupsClaim, c.Claims, c.Domains = "groups", []string{"dept"}, []string{"example.org"}
				change(w, c)
			}))
			must(t, err)
			want := oauth.Identity{
				Issuer: w.URL(), Subject: "alice", Email: "alice@example.org", EmailVerified: true, Name: "Alice",
				Groups: []string{"staff"}, Claims: map[string]any{"dept": "R&D"},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if f := w.Fetched(); f != nil || w.UserInfos() != 1 {
				t.Errorf("fetched %q; asked %d times", f, w.UserInfos())
			}
		})
	}
}

// A provider whose ID token tells what is needed is not asked further, nor is one without
// userinfo; then nothing that is wrong with userinfo matters.
func TestUserInfoIsAskedWhenNeeded(t *testing.T) {
	manual := func(w *world, c *oauth.Config) {
		c.AuthURL, c.TokenURL, c.JWKSURL = w.URL()+"/authorize", w.URL()+"/token", w.URL()+"/jwks"
	}
	for name, c := range map[string]struct {
		kind     string
		withheld []string
		change   func(*world, *oauth.Config)
		want     int
	}{
		"all is told":               {oauth.OIDC, nil, nil, 0},
		"groups are told":           {oauth.OIDC, nil, func(_ *world, c *oauth.Config) { c.GroupsClaim = "groups" }, 0},
		"groups are not mapped":     {oauth.OIDC, []string{"groups"}, nil, 0},
		"no name":                   {oauth.OIDC, []string{"name"}, nil, 0},
		"no email_verified":         {oauth.OIDC, []string{"email_verified"}, nil, 0},
		"no acr":                    {oauth.OIDC, nil, func(_ *world, c *oauth.Config) { c.Claims = []string{"acr", "amr", "auth_time", "sid"} }, 0},
		"no e-mail":                 {oauth.OIDC, []string{"email"}, nil, 1},
		"groups lack":               {oauth.OIDC, []string{"groups"}, func(_ *world, c *oauth.Config) { c.GroupsClaim = "groups" }, 1},
		"a claim lacks":             {oauth.OIDC, []string{"dept"}, func(_ *world, c *oauth.Config) { c.Claims = []string{"dept"} }, 1},
		"no userinfo":               {oauth.OIDC, []string{"email"}, manual, 0},
		"Google tells in the token": {oauth.Google, []string{"email"}, nil, 0},
		"Microsoft likewise":        {oauth.Microsoft, []string{"email"}, nil, 0},
		"Apple likewise":            {oauth.Apple, []string{"email"}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.kind, jose.ES256)
			w.Put("alice", map[string]any{"groups": []string{"staff"}, "dept": "R&D"})
			w.Withhold(c.withheld...)
			_, err := w.signIn(w.client(func(conf *oauth.Config) {
				if c.change != nil {
					c.change(w, conf)
				}
			}))
			must(t, err)
			if got := w.UserInfos(); got != c.want {
				t.Errorf("asked %d times, want %d", got, c.want)
			}
		})
	}
}

// Userinfo says who a person is, never how or when they proved it; and what the ID token says
// holds.
func TestUserInfoIsNoProof(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	w.Put("alice", map[string]any{
		"acr": "high", "amr": []string{"pwd", "otp"}, "auth_time": start.Unix(), "dept": "R&D", "sid": "s", "nonce": "n",
	})
	w.Withhold("email", "email_verified", "acr", "amr", "auth_time", "sid")
	mapped := func(c *oauth.Config) { c.Claims = []string{"acr", "amr", "auth_time", "sid", "dept"} }
	got, err := w.signIn(w.client(mapped))
	must(t, err)
	want := oauth.Identity{
		Issuer: w.URL(), Subject: "alice", Email: "alice@example.org", EmailVerified: true, Name: "Alice", Claims: map[string]any{"dept": "R&D"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := w.signIn(w.client(func(c *oauth.Config) { c.ACRValues = []string{"high"} })); !errors.Is(err, oauth.ErrRefused) {
		t.Errorf("acr of userinfo was taken: %v", err)
	}
	p := w.client(nil)
	a, answer := w.answer(p, time.Minute)
	if _, err := p.Finish(context.Background(), start, a, answer); !errors.Is(err, oauth.ErrRefused) {
		t.Errorf("auth_time of userinfo was taken: %v", err)
	}
}

// An address and whether it is verified come from one place: one of the token is not verified by
// what userinfo says. The other way round is one of the faults.
func TestUserInfoVerifiesNoOtherAddress(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	w.Withhold("email_verified", "dept")
	w.Put("alice", map[string]any{"dept": "R&D"})
	got, err := w.signIn(w.client(func(c *oauth.Config) { c.Claims = []string{"dept", "email_verified"} }))
	must(t, err)
	if got.Email == "" || got.EmailVerified || got.Claims["dept"] != "R&D" {
		t.Errorf("the address of the token is verified by userinfo: %+v", got)
	}
}

// A signed userinfo is verified by the keys of the day.
func TestSignedUserInfoAfterRotation(t *testing.T) {
	w := newWorld(t, oauth.OIDC, jose.ES256)
	w.Sign()
	w.Withhold("email")
	p := w.client(nil)
	for range 3 {
		_, err := w.signIn(p)
		must(t, err)
		must(t, w.Rotate())
	}
}
