package webauthn_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// An assertion with one fault proves nothing.
func TestFaultyAuthentications(t *testing.T) {
	faults := clientFaults()
	for name, f := range map[string]fault{
		"a registration's type":         client("type", "webauthn.create"),
		"nobody was verified":           without(webauthntest.UserVerified),
		"suddenly to be backed up":      set(webauthntest.BackupEligible),
		"suddenly backed up":            set(webauthntest.BackupEligible | webauthntest.BackedUp),
		"a key announced and missing":   set(webauthntest.Attested),
		"no data":                       send(func(r *webauthntest.Response) { r.AuthenticatorData = nil }),
		"data changed after signing":    send(func(r *webauthntest.Response) { r.AuthenticatorData[36] = 9 }),
		"no signature":                  send(func(r *webauthntest.Response) { r.Signature = nil }),
		"an empty signature":            send(func(r *webauthntest.Response) { r.Signature = []byte{} }),
		"a wrong signature":             send(func(r *webauthntest.Response) { r.Signature[len(r.Signature)-1] ^= 1 }),
		"a signature of zeros":          send(func(r *webauthntest.Response) { r.Signature = []byte{0x30, 6, 2, 1, 0, 2, 1, 0} }),
		"a signature with bytes after":  send(func(r *webauthntest.Response) { r.Signature = append(r.Signature, 0) }),
		"a signature as two numbers":    send(func(r *webauthntest.Response) { r.Signature = make([]byte, 64) }),
		"a user handle of somebody":     send(func(r *webauthntest.Response) { r.Handle = bob.Handle }),
		"a user handle with more in it": send(func(r *webauthntest.Response) { r.Handle = append(bytes.Clone(r.Handle), 0) }),
		"a user handle cut short":       send(func(r *webauthntest.Response) { r.Handle = r.Handle[:31] }),
		"an object in its place": send(func(r *webauthntest.Response) {
			r.AttestationObject, r.AuthenticatorData, r.Signature = []byte{0xa0}, nil, nil
		}),
	} {
		faults[name] = f
	}
	a := passkey()
	c := enrolled(t, a)
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			_, err := newAuthentication(webauthn.Options{}, c).run(t, a, f)
			refused(t, err)
		})
	}
	if _, err := newAuthentication(webauthn.Options{}, c).run(t, a); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
}

// A key that can be copied to other devices cannot stop being one.
func TestBackupEligibilityStays(t *testing.T) {
	a := passkey()
	a.BackupEligible = true
	c := enrolled(t, a)
	_, err := newAuthentication(webauthn.Options{}, c).run(t, a, without(webauthntest.BackupEligible))
	refused(t, err)
	a.BackedUp = true // may come and go
	assertion, err := newAuthentication(webauthn.Options{}, c).run(t, a)
	ok(t, err)
	if !assertion.Credential.BackedUp || !assertion.Credential.BackupEligible {
		t.Errorf("%+v", assertion.Credential)
	}
}

// A sound assertion counts for the credential, the user, the site and the challenge that it was
// made for, and for nothing else.
func TestAuthenticationForSomethingElse(t *testing.T) {
	a := passkey()
	c := enrolled(t, a)
	other := enrolled(t, passkey())
	for name, change := range map[string]func(*authentication){
		"another challenge":            func(n *authentication) { n.checked.challenge = registering },
		"a host beside":                func(n *authentication) { n.checked.rp.Origin = "https://wiki.example.com" },
		"a browser elsewhere":          func(n *authentication) { n.browser = "https://wiki.example.com" },
		"another credential":           func(n *authentication) { n.credential = other },
		"the id of it, another's key":  func(n *authentication) { n.credential.PublicKey = other.PublicKey },
		"the key of it, another's id":  func(n *authentication) { n.credential.RawID = other.RawID },
		"another user":                 func(n *authentication) { n.handle = bob.Handle },
		"a user without a handle":      func(n *authentication) { n.handle = nil },
		"a credential of another site": func(n *authentication) { n.credential.RPID = "app.example.org" },
		"a key that cannot be read":    func(n *authentication) { n.credential.PublicKey = []byte{0xa0} },
		"no key":                       func(n *authentication) { n.credential.PublicKey = nil },
	} {
		n := newAuthentication(webauthn.Options{}, c)
		change(n)
		if _, err := n.run(t, a); err == nil {
			t.Errorf("%s: proven", name)
		}
	}
	n := newAuthentication(webauthn.Options{}, c)
	n.asked.verifyUser, n.checked.verifyUser = false, true
	a.Verifies = false
	if _, err := n.run(t, a); !errors.Is(err, factors.ErrIncorrect) {
		t.Errorf("verification demanded and not given: %v", err)
	}
	n.checked.verifyUser = false
	assertion, err := n.run(t, a)
	if err != nil || assertion.UserVerified {
		t.Errorf("verification neither demanded nor given: %v %v", assertion.UserVerified, err)
	}
}

// A counter that does not grow means a copied key, unless the key may be copied or
// never counted.
func TestSignatureCounter(t *testing.T) {
	for name, c := range map[string]struct {
		stored, sent uint32
		synced       bool
		cloned       bool
		after        uint32
	}{
		"grows":                         {stored: 5, sent: 6, after: 6},
		"leaps":                         {stored: 5, sent: 1 << 31, after: 1 << 31},
		"never counted":                 {stored: 0, sent: 0},
		"begins to count":               {stored: 0, sent: 1, after: 1},
		"stands still":                  {stored: 5, sent: 5, cloned: true},
		"goes back":                     {stored: 5, sent: 4, cloned: true},
		"goes back to zero":             {stored: 5, sent: 0, cloned: true},
		"goes back, but may be copied":  {stored: 5, sent: 4, synced: true, after: 5},
		"wraps round at its very limit": {stored: 1<<32 - 1, sent: 0, cloned: true},
	} {
		a := passkey()
		a.BackupEligible = c.synced
		credential := enrolled(t, a)
		credential.SignCount = c.stored
		assertion, err := newAuthentication(webauthn.Options{}, credential).run(t, a, sign(func(s *webauthntest.Statement) { s.Count = c.sent }))
		if errors.Is(err, webauthn.ErrCloned) != c.cloned || !c.cloned && (err != nil || assertion.Credential.SignCount != c.after) {
			t.Errorf("%s: %v, counter %d", name, err, assertion.Credential.SignCount)
		}
	}
}
