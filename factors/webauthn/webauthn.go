// Package webauthn registers WebAuthn credentials, security keys and passkeys alike, and
// checks what they sign (Web Authentication, Level 3).
//
// The challenge of a ceremony is made by the caller, who seals into it what has to hold when
// the answer comes: for whom, for what, until when. A ceremony therefore needs no storage
// before it is answered. That it is answered once, and in time, is the caller's to keep too.
package webauthn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	lib "github.com/go-webauthn/webauthn/webauthn"

	"github.com/stepgate/stepgate/factors"
)

// Life is how long a ceremony may take.
const Life = 5 * time.Minute

// HandleSize is the size of a user handle in bytes.
const HandleSize = 32

const (
	maxResponse  = 64 << 10
	maxIDSize    = 1023 // section 4, credential ID
	minChallenge = 16   // section 13.4.3
)

// ErrCloned means that the signature counter of a device-bound credential did not grow: there
// may be a copy of its key (section 6.1.1).
var ErrCloned = errors.New("the signature counter did not grow")

// ErrRefused means that a credential is sound and yet not one that the operator accepts.
var ErrRefused = errors.New("the authenticator is not accepted")

// Kind is the sort of credential to register.
type Kind string

// The kinds. The zero value leaves the choice to the person.
const (
	AnyKind Kind = ""
	// Passkey is a discoverable credential that verifies its user.
	Passkey Kind = "platform"
	// SecurityKey is a credential on a device that is carried along.
	SecurityKey Kind = "cross-platform"
)

// Known tells whether k is one of the kinds.
func (k Kind) Known() bool { return k == AnyKind || k == Passkey || k == SecurityKey }

// RelyingParty is the site that a ceremony is for. Origin is the only origin that an answer
// may come from; ID is its host, or a parent domain that the operator chose.
type RelyingParty struct {
	ID, Origin, Name string
}

// User is who registers a credential. Handle is random and says nothing about the person.
type User struct {
	Handle            []byte
	Name, DisplayName string
}

// Credential is one registered credential.
type Credential struct {
	// ID is the id of the registration, RawID that of the credential.
	ID        string `cbor:"1,keyasint"`
	RawID     []byte `cbor:"2,keyasint"`
	PublicKey []byte `cbor:"3,keyasint"`
	// Name is what its owner calls it.
	Name       string   `cbor:"4,keyasint,omitempty"`
	RPID       string   `cbor:"5,keyasint"`
	Transports []string `cbor:"6,keyasint,omitempty"`
	// Attachment is platform or cross-platform, as the browser told at registration.
	Attachment string `cbor:"7,keyasint,omitempty"`
	AAGUID     string `cbor:"8,keyasint,omitempty"`
	// Attested is set when the model was proven against Options.Models.
	Attested       bool      `cbor:"9,keyasint,omitempty"`
	Discoverable   bool      `cbor:"10,keyasint,omitempty"`
	UserVerified   bool      `cbor:"11,keyasint,omitempty"`
	BackupEligible bool      `cbor:"12,keyasint,omitempty"`
	BackedUp       bool      `cbor:"13,keyasint,omitempty"`
	SignCount      uint32    `cbor:"14,keyasint,omitempty"`
	CreatedAt      time.Time `cbor:"15,keyasint"`
	LastUsedAt     time.Time `cbor:"16,keyasint,omitempty"`
	UserAgent      string    `cbor:"17,keyasint,omitempty"`
}

// Options are what the operator asks of authenticators. The zero value accepts all.
type Options struct {
	// Models proves models of authenticators; nil asks for no attestation.
	Models *Models
	// AAGUIDs are the only models that may be registered, as UUIDs in lower case; empty
	// accepts all. Without Models an authenticator's word is taken for its model.
	AAGUIDs []string
	// DeviceBound refuses credentials that can be copied to other devices.
	DeviceBound bool
}

