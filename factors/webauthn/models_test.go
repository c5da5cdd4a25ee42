package webauthn_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
)

var (
	maker     = must(webauthntest.NewMaker())
	publisher = must(webauthntest.NewPublisher())

	strongbox = [16]byte{1, 2, 3}
)

// models is what a list with the models makes.
func models(list ...webauthntest.Model) *webauthn.Models {
	return must(webauthn.ReadModels(must(publisher.List(list...)), publisher.Root()))
}

func listed(change ...func(*webauthntest.Model)) webauthntest.Model {
	m := webauthntest.Model{AAGUID: strongbox, Root: maker.Root(), KeyProtection: []string{"hardware", "secure_element"}}
	for _, f := range change {
		f(&m)
	}
	return m
}

// attesting is a passkey whose maker attests its model.
func attesting() *webauthntest.Authenticator {
	a := passkey()
	a.Model, a.Maker = strongbox, maker
	return a
}

// Where models must be proven, only a chain up to the maker of a listed model that
// is not revoked proves one.
func TestProvenModels(t *testing.T) {
	foreign := must(webauthntest.NewMaker())
	lying := *maker
	lying.ModelInCertificate = &[16]byte{9}
	for name, c := range map[string]struct {
		model  webauthntest.Model
		change func(*webauthntest.Authenticator)
		faults []fault
		proven bool
	}{
		"proven":                     {model: listed(), proven: true},
		"no attestation":             {model: listed(), change: func(a *webauthntest.Authenticator) { a.Maker = nil }},
		"self attestation":           {model: listed(), change: func(a *webauthntest.Authenticator) { a.Maker, a.SelfAttests = nil, true }},
		"self attestation, listed":   {model: listed(func(m *webauthntest.Model) { m.AttestationTypes = []string{"basic_surrogate"} }), change: func(a *webauthntest.Authenticator) { a.Maker, a.SelfAttests = nil, true }},
		"another maker":              {model: listed(), change: func(a *webauthntest.Authenticator) { a.Maker = foreign }},
		"certificate of other model": {model: listed(), change: func(a *webauthntest.Authenticator) { a.Maker = &lying }},
		"model that is not listed":   {model: listed(), change: func(a *webauthntest.Authenticator) { a.Model = [16]byte{4} }},
		"no model":                   {model: listed(), change: func(a *webauthntest.Authenticator) { a.Model = [16]byte{} }},
		"revoked model":              {model: listed(func(m *webauthntest.Model) { m.Status = "REVOKED" })},
		"keys of the model leaked":   {model: listed(func(m *webauthntest.Model) { m.Status = "ATTESTATION_KEY_COMPROMISE" })},
		"attests in another way":     {model: listed(func(m *webauthntest.Model) { m.AttestationTypes = []string{"attca"} })},
		"an empty chain": {model: listed(), faults: []fault{sign(func(s *webauthntest.Statement) {
			s.Format, s.Attestation = "packed", map[string]any{"alg": -7, "sig": []byte{1}, "x5c": [][]byte{}}
		})}},
		"a chain that is no certificate": {model: listed(), faults: []fault{sign(func(s *webauthntest.Statement) {
			s.Format, s.Attestation = "packed", map[string]any{"alg": -7, "sig": []byte{1}, "x5c": [][]byte{{1}}}
		})}},
		"the root as its own leaf": {model: listed(), faults: []fault{sign(func(s *webauthntest.Statement) {
			s.Format, s.Attestation = "packed", map[string]any{"alg": -7, "sig": []byte{1}, "x5c": [][]byte{maker.Root().Raw}}
		})}},
		"client data of another ceremony": {model: listed(), faults: []fault{send(func(r *webauthntest.Response) { r.ClientData = append(r.ClientData, ' ') })}},
		"data changed after signing": {model: listed(), faults: []fault{send(func(r *webauthntest.Response) {
			i := bytes.Index(r.AttestationObject, strongbox[:3])
			r.AttestationObject[i-1]++ // the counter
		})}},
	} {
		t.Run(name, func(t *testing.T) {
			o := webauthn.Options{Models: models(c.model)}
			a := attesting()
			if c.change != nil {
				c.change(a)
			}
			credential, err := newRegistration(o, webauthn.Passkey).run(t, a, c.faults...)
			if !c.proven {
				refused(t, err)
				return
			}
			ok(t, err)
			if !credential.Attested || !webauthn.New(o).HardwareKey(credential) {
				t.Errorf("%+v", credential)
			}
			_, err = newAuthentication(o, credential).run(t, a)
			ok(t, err)
		})
	}
}

