package flow

import (
	"errors"
	"testing"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/recovery"
	"github.com/stepgate/stepgate/factors/totp"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
)

// products are all that can be proven.
var products = []factors.Product{
	factors.Password, factors.MagicLink, factors.EmailOTP, factors.SMSOTP, factors.WhatsAppOTP, factors.OAuth,
	factors.TOTP, factors.RecoveryCode, factors.WebAuthn, factors.CryptoWallet,
}

// owner has one credential of every kind; credential is the id of that of a product.
func (h *house) owner(email string) account.User {
	h.t.Helper()
	u := h.user(email, true)
	h.edit(u.ID, func(u *account.User) {
		u.Phones = []account.Phone{{ID: "phone-" + email, Number: "+442079460018"}}
		u.Identities = []account.Identity{{ID: "identity-" + email, Provider: "corp", Issuer: "https://id.test", Subject: email}}
		u.TOTP = &totp.Credential{ID: "totp-" + email}
		u.Recovery = &recovery.Set{Codes: []recovery.Code{{ID: "recovery-code-" + email}}}
		u.Keys = []webauthn.Credential{{ID: "key-" + email, RPID: "app.test", Discoverable: true, UserVerified: true}}
		u.Wallets = []account.Wallet{{ID: "wallet-" + email, Chain: "ethereum"}}
	})
	return must(h.Operator(false).Find(h.t.Context(), u.ID))
}

func credential(u *account.User, p factors.Product) string {
	email := u.Emails[0].Address
	switch p {
	case factors.Password:
		return account.PasswordID(u.ID)
	case factors.MagicLink, factors.EmailOTP:
		return u.Emails[0].ID
	case factors.SMSOTP, factors.WhatsAppOTP:
		return "phone-" + email
	case factors.OAuth:
		return "identity-" + email
	case factors.TOTP:
		return "totp-" + email
	case factors.RecoveryCode:
		return "recovery-code-" + email
	case factors.WebAuthn:
		return "key-" + email
	case factors.CryptoWallet:
		return "wallet-" + email
	}
	return ""
}

// prove hands a verified proof to the one door.
func (h *house) prove(v Visitor, id string, p factors.Product) (Result, error) {
	h.t.Helper()
	u, rev, err := h.accounts.Get(h.t.Context(), id)
	ok(h.t, err)
	proof := factors.Proof{Product: p, UserID: id, CredentialID: credential(&u, p), AuthenticatedAt: h.clock.Now()}
	if p == factors.WebAuthn {
		proof.UserVerified, proof.Discoverable = true, true
	}
	return h.AddProof(h.t.Context(), v, account.Attempt{}, candidateOf(u, rev, proof))
}

func newMatrix(t *testing.T) *house {
	h := newHouse(t)
	o := h.opts
	o.Offered = append([]factors.Product{factors.Passkey}, products...)
	o.Primary = o.Offered
	h.opts = o
	return h
}

// Whatever the first step is, the session holds exactly that proof, changes nothing, opens
// nothing that asks for more, and nobody else's door.
func TestAfterTheFirstStep(t *testing.T) {
	h := newMatrix(t)
	u, other := h.owner("alice@example.com"), h.owner("bob@example.com")
	h.edit(u.ID, func(u *account.User) { u.Groups = []string{account.AdminGroup} })
	for _, first := range products {
		r, err := h.prove(anon(), u.ID, first)
		if !first.MayStart() {
			refused(t, err, ErrSequence)
			continue
		}
		ok(t, err)
		v := as(r)
		if fs := r.Session.Factors; len(fs) != 1 || fs[0].Product != first || fs[0].SequenceOrder != "PRIMARY" {
			t.Errorf("%s: the session holds %+v", first, fs)
		}
		if requirement(t, `{"factors":2}`).MetBy(r.Session.Subject(), h.clock.Now()) {
			t.Errorf("%s: one proof is two factors", first)
		}
		var e *Error
		if err := h.MayChange(t.Context(), v); !errors.As(err, &e) || e.Required == nil {
			t.Errorf("%s: factors may be changed: %v", first, err)
		}
		if _, err := h.Administrator(t.Context(), v); !errors.Is(err, ErrAdminProof) {
			t.Errorf("%s: administers: %v", first, err)
		}
		for _, second := range products {
			if !requirement(t, `"`+string(second)+`"`).MetBy(r.Session.Subject(), h.clock.Now()) != (second != first) {
				t.Errorf("after %s: %s counts", first, second)
			}
			_, err := h.prove(v, other.ID, second)
			refused(t, err, ErrAnotherUser)
		}
	}
}

// Every pair of proofs in one session, in both orders: two factors exactly when they prove
// different things, the first PRIMARY, the second SECONDARY.
func TestEveryPairOfProofs(t *testing.T) {
	h := newMatrix(t)
	u := h.owner("alice@example.com")
	for _, first := range products {
		if !first.MayStart() {
			continue
		}
		for _, second := range products {
			r, err := h.prove(anon(), u.ID, first)
			ok(t, err)
			r, err = h.prove(as(r), u.ID, second)
			ok(t, err)
			fs := r.Session.Factors
			if second == first {
				if len(fs) != 1 {
					t.Errorf("%s twice is %d factors", first, len(fs))
				}
				continue
			}
			if len(fs) != 2 || fs[0].SequenceOrder != "PRIMARY" || fs[1].SequenceOrder != "SECONDARY" || fs[1].Product != second {
				t.Errorf("%s, %s: %+v", first, second, fs)
			}
			a, b := policy.CategoryOf(string(first)), policy.CategoryOf(string(second))
			reset := a == policy.Knowledge && b == policy.EmailOrAccount || a == policy.EmailOrAccount && b == policy.Knowledge
			want := a != b && !reset
			if got := requirement(t, `{"factors":2}`).MetBy(r.Session.Subject(), h.clock.Now()); got != want {
				t.Errorf("%s, %s: two factors %v", first, second, got)
			}
		}
	}
}
