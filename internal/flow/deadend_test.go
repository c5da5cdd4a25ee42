package flow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/recovery"
	"github.com/stepgate/stepgate/factors/totp"
	"github.com/stepgate/stepgate/factors/wallet"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
)

const (
	accepted = "00000000-0000-0000-0000-00000000000a"
	other    = "00000000-0000-0000-0000-00000000000b"
)

// shapesOfUsers are users by what they have beside a password.
var shapesOfUsers = map[string]func(*account.User){
	"nothing else":  func(*account.User) {},
	"unverified":    func(u *account.User) { u.Emails[0].Verified = false },
	"no mailbox":    func(u *account.User) { u.Emails = nil },
	"app":           func(u *account.User) { u.TOTP = &totp.Credential{ID: "totp-1"} },
	"app and codes": func(u *account.User) { u.TOTP, u.Recovery = &totp.Credential{ID: "totp-1"}, &recovery.Set{} },
	"phone":         func(u *account.User) { u.Phones = []account.Phone{{ID: "phone-1", Number: "+441632960001"}} },
	"wallet":        func(u *account.User) { u.Wallets = []account.Wallet{{ID: "wallet-1", Chain: "solana"}} },
	"phone and wallet": func(u *account.User) {
		u.Phones = []account.Phone{{ID: "phone-1", Number: "+441632960001"}}
		u.Wallets = []account.Wallet{{ID: "wallet-1", Chain: "solana"}}
	},
	"plain key":    key(webauthn.Credential{Attachment: "cross-platform", AAGUID: other}),
	"synced":       key(webauthn.Credential{Attachment: "platform", UserVerified: true, Discoverable: true, BackupEligible: true, AAGUID: other}),
	"bound":        key(webauthn.Credential{Attachment: "cross-platform", UserVerified: true, Discoverable: true, AAGUID: accepted}),
	"another site": key(webauthn.Credential{RPID: "other.test", UserVerified: true, Discoverable: true, AAGUID: accepted}),
	"synced, bound": func(u *account.User) {
		key(webauthn.Credential{ID: "key-2", Attachment: "platform", UserVerified: true, Discoverable: true, BackupEligible: true, AAGUID: other})(u)
		key(webauthn.Credential{Attachment: "cross-platform", UserVerified: true, Discoverable: true, AAGUID: accepted})(u)
	},
}

// key adds a WebAuthn credential, on the site of the tests unless it names another.
func key(k webauthn.Credential) func(*account.User) {
	if k.ID == "" {
		k.ID = "key-1"
	}
	if k.RPID == "" {
		k.RPID = "app.test"
	}
	return func(u *account.User) { u.Keys = append(u.Keys, k) }
}

var kindsOfRequirements = []string{
	`"password"`, `"magic_link"`, `"email_otp"`, `"sms_otp"`, `"totp"`, `"recovery_code"`, `"webauthn"`, `"passkey"`,
	`"crypto_wallet"`, `"crypto_wallet:solana"`, `"crypto_wallet:ethereum"`, `"oauth"`, `"oauth:corp"`, `"whatsapp_otp"`,
	`"signed_in"`, `{"all_of":["signed_in"],"max_age":"1m"}`, `"mfa"`, `"aal2"`, `"aal3"`, `"phishing_resistant"`,
	`{"factors":1,"max_age":"1m"}`, `{"factors":2,"max_age":"1m"}`, `{"factors":3}`, `{"factors":3,"max_age":"1m"}`, `{"factors":4}`, `{"factors":4,"max_age":"1m"}`,
	`{"factor":"totp","recovery":false}`, `{"factor":"totp","once":true,"rule":"pay"}`, `{"factors":2,"remember_device":"24h"}`,
	`{"factor":"webauthn","aaguid":["` + accepted + `"]}`, `{"factor":"passkey","attachment":"platform"}`, `{"factor":"webauthn","user_verification":"required"}`,
	`{"all_of":["password","totp",{"factor":"passkey","max_age":"1m"}]}`, `{"any_of":["whatsapp_otp",{"all_of":["password","passkey"]}]}`,
	`{"all_of":[{"any_of":["totp","sms_otp"]},{"any_of":["webauthn","crypto_wallet"]}]}`,
	`{"all_of":[{"factors":3,"max_age":"1m"},{"factor":"webauthn","aaguid":["` + accepted + `"]}]}`, `{"any_of":["whatsapp_otp","oauth:corp"]}`,
	longList(`"totp"`), longList(`"whatsapp_otp"`), `{"all_of":[` + longList(`"passkey"`) + `,{"factors":3,"max_age":"1m"}]}`,
}