// A key is known to be in hardware when its proven model keeps all keys there, and this one
// cannot be copied.
func TestHardwareKeys(t *testing.T) {
	for name, c := range map[string]struct {
		model    webauthntest.Model
		synced   bool
		hardware bool
	}{
		"secure element":              {model: listed(), hardware: true},
		"trusted environment":         {model: listed(func(m *webauthntest.Model) { m.KeyProtection = []string{"tee"} }), hardware: true},
		"software":                    {model: listed(func(m *webauthntest.Model) { m.KeyProtection = []string{"software"} })},
		"remote":                      {model: listed(func(m *webauthntest.Model) { m.KeyProtection = []string{"software", "remote_handle"} })},
		"nothing said":                {model: listed(func(m *webauthntest.Model) { m.KeyProtection = nil })},
		"hardware, but may be copied": {model: listed(func(m *webauthntest.Model) { m.Copies = "explicit" }), synced: true},
		"hardware, and does not copy": {model: listed(func(m *webauthntest.Model) { m.Copies = "explicit" }), hardware: true},
		"hardware, and copies untold": {model: listed(func(m *webauthntest.Model) { m.Copies = "implicit" })},
	} {
		o := webauthn.Options{Models: models(c.model)}
		a := attesting()
		a.BackupEligible = c.synced
		credential, err := newRegistration(o, webauthn.Passkey).run(t, a)
		ok(t, err)
		if got := webauthn.New(o).HardwareKey(credential); got != c.hardware {
			t.Errorf("%s: %v", name, got)
		}
		if webauthn.New(webauthn.Options{}).HardwareKey(credential) {
			t.Errorf("%s: known without a list of models", name)
		}
	}
	if webauthn.New(webauthn.Options{Models: models(listed())}).HardwareKey(webauthn.Credential{AAGUID: "01020300-0000-0000-0000-000000000000"}) {
		t.Error("an authenticator's word was taken")
	}
}

// Nobody is locked out when the operator begins to ask for models; a proven model that is
// revoked later no longer signs in.
func TestModelsAtAuthentication(t *testing.T) {
	a := attesting()
	before := enrolled(t, a)
	strict := webauthn.Options{Models: models(listed())}
	if before.Attested || webauthn.New(strict).HardwareKey(before) {
		t.Fatal("nobody had asked for the model")
	}
	unlisted := webauthn.Options{Models: models(listed(func(m *webauthntest.Model) { m.AAGUID = [16]byte{4} }))}
	_, err := newAuthentication(unlisted, before).run(t, a)
	ok(t, err)

	b := attesting()
	proven, err := newRegistration(strict, webauthn.Passkey).run(t, b)
	ok(t, err)
	_, err = newAuthentication(webauthn.Options{}, proven).run(t, b)
	ok(t, err)
	revoked := webauthn.Options{Models: models(listed(func(m *webauthntest.Model) { m.Status = "REVOKED" }))}
	_, err = newAuthentication(revoked, proven).run(t, b)
	refused(t, err)
}

// A list counts only with a signature up to the root.
func TestListsOfModels(t *testing.T) {
	blob := must(publisher.List(listed()))
	foreign := must(webauthntest.NewPublisher())
	for name, try := range map[string]func() error{
		"root of FIDO":     func() error { _, err := webauthn.ReadModels(blob, nil); return err },
		"another root":     func() error { _, err := webauthn.ReadModels(blob, foreign.Root()); return err },
		"cut short":        func() error { _, err := webauthn.ReadModels(blob[:len(blob)-2], publisher.Root()); return err },
		"no list":          func() error { _, err := webauthn.ReadModels([]byte("{}"), publisher.Root()); return err },
		"without a signer": func() error { _, err := webauthn.ReadModels(unsigned(blob), publisher.Root()); return err },
	} {
		if try() == nil {
			t.Errorf("%s: read", name)
		}
	}
	if _, err := webauthn.ReadModels(blob, publisher.Root()); err != nil {
		t.Error(err)
	}
}

// unsigned is a list whose header says that nobody signed it.
func unsigned(blob []byte) []byte {
	parts := bytes.Split(blob, []byte("."))
	return bytes.Join([][]byte{[]byte(b64([]byte(`{"alg":"none"}`))), parts[1], nil}, []byte("."))
}

// What is not accepted, though sound, is told apart from what is wrong.
func TestRefusedModelIsToldApart(t *testing.T) {
	a := passkey()
	_, err := newRegistration(webauthn.Options{Models: models(listed())}, webauthn.Passkey).run(t, a)
	if !errors.Is(err, webauthn.ErrRefused) {
		t.Error(err)
	}
}
