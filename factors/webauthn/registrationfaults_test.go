package webauthn_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
)

// fault is one thing done wrong by an authenticator, a browser, or whoever sits between.
type fault = webauthntest.Fault

func sign(f func(*webauthntest.Statement)) fault { return fault{Sign: f} }
func send(f func(*webauthntest.Response)) fault  { return fault{Send: f} }

func client(member string, value any) fault {
	return sign(func(s *webauthntest.Statement) { s.Client[member] = value })
}

func without(flag byte) fault { return sign(func(s *webauthntest.Statement) { s.Flags &^= flag }) }
func set(flag byte) fault     { return sign(func(s *webauthntest.Statement) { s.Flags |= flag }) }

// clientFaults are those that both ceremonies must notice in what the browser says.
func clientFaults() map[string]fault {
	return map[string]fault{
		"origin of another site":      client("origin", "https://app.example.org"),
		"origin of a sibling":         client("origin", "https://evil.example.com"),
		"origin of the parent domain": client("origin", "https://example.com"),
		"origin of a host below":      client("origin", "https://x.app.example.com"),
		"origin without TLS":          client("origin", "http://app.example.com"),
		"origin at another port":      client("origin", "https://app.example.com:8443"),
		"origin of an app":            client("origin", "android:apk-key-hash:7d1043473d55bfa90e8530d35801d4e381bc69f0"),
		"origin null":                 client("origin", "null"),
		"origin empty":                client("origin", ""),
		"in a frame of another site":  client("crossOrigin", true),
		"in a frame, with the site around it": sign(func(s *webauthntest.Statement) {
			s.Client["crossOrigin"], s.Client["topOrigin"] = true, "https://evil.example.com"
		}),
		"in a frame of the very site":         sign(func(s *webauthntest.Statement) { s.Client["crossOrigin"], s.Client["topOrigin"] = true, site.Origin }),
		"a site around it that is no frame's": client("topOrigin", "https://evil.example.com"),
		"another challenge":                   client("challenge", "b3RoZXIgY2hhbGxlbmdlIG90aGVyIGNoYWxsZW5nZQ"),
		"a challenge with a byte more":        client("challenge", b64(append(bytes.Clone(registering), 'x'))),
		"a challenge cut short":               client("challenge", b64(registering[:31])),
		"no challenge":                        client("challenge", ""),
		"type of no ceremony":                 client("type", "payment.get"),
		"no type":                             client("type", ""),
		"client data that is no JSON":         sign(func(s *webauthntest.Statement) { s.RawClient = []byte("{") }),
		"client data that is no object":       sign(func(s *webauthntest.Statement) { s.RawClient = []byte(`"x"`) }),
		"hash of another relying party":       sign(func(s *webauthntest.Statement) { s.RPID = "app.example.org" }),
		"hash of the parent domain":           sign(func(s *webauthntest.Statement) { s.RPID = "example.com" }),
		"nobody was there":                    without(webauthntest.UserPresent),
		"backed up and never to be": sign(func(s *webauthntest.Statement) {
			s.Flags = s.Flags&^webauthntest.BackupEligible | webauthntest.BackedUp
		}),
		"data that ends early":                 sign(func(s *webauthntest.Statement) { s.Cut = 1 }),
		"data with bytes after it":             sign(func(s *webauthntest.Statement) { s.Tail = []byte{0} }),
		"extensions announced and missing":     set(webauthntest.Extensions),
		"extensions that are no CBOR":          sign(func(s *webauthntest.Statement) { s.Flags |= webauthntest.Extensions; s.Tail = []byte{0xff} }),
		"no id":                                send(func(r *webauthntest.Response) { r.ID = "" }),
		"an id that is not the raw one":        send(func(r *webauthntest.Response) { r.ID = b64([]byte("another")) }),
		"a raw id that is not the id":          send(func(r *webauthntest.Response) { r.RawID = b64([]byte("another")) }),
		"no raw id":                            send(func(r *webauthntest.Response) { r.RawID = "" }),
		"an id longer than any":                send(func(r *webauthntest.Response) { r.ID = b64(make([]byte, 1024)); r.RawID = r.ID }),
		"type of another credential":           send(func(r *webauthntest.Response) { r.Type = "password" }),
		"client data changed after signing":    send(func(r *webauthntest.Response) { r.ClientData = append(r.ClientData, ' ') }),
		"client data missing":                  send(func(r *webauthntest.Response) { r.ClientData = nil }),
		"an answer of more than 64 KB":         send(func(r *webauthntest.Response) { r.Handle = make([]byte, 64<<10) }),
		"an output of AppID that no one asked": send(func(r *webauthntest.Response) { r.Outputs = map[string]any{"appid": true} }),
	}
}

