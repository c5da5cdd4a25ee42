package webauthn_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
)

// What a credential is, and what each use of it shows, is what the authenticator said.
func TestCeremonies(t *testing.T) {
	for name, c := range map[string]struct {
		authenticator webauthntest.Authenticator
		kind          webauthn.Kind
		want          webauthn.Credential
	}{
		"passkey that stays on the device": {
			webauthntest.Authenticator{Verifies: true, Attachment: "platform", Transports: []string{"internal"}}, webauthn.Passkey,
			webauthn.Credential{Attachment: "platform", Discoverable: true, UserVerified: true, Transports: []string{"internal"}},
		},
		"synced passkey with EdDSA": {
			webauthntest.Authenticator{Verifies: true, BackupEligible: true, BackedUp: true, Algorithm: webauthntest.EdDSA}, webauthn.Passkey,
			webauthn.Credential{Discoverable: true, UserVerified: true, BackupEligible: true, BackedUp: true},
		},
		"security key that counts": {
			webauthntest.Authenticator{Counts: true, Attachment: "cross-platform", Transports: []string{"usb", "nfc"}, Model: [16]byte{7, 15: 1}}, webauthn.SecurityKey,
			webauthn.Credential{Attachment: "cross-platform", Transports: []string{"usb", "nfc"}, AAGUID: "07000000-0000-0000-0000-000000000001"},
		},
		"RSA": {
			webauthntest.Authenticator{Algorithm: webauthntest.RS256}, webauthn.AnyKind, webauthn.Credential{},
		},
		"self attestation that nobody asked for": {
			webauthntest.Authenticator{SelfAttests: true, Model: [16]byte{1}}, webauthn.AnyKind,
			webauthn.Credential{AAGUID: "01000000-0000-0000-0000-000000000000"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.authenticator
			got, err := newRegistration(webauthn.Options{}, c.kind).run(t, &a)
			ok(t, err)
			if got.Attachment != c.want.Attachment || got.Discoverable != c.want.Discoverable || got.UserVerified != c.want.UserVerified ||
				got.BackupEligible != c.want.BackupEligible || got.BackedUp != c.want.BackedUp || got.AAGUID != c.want.AAGUID ||
				got.Attested || !slices.Equal(got.Transports, c.want.Transports) || got.RPID != site.ID || !got.CreatedAt.Equal(noon) {
				t.Errorf("registered %+v", got)
			}
			for use := range uint32(3) {
				n := newAuthentication(webauthn.Options{}, got)
				n.asked.verifyUser, n.checked.verifyUser = a.Verifies, a.Verifies
				assertion, err := n.run(t, &a)
				ok(t, err)
				if assertion.UserVerified != a.Verifies {
					t.Errorf("verified: %v", assertion.UserVerified)
				}
				got = assertion.Credential
				if a.Counts && got.SignCount != use+1 || !got.LastUsedAt.Equal(noon) {
					t.Errorf("after use: %+v", got)
				}
			}
		})
	}
}

// The options ask for what SPEC and standard want of each kind.
func TestOptions(t *testing.T) {
	v := webauthn.New(webauthn.Options{})
	type creation struct {
		Challenge, Attestation string
		User                   struct{ ID, Name string }
		PubKeyCredParams       []struct{ Alg int }
		ExcludeCredentials     []struct{ ID string }
		Hints                  []string
		AuthenticatorSelection struct{ ResidentKey, UserVerification, AuthenticatorAttachment string }
	}
	for kind, want := range map[webauthn.Kind][3]string{
		webauthn.Passkey:     {"required", "required", ""},
		webauthn.SecurityKey: {"preferred", "preferred", "cross-platform"},
		webauthn.AnyKind:     {"preferred", "preferred", ""},
	} {
		b, err := v.RegistrationOptions(site, alice, kind, registering, []webauthn.Credential{{RawID: []byte("known")}})
		ok(t, err)
		var o creation
		ok(t, json.Unmarshal(b, &o))
		s := o.AuthenticatorSelection
		if got := [3]string{s.ResidentKey, s.UserVerification, s.AuthenticatorAttachment}; got != want {
			t.Errorf("%q: %v", kind, got)
		}
		if o.Attestation != "none" || len(o.PubKeyCredParams) != 3 || len(o.ExcludeCredentials) != 1 {
			t.Errorf("%q: %s", kind, b)
		}
	}
	b, err := v.AuthenticationOptions(site, authenticating, nil, true)
	ok(t, err)
	var o struct {
		RPID, UserVerification string
		Timeout                int64
		AllowCredentials       []any
	}
	ok(t, json.Unmarshal(b, &o))
	if o.RPID != site.ID || o.UserVerification != "required" || o.Timeout != webauthn.Life.Milliseconds() || o.AllowCredentials != nil {
		t.Errorf("%s", b)
	}
}