// longList is a requirement with more alternatives than a flow lists, of which the last is of use.
func longList(last string) string {
	var parts []string
	for i := range 2 * maxMissing {
		parts = append(parts, fmt.Sprintf(`"oauth:p%d"`, i))
	}
	return `{"any_of":[` + strings.Join(append(parts, last), ",") + `]}`
}

// Whatever a rule asks of whomever, the challenge has a way out that really leads out: factors
// that the user has and that are enough, or factors that can be set up here and would be. Only
// where nothing that is offered would be enough, it has none.
func TestNoChallengeIsADeadEnd(t *testing.T) {
	h := newHouse(t)
	// WhatsApp and identity providers are not offered here.
	h.opts.Offered = []factors.Product{
		factors.Password, factors.EmailOTP, factors.MagicLink, factors.SMSOTP, factors.TOTP, factors.WebAuthn, factors.Passkey, factors.CryptoWallet,
	}
	h.opts.Chains = []wallet.Chain{"solana"}
	ways := make(map[string]int)
	for shape, change := range shapesOfUsers {
		mail := strings.NewReplacer(" ", "-", ",", "").Replace(shape) + "@example.com"
		id := h.user(mail, true).ID
		v := as(h.signIn(mail))
		h.edit(id, change)
		h.clock.Advance(2 * time.Minute)
		u, _, err := h.accounts.Get(t.Context(), id)
		ok(t, err)
		can := h.provable(v, &u)
		for _, text := range kindsOfRequirements {
			required := parsed(t, text)
			progress, err := h.Need(t.Context(), v, required)
			ok(t, err)
			way := h.wayOut(t, shape+": "+text, required, v.Session.Subject().Factors, can, progress)
			ways[way]++
		}
	}
	if ways["met"] == 0 || ways["enrolled"] == 0 || ways["to set up"] == 0 || ways["none"] == 0 {
		t.Errorf("the table is one-sided: %v", ways)
	}
}

// wayOut demands the right way out, and that it leads out.
func (h *house) wayOut(t *testing.T, name string, required *policy.Requirement, proven, can []policy.Factor, progress Progress) string {
	t.Helper()
	now := h.clock.Now()
	if progress.Satisfied {
		if !required.Met(proven, now) {
			t.Errorf("%s: said to be met", name)
		}
		return "met"
	}
	enrolled := false
	for _, set := range progress.Missing {
		if !set.Enrolled() {
			continue
		}
		enrolled = true
		h.leadsOut(t, name, required, proven, can, progress, set)
	}
	all := slices.Concat(proven, can)
	if want := len(required.Lacks(all)) == 0; want != enrolled {
		t.Errorf("%s: what the user has is enough: %v; the challenge says %v", name, want, enrolled)
	}
	if enrolled {
		return "enrolled"
	}
	toSetUp := slices.ContainsFunc(progress.Missing, func(set Missing) bool {
		return !slices.ContainsFunc(set, func(m MissingFactor) bool { return !m.Enrolled && !progress.offers(m.Factor) })
	})
	if want := len(required.Lacks(slices.Concat(all, everythingOffered()))) == 0; want != toSetUp {
		t.Errorf("%s: what could be set up is enough: %v; the challenge says %v: %+v", name, want, toSetUp, progress.Missing)
	}
	if toSetUp {
		return "to set up"
	}
	return "none"
}