// unnoticed are client faults that a registration without attestation cannot notice, because
// nothing is signed, and need not.
var unnoticed = map[string]bool{"client data changed after signing": true}

// A registration with one fault registers nothing.
func TestFaultyRegistrations(t *testing.T) {
	faults := clientFaults()
	for name, f := range map[string]fault{
		"an authentication's type":        client("type", "webauthn.get"),
		"nobody was verified":             without(webauthntest.UserVerified),
		"no key announced":                without(webauthntest.Attested),
		"key of an algorithm not offered": coseKey(map[int]any{1: 2, 3: -35, -1: 2, -2: make([]byte, 48), -3: make([]byte, 48)}),
		"key of an old algorithm":         coseKey(map[int]any{1: 3, 3: -65535, -1: make([]byte, 256), -2: []byte{1, 0, 1}}),
		"key without an algorithm":        coseKey(map[int]any{1: 2, -1: 1, -2: make([]byte, 32), -3: make([]byte, 32)}),
		"key that is no CBOR":             sign(func(s *webauthntest.Statement) { s.PublicKey = []byte{0xff} }),
		"no key":                          sign(func(s *webauthntest.Statement) { s.PublicKey = nil }),
		"an id of another key in it":      sign(func(s *webauthntest.Statement) { s.ID = bytes.Repeat([]byte{1}, 32) }),
		"an empty id":                     sign(func(s *webauthntest.Statement) { s.ID = []byte{} }),
		"object that is no CBOR":          send(func(r *webauthntest.Response) { r.AttestationObject = []byte("none") }),
		"object that is empty":            send(func(r *webauthntest.Response) { r.AttestationObject = []byte{} }),
		"object missing":                  send(func(r *webauthntest.Response) { r.AttestationObject = nil }),
		"object cut short":                send(func(r *webauthntest.Response) { r.AttestationObject = r.AttestationObject[:len(r.AttestationObject)-1] }),
		"object with bytes after it":      send(func(r *webauthntest.Response) { r.AttestationObject = append(r.AttestationObject, 0) }),
		"object that is a list":           send(func(r *webauthntest.Response) { r.AttestationObject = must(cbor.Marshal([]int{1})) }),
		"object nested without end":       send(func(r *webauthntest.Response) { r.AttestationObject = bytes.Repeat([]byte{0x81}, 10_000) }),
		"object that promises too much": send(func(r *webauthntest.Response) {
			r.AttestationObject = []byte{0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		}),
		"authenticator data of 36 bytes": sign(func(s *webauthntest.Statement) {
			s.ID, s.Flags, s.Cut = nil, webauthntest.UserPresent|webauthntest.UserVerified, 1
		}),
		"statement that should not be":  sign(func(s *webauthntest.Statement) { s.Attestation = map[string]any{"sig": []byte{1}}; s.Format = "none" }),
		"format that nobody knows":      sign(func(s *webauthntest.Statement) { s.Format, s.Attestation = "made-up", map[string]any{} }),
		"no format":                     sign(func(s *webauthntest.Statement) { s.Format, s.Attestation = "", map[string]any{} }),
		"statement without a signature": sign(func(s *webauthntest.Statement) { s.Format, s.Attestation = "packed", map[string]any{"alg": -7} }),
		"statement with a wrong signature": sign(func(s *webauthntest.Statement) {
			s.Format, s.Attestation = "packed", map[string]any{"alg": -7, "sig": []byte{0x30, 6, 2, 1, 1, 2, 1, 1}}
		}),
		"a key that the browser says is not discoverable": send(func(r *webauthntest.Response) {
			r.Outputs = map[string]any{"credProps": map[string]any{"rk": false}}
		}),
		"an assertion in its place": send(func(r *webauthntest.Response) {
			r.AttestationObject, r.AuthenticatorData, r.Signature = nil, make([]byte, 37), []byte{1}
		}),
	} {
		faults[name] = f
	}
	for name, f := range faults {
		if unnoticed[name] {
			continue
		}
		t.Run(name, func(t *testing.T) {
			_, err := newRegistration(webauthn.Options{}, webauthn.Passkey).run(t, passkey(), f)
			refused(t, err)
		})
	}
	if _, err := newRegistration(webauthn.Options{}, webauthn.Passkey).run(t, passkey()); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
}

func coseKey(key map[int]any) fault {
	return sign(func(s *webauthntest.Statement) { s.PublicKey = must(cbor.Marshal(key)) })
}

// A sound answer counts for what was asked, and for nothing else.
func TestRegistrationForSomethingElse(t *testing.T) {
	for name, change := range map[string]func(*registration){
		"another challenge": func(r *registration) { r.checked.challenge = authenticating },
		"another site": func(r *registration) {
			r.checked.rp = webauthn.RelyingParty{ID: "app.example.org", Origin: "https://app.example.org"}
		},
		"the parent domain":   func(r *registration) { r.checked.rp.ID = "example.com" },
		"a host beside":       func(r *registration) { r.checked.rp.Origin = "https://wiki.example.com" },
		"a browser elsewhere": func(r *registration) { r.browser = "https://wiki.example.com" },
		"a challenge too short": func(r *registration) {
			r.asked.challenge = bytes.Repeat([]byte{1}, 16)
			r.checked.challenge = r.asked.challenge[:15]
		},
	} {
		r := newRegistration(webauthn.Options{}, webauthn.Passkey)
		change(r)
		if _, err := r.run(t, passkey()); err == nil {
			t.Errorf("%s: registered", name)
		}
	}
}

// The list of excluded credentials holds although the browser ignored it.
func TestExcludedCredential(t *testing.T) {
	a := passkey()
	known := enrolled(t, a)
	r := newRegistration(webauthn.Options{}, webauthn.Passkey)
	r.checked.exclude = []webauthn.Credential{known}
	again := fault{
		Sign: func(s *webauthntest.Statement) { s.ID = known.RawID },
		Send: func(r *webauthntest.Response) { r.ID, r.RawID = b64(known.RawID), b64(known.RawID) },
	}
	if _, err := r.run(t, a, again); !errors.Is(err, factors.ErrUsed) {
		t.Errorf("an excluded credential: %v", err)
	}
	r.checked.exclude = nil
	if _, err := r.run(t, a, again); err != nil {
		t.Errorf("without the list: %v", err)
	}
}

// What the operator asks of authenticators is asked again of the answer.
func TestOperatorsDemands(t *testing.T) {
	model := [16]byte{1}
	for name, c := range map[string]struct {
		options webauthn.Options
		change  func(*webauthntest.Authenticator)
		refused bool
	}{
		"a model on the list":         {webauthn.Options{AAGUIDs: []string{"01000000-0000-0000-0000-000000000000"}}, nil, false},
		"a model that is not on it":   {webauthn.Options{AAGUIDs: []string{"02000000-0000-0000-0000-000000000000"}}, nil, true},
		"no model, where one must be": {webauthn.Options{AAGUIDs: []string{"01000000-0000-0000-0000-000000000000"}}, func(a *webauthntest.Authenticator) { a.Model = [16]byte{} }, true},
		"a key bound to the device":   {webauthn.Options{DeviceBound: true}, nil, false},
		"a key that can be copied":    {webauthn.Options{DeviceBound: true}, func(a *webauthntest.Authenticator) { a.BackupEligible = true }, true},
	} {
		a := passkey()
		a.Model = model
		if c.change != nil {
			c.change(a)
		}
		_, err := newRegistration(c.options, webauthn.Passkey).run(t, a)
		if errors.Is(err, webauthn.ErrRefused) != c.refused || !c.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A security key need not verify anybody nor keep the account; a passkey must.
func TestPasskeysVerify(t *testing.T) {
	if _, err := newRegistration(webauthn.Options{}, webauthn.SecurityKey).run(t, &webauthntest.Authenticator{}); err != nil {
		t.Errorf("security key: %v", err)
	}
	_, err := newRegistration(webauthn.Options{}, webauthn.Passkey).run(t, &webauthntest.Authenticator{})
	refused(t, err)
}
