// Package webauthntest is an authenticator for tests, together with the browser in front of it.
// It really signs, and can be told to do one thing wrong: see Fault.
package webauthntest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Flags of authenticator data (WebAuthn, section 6.1).
const (
	UserPresent    = 0x01
	UserVerified   = 0x04
	BackupEligible = 0x08
	BackedUp       = 0x10
	Attested       = 0x40
	Extensions     = 0x80
)

// ErrNone is what a browser reports when the authenticator has nothing to answer with, or must
// not make one more key.
var ErrNone = errors.New("no key of this authenticator may answer")

// Authenticator holds keys. The zero value verifies nobody, makes ES256 keys that stay on the
// device, counts no signatures and attests nothing. It is not for parallel use.
type Authenticator struct {
	// Model is the AAGUID.
	Model [16]byte
	// Verifies is set when it verifies its user each time.
	Verifies bool
	// BackupEligible and BackedUp are the flags of its keys.
	BackupEligible, BackedUp bool
	// Counts is set when it counts the signatures of each key.
	Counts bool
	// Algorithm is that of new keys. Default: ES256.
	Algorithm Algorithm
	// Maker attests new keys; nil attests nothing. SelfAttests is for an authenticator that
	// signs its statement with the new key.
	Maker       *Maker
	SelfAttests bool
	// Attachment and Transports are what the browser tells.
	Attachment string
	Transports []string
	// Keys are those made so far.
	Keys []*Key
}

// Fault is one thing done wrong. Sign changes what is about to be signed, Send what was signed.
// Either may be nil.
type Fault struct {
	Sign func(*Statement)
	Send func(*Response)
}

// Statement is what is about to be signed.
type Statement struct {
	// Client is the client data; RawClient stands for it when it is not nil.
	Client    map[string]any
	RawClient []byte
	// RPID is the relying party whose hash is in the authenticator data.
	RPID  string
	Flags byte
	Count uint32
	// Model, ID and PublicKey are in the data of a new key only.
	Model     [16]byte
	ID        []byte
	PublicKey []byte
	// Tail follows the authenticator data; Cut takes so many bytes from its end.
	Tail []byte
	Cut  int
	// Format and Attestation are the attestation of a new key. It is made after the fault was
	// done, unless Attestation is not nil.
	Format      string
	Attestation map[string]any
}

// Response is an answer as the browser tells it to the site.
type Response struct {
	ID, RawID, Type, Attachment string
	ClientData                  []byte
	AttestationObject           []byte
	AuthenticatorData           []byte
	Signature                   []byte
	Handle                      []byte
	Transports                  []string
	// Outputs are the client's outputs of extensions.
	Outputs map[string]any
}

// options are those of both ceremonies, as far as they matter here.
type options struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	Parameters []struct {
		Algorithm Algorithm `json:"alg"`
	} `json:"pubKeyCredParams"`
	Exclude   []descriptor `json:"excludeCredentials"`
	Allow     []descriptor `json:"allowCredentials"`
	Selection struct {
		ResidentKey string `json:"residentKey"`
	} `json:"authenticatorSelection"`
}

type descriptor struct {
	ID string `json:"id"`
}

func named(list []descriptor, id []byte) bool {
	return slices.Contains(list, descriptor{ID: base64.RawURLEncoding.EncodeToString(id)})
}

