package webauthn_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
)

var (
	noon  = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)
	site  = webauthn.RelyingParty{ID: "app.example.com", Origin: "https://app.example.com", Name: "Example"}
	alice = webauthn.User{Handle: bytes.Repeat([]byte{'a'}, webauthn.HandleSize), Name: "alice@example.com", DisplayName: "Alice"}
	bob   = webauthn.User{Handle: bytes.Repeat([]byte{'b'}, webauthn.HandleSize), Name: "bob@example.com", DisplayName: "Bob"}

	registering    = bytes.Repeat([]byte{'r'}, 32)
	authenticating = bytes.Repeat([]byte{'s'}, 32)
)

// registration is one registration, each part of which a test can change.
type registration struct {
	verifier *webauthn.Verifier
	kind     webauthn.Kind
	// asked is what the browser is asked, checked what the answer is held against.
	asked, checked struct {
		rp        webauthn.RelyingParty
		user      webauthn.User
		challenge []byte
		exclude   []webauthn.Credential
	}
	// browser is the origin that the browser is at.
	browser string
}

func newRegistration(o webauthn.Options, kind webauthn.Kind) *registration {
	r := &registration{verifier: webauthn.New(o), kind: kind, browser: site.Origin}
	r.asked.rp, r.asked.user, r.asked.challenge = site, alice, registering
	r.checked = r.asked
	return r
}

func (r *registration) run(t testing.TB, a *webauthntest.Authenticator, faults ...webauthntest.Fault) (webauthn.Credential, error) {
	t.Helper()
	options, err := r.verifier.RegistrationOptions(r.asked.rp, r.asked.user, r.kind, r.asked.challenge, r.asked.exclude)
	ok(t, err)
	response, err := a.Create(options, r.browser, faults...)
	ok(t, err)
	answer, err := webauthn.Read(response)
	if err != nil {
		return webauthn.Credential{}, err
	}
	return r.verifier.Register(r.checked.rp, r.checked.user, r.kind, r.checked.challenge, r.checked.exclude, answer, noon)
}

// authentication is the same for an authentication of alice with a key that she registered.
type authentication struct {
	verifier       *webauthn.Verifier
	asked, checked struct {
		rp         webauthn.RelyingParty
		challenge  []byte
		verifyUser bool
	}
	browser string
	// credential is what the answer is held against, a credential of the user with handle.
	credential webauthn.Credential
	handle     []byte
}

func newAuthentication(o webauthn.Options, c webauthn.Credential) *authentication {
	n := &authentication{verifier: webauthn.New(o), browser: site.Origin, credential: c, handle: alice.Handle}
	n.asked.rp, n.asked.challenge, n.asked.verifyUser = site, authenticating, true
	n.checked = n.asked
	return n
}

func (n *authentication) run(t testing.TB, a *webauthntest.Authenticator, faults ...webauthntest.Fault) (webauthn.Assertion, error) {
	t.Helper()
	allow := []webauthn.Allowed{{RawID: a.Keys[0].ID}}
	options, err := n.verifier.AuthenticationOptions(n.asked.rp, n.asked.challenge, allow, n.asked.verifyUser)
	ok(t, err)
	response, err := a.Get(options, n.browser, faults...)
	ok(t, err)
	answer, err := webauthn.Read(response)
	if err != nil {
		return webauthn.Assertion{}, err
	}
	return n.verifier.Authenticate(n.checked.rp, n.handle, n.credential, n.checked.challenge, n.checked.verifyUser, answer, noon)
}

// passkey is an authenticator that verifies its user.
func passkey() *webauthntest.Authenticator {
	return &webauthntest.Authenticator{Verifies: true, Attachment: "platform", Transports: []string{"internal"}}
}

// enrolled is a passkey that alice has registered.
func enrolled(t testing.TB, a *webauthntest.Authenticator) webauthn.Credential {
	t.Helper()
	c, err := newRegistration(webauthn.Options{}, webauthn.Passkey).run(t, a)
	ok(t, err)
	return c
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused demands one of the errors that a verifier gives for an answer.
func refused(t *testing.T, err error) {
	t.Helper()
	for _, known := range []error{factors.ErrMalformed, factors.ErrIncorrect, factors.ErrUsed, webauthn.ErrRefused, webauthn.ErrCloned} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Errorf("not refused: %v", err)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
