package webauthn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	lib "github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/stepgate/stepgate/factors"
)

// Allowed names a credential that may answer.
type Allowed struct {
	RawID      []byte
	Transports []string
}

// AllowOf lists the credentials of a relying party as those that may answer.
func AllowOf(list []Credential, rpID string) []Allowed {
	var out []Allowed
	for _, c := range list {
		if c.RPID == rpID {
			out = append(out, Allowed{RawID: c.RawID, Transports: c.Transports})
		}
	}
	return out
}

// AuthenticationOptions are the options of navigator.credentials.get, as JSON (section
// 5.1.9). Without allow, any discoverable credential may answer.
func (v *Verifier) AuthenticationOptions(rp RelyingParty, challenge []byte, allow []Allowed, verifyUser bool) (json.RawMessage, error) {
	w, err := v.library(rp)
	if err != nil {
		return nil, err
	}
	var list []protocol.CredentialDescriptor
	for _, a := range allow {
		list = append(list, descriptor(a.RawID, a.Transports))
	}
	assertion, _, err := w.BeginDiscoverableLogin(
		lib.WithChallenge(challenge), lib.WithUserVerification(demand(verifyUser)), lib.WithAllowedCredentials(list))
	if err != nil {
		return nil, fmt.Errorf("begin an authentication: %w", err)
	}
	return json.Marshal(assertion.Response)
}

func demand(verifyUser bool) protocol.UserVerificationRequirement {
	if verifyUser {
		return protocol.VerificationRequired
	}
	return protocol.VerificationPreferred
}

// Assertion is a checked answer.
type Assertion struct {
	// Credential is the credential as it has to be stored now.
	Credential Credential
	// UserVerified tells whether the authenticator verified its user this time.
	UserVerified bool
}

// Authenticate checks the answer of c, a credential of the user with that handle. The error is
// factors.ErrMalformed, factors.ErrIncorrect or ErrCloned.
func (v *Verifier) Authenticate(rp RelyingParty, handle []byte, c Credential, challenge []byte, verifyUser bool, a Answer, now time.Time) (Assertion, error) {
	if len(handle) != HandleSize || c.RPID != rp.ID || !bytes.Equal(c.RawID, a.RawID) {
		return Assertion{}, fmt.Errorf("%w: the credential belongs elsewhere", factors.ErrIncorrect)
	}
	w, err := v.library(rp)
	if err != nil {
		return Assertion{}, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(a.response)
	if err != nil {
		return Assertion{}, fmt.Errorf("%w: %w", factors.ErrMalformed, err)
	}
	known, err := c.library()
	if err != nil {
		return Assertion{}, err
	}
	who := party{User: User{Handle: handle}, credentials: []lib.Credential{known}}
	_, data, err := w.BeginLogin(who, lib.WithChallenge(challenge), lib.WithUserVerification(demand(verifyUser)))
	if err != nil {
		return Assertion{}, fmt.Errorf("begin an authentication: %w", err)
	}
	checked, err := w.ValidateLogin(who, *data, parsed)
	if err != nil {
		return Assertion{}, refusal(err)
	}
	if checked.Authenticator.CloneWarning && !c.BackupEligible {
		return Assertion{}, ErrCloned
	}
	out := Assertion{Credential: c, UserVerified: parsed.Response.AuthenticatorData.Flags.HasUserVerified()}
	if !checked.Authenticator.CloneWarning {
		out.Credential.SignCount = checked.Authenticator.SignCount
	}
	out.Credential.BackedUp = checked.Flags.BackupState
	out.Credential.LastUsedAt = now
	return out, nil
}

// library is the credential in the form that the library reads.
func (c *Credential) library() (lib.Credential, error) {
	model := uuid.Nil
	if c.AAGUID != "" {
		var err error
		if model, err = uuid.Parse(c.AAGUID); err != nil {
			return lib.Credential{}, fmt.Errorf("model of a credential: %w", err)
		}
	}
	// The library holds the model of a credential against the list unless its format is none:
	// a model that was never proven says nothing.
	format := protocol.AttestationFormatNone
	if c.Attested {
		format = protocol.AttestationFormatPacked
	}
	return lib.Credential{
		ID: c.RawID, PublicKey: c.PublicKey, AttestationFormat: string(format),
		Flags:         lib.CredentialFlags{UserVerified: c.UserVerified, BackupEligible: c.BackupEligible, BackupState: c.BackedUp},
		Authenticator: lib.Authenticator{AAGUID: model[:], SignCount: c.SignCount},
	}, nil
}