// leadsOut proves each factor of a set with each credential that the challenge names for it.
func (h *house) leadsOut(t *testing.T, name string, required *policy.Requirement, proven, can []policy.Factor, progress Progress, set Missing) {
	t.Helper()
	after := slices.Clone(proven)
	for _, m := range set {
		i := slices.IndexFunc(progress.Options, func(o Option) bool { return o.Factor == m.Factor && o.Enrolled })
		if i < 0 || len(progress.Options[i].Credentials) == 0 {
			t.Errorf("%s: %s is asked for and not offered: %+v", name, m.Factor, progress.Options)
			return
		}
		for _, f := range can {
			if f.ID != progress.Options[i].Credentials[0].ID {
				continue
			}
			f.At = h.clock.Now()
			for _, rule := range append(required.OnceFor(f), "") {
				f.ForRule = rule
				after = append(after, f)
			}
		}
	}
	if !required.Met(after, h.clock.Now()) {
		t.Errorf("%s: not met after proving %+v", name, set)
	}
}

func (p Progress) offers(factor string) bool {
	return slices.ContainsFunc(p.Options, func(o Option) bool { return o.Factor == factor })
}

// everythingOffered is what somebody could have who set everything up that is offered.
func everythingOffered() []policy.Factor {
	return []policy.Factor{
		{Name: "password"}, {Name: "email_otp"}, {Name: "magic_link"}, {Name: "sms_otp"}, {Name: "totp"}, {Name: "recovery_code"},
		{Name: "crypto_wallet", Variant: "solana"},
		{Name: "webauthn", UserVerified: true, Discoverable: true, Attachment: "platform", AAGUID: accepted},
		{Name: "webauthn", UserVerified: true, Discoverable: true, Attachment: "cross-platform", AAGUID: accepted},
	}
}

// The id of a flow fits a URL: an address that is too long is left out, and a requirement that
// is too long is an error at the beginning, not a page that cannot be found.
func TestAFlowFitsAURL(t *testing.T) {
	h := newHouse(t)
	long := "/" + strings.Repeat("a", 3900)
	var models []string
	for i := range 52 {
		models = append(models, fmt.Sprintf(`"00000000-0000-0000-0000-%012d"`, i))
	}
	many := `{"factor":"webauthn","aaguid":[` + strings.Join(models, ",") + `]}`
	for name, c := range map[string]struct{ p, want Pending }{
		"short":        {Pending{Return: "/a?b=c"}, Pending{Return: "/a?b=c"}},
		"empty":        {Pending{}, Pending{Return: "/"}},
		"long query":   {Pending{Return: "/a?b=" + long + long}, Pending{Return: "/a"}},
		"long path":    {Pending{Return: long + long}, Pending{Return: "/"}},
		"both":         {Pending{Return: long + "?" + strings.Repeat("b", 190), Required: many}, Pending{Return: long, Required: many}},
		"with another": {Pending{Return: long, Required: many, Window: strings.Repeat("w", 2500)}, Pending{Return: "/", Required: many, Window: strings.Repeat("w", 2500)}},
	} {
		c.p.Host, c.want.Host = "app.test", "app.test"
		id, err := h.Begin(c.p)
		ok(t, err)
		if len(id) > maxPendingID {
			t.Errorf("%s: %d bytes", name, len(id))
		}
		got, err := h.Pending(anon(), "app.test", id)
		ok(t, err)
		if got.Return != c.want.Return || got.Required != c.want.Required || got.Window != c.want.Window {
			t.Errorf("%s: comes back to %.20s (%d bytes)", name, got.Return, len(got.Return))
		}
	}
	_, err := h.Begin(Pending{Host: "app.test", Required: strings.Repeat(many, 5)})
	if err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("a requirement of %d bytes: %v", 5*len(many), err)
	}
}