// Create answers the options of a registration, as JSON, at an origin.
func (a *Authenticator) Create(from json.RawMessage, origin string, faults ...Fault) ([]byte, error) {
	var o options
	if err := json.Unmarshal(from, &o); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(a.Keys, func(k *Key) bool { return named(o.Exclude, k.ID) }) {
		return nil, ErrNone
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
	if err != nil {
		return nil, err
	}
	key, err := newKey(a.Algorithm, o.RP.ID, handle)
	if err != nil {
		return nil, err
	}
	key.Discoverable = o.Selection.ResidentKey == "required"
	public, err := key.cose()
	if err != nil {
		return nil, err
	}
	s := a.statement("webauthn.create", o.Challenge, origin, key)
	s.Flags |= Attested
	s.Model, s.ID, s.PublicKey = a.Model, key.ID, public
	apply(faults, s)
	object, client, err := a.attest(s, key)
	if err != nil {
		return nil, err
	}
	a.Keys = append(a.Keys, key)
	r := a.response(key, client)
	r.AttestationObject, r.Transports = object, a.Transports
	r.Outputs = map[string]any{"credProps": map[string]any{"rk": key.Discoverable}}
	return r.send(faults)
}

// Get answers the options of an authentication, as JSON, at an origin.
func (a *Authenticator) Get(from json.RawMessage, origin string, faults ...Fault) ([]byte, error) {
	var o options
	if err := json.Unmarshal(from, &o); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(a.Keys, func(k *Key) bool {
		return k.RPID == o.RPID && (named(o.Allow, k.ID) || len(o.Allow) == 0 && k.Discoverable)
	})
	if i < 0 {
		return nil, ErrNone
	}
	return a.Sign(a.Keys[i], o.Challenge, origin, faults...)
}

// Sign answers a challenge, in base64url, with a key, whatever the options were.
func (a *Authenticator) Sign(key *Key, challenge, origin string, faults ...Fault) ([]byte, error) {
	if a.Counts {
		key.Count++
	}
	s := a.statement("webauthn.get", challenge, origin, key)
	apply(faults, s)
	data, client, err := s.bytes()
	if err != nil {
		return nil, err
	}
	r := a.response(key, client)
	r.AuthenticatorData = data
	if r.Signature, err = key.sign(signed(data, client)); err != nil {
		return nil, err
	}
	if key.Discoverable {
		r.Handle = key.Handle
	}
	return r.send(faults)
}

func (a *Authenticator) statement(kind, challenge, origin string, key *Key) *Statement {
	s := &Statement{
		Client: map[string]any{"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false},
		RPID:   key.RPID, Flags: UserPresent, Count: key.Count,
	}
	for flag, set := range map[byte]bool{UserVerified: a.Verifies, BackupEligible: a.BackupEligible, BackedUp: a.BackedUp} {
		if set {
			s.Flags |= flag
		}
	}
	return s
}

func apply(faults []Fault, s *Statement) {
	for _, f := range faults {
		if f.Sign != nil {
			f.Sign(s)
		}
	}
}

func (a *Authenticator) response(key *Key, client []byte) *Response {
	id := base64.RawURLEncoding.EncodeToString(key.ID)
	return &Response{ID: id, RawID: id, Type: "public-key", Attachment: a.Attachment, ClientData: client}
}

// send does what is left of the faults and returns the JSON that PublicKeyCredential.toJSON
// gives (section 5.1).
func (r *Response) send(faults []Fault) ([]byte, error) {
	for _, f := range faults {
		if f.Send != nil {
			f.Send(r)
		}
	}
	inner := map[string]any{}
	for name, b := range map[string][]byte{
		"clientDataJSON": r.ClientData, "attestationObject": r.AttestationObject, "authenticatorData": r.AuthenticatorData,
		"signature": r.Signature, "userHandle": r.Handle,
	} {
		if b != nil {
			inner[name] = base64.RawURLEncoding.EncodeToString(b)
		}
	}
	if r.Transports != nil {
		inner["transports"] = r.Transports
	}
	outer := map[string]any{"id": r.ID, "rawId": r.RawID, "type": r.Type, "response": inner, "clientExtensionResults": r.Outputs}
	if r.Outputs == nil {
		outer["clientExtensionResults"] = map[string]any{}
	}
	if r.Attachment != "" {
		outer["authenticatorAttachment"] = r.Attachment
	}
	b, err := json.Marshal(outer)
	if err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	return bytes.Clone(b), nil
}