// Verifier holds the ceremonies. It is safe for parallel use.
type Verifier struct{ opts Options }

// New returns a Verifier.
func New(o Options) *Verifier { return &Verifier{opts: o} }

// algorithms are those of section 5.4, in the order of preference.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// library is the relying party of one ceremony in the library's form. It accepts one origin.
func (v *Verifier) library(rp RelyingParty) (*lib.WebAuthn, error) {
	name := rp.Name
	if name == "" {
		name = rp.ID
	}
	c := &lib.Config{
		RPID: rp.ID, RPDisplayName: name, RPOrigins: []string{rp.Origin},
		Timeouts: lib.TimeoutsConfig{
			Login:        lib.TimeoutConfig{Timeout: Life, TimeoutUVD: Life},
			Registration: lib.TimeoutConfig{Timeout: Life, TimeoutUVD: Life},
		},
	}
	if v.opts.Models != nil {
		c.MDS = v.opts.Models.provider
	}
	w, err := lib.New(c)
	if err != nil {
		return nil, fmt.Errorf("relying party %q at %q: %w", rp.ID, rp.Origin, err)
	}
	return w, nil
}

// party is a user and credentials in the form that the library reads.
type party struct {
	User
	credentials []lib.Credential
}

func (p party) WebAuthnID() []byte                    { return p.Handle }
func (p party) WebAuthnName() string                  { return p.Name }
func (p party) WebAuthnDisplayName() string           { return p.DisplayName }
func (p party) WebAuthnCredentials() []lib.Credential { return p.credentials }

func descriptors(list []Credential) []protocol.CredentialDescriptor {
	var out []protocol.CredentialDescriptor
	for _, c := range list {
		out = append(out, descriptor(c.RawID, c.Transports))
	}
	return out
}

func descriptor(rawID []byte, transports []string) protocol.CredentialDescriptor {
	d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: rawID}
	for _, t := range transports {
		d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
	}
	return d
}

// Answer is what a browser sent, read but not yet checked.
type Answer struct {
	// Challenge is the challenge that the browser says it answers.
	Challenge []byte
	// RawID names the credential.
	RawID []byte
	// Handle is the user whom the authenticator names; nil when it names none.
	Handle []byte

	response []byte
}

// Read reads the answer to either ceremony. The error is factors.ErrMalformed.
func Read(response []byte) (Answer, error) {
	if len(response) > maxResponse {
		return Answer{}, factors.ErrMalformed
	}
	var in struct {
		RawID    protocol.URLEncodedBase64 `json:"rawId"`
		Response struct {
			ClientData protocol.URLEncodedBase64 `json:"clientDataJSON"`
			Handle     protocol.URLEncodedBase64 `json:"userHandle"`
		} `json:"response"`
	}
	if err := json.Unmarshal(response, &in); err != nil {
		return Answer{}, fmt.Errorf("%w: %w", factors.ErrMalformed, err)
	}
	var client struct {
		Challenge protocol.URLEncodedBase64 `json:"challenge"`
	}
	if err := json.Unmarshal(in.Response.ClientData, &client); err != nil {
		return Answer{}, fmt.Errorf("%w: %w", factors.ErrMalformed, err)
	}
	if len(client.Challenge) < minChallenge || len(in.RawID) == 0 || len(in.RawID) > maxIDSize {
		return Answer{}, factors.ErrMalformed
	}
	return Answer{
		Challenge: client.Challenge, RawID: in.RawID, Handle: in.Response.Handle, response: bytes.Clone(response),
	}, nil
}

// refusal sorts an error of the library: what cannot be read is malformed, all else incorrect.
func refusal(err error) error {
	var e *protocol.Error
	if errors.As(err, &e) && e.DevInfo != "" {
		return fmt.Errorf("%w: %s: %s", factors.ErrIncorrect, e.Details, e.DevInfo)
	}
	return fmt.Errorf("%w: %w", factors.ErrIncorrect, err)
}
