package webauthn

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	lib "github.com/go-webauthn/webauthn/webauthn"
	"github.com/google/uuid"

	"github.com/stepgate/stepgate/factors"
)

// RegistrationOptions are the options of navigator.credentials.create, as JSON (section
// 5.1.8). Credentials in exclude cannot be registered again.
func (v *Verifier) RegistrationOptions(rp RelyingParty, u User, kind Kind, challenge []byte, exclude []Credential) (json.RawMessage, error) {
	w, err := v.library(rp)
	if err != nil {
		return nil, err
	}
	creation, _, err := w.BeginRegistration(party{User: u}, v.registration(kind, challenge, exclude)...)
	if err != nil {
		return nil, fmt.Errorf("begin a registration: %w", err)
	}
	return json.Marshal(creation.Response)
}

func (v *Verifier) registration(kind Kind, challenge []byte, exclude []Credential) []lib.RegistrationOption {
	selection := protocol.AuthenticatorSelection{
		ResidentKey: protocol.ResidentKeyRequirementPreferred, UserVerification: protocol.VerificationPreferred,
	}
	var hints []protocol.PublicKeyCredentialHints
	switch kind {
	case Passkey:
		selection.ResidentKey = protocol.ResidentKeyRequirementRequired
		selection.RequireResidentKey = protocol.ResidentKeyRequired()
		selection.UserVerification = protocol.VerificationRequired
	case SecurityKey:
		selection.AuthenticatorAttachment = protocol.CrossPlatform
		hints = []protocol.PublicKeyCredentialHints{protocol.PublicKeyCredentialHintSecurityKey}
	}
	conveyance := protocol.PreferNoAttestation
	if v.opts.Models != nil {
		conveyance = protocol.PreferDirectAttestation
	}
	return []lib.RegistrationOption{
		lib.WithCredentialParameters(algorithms),
		lib.WithAuthenticatorSelection(selection),
		lib.WithConveyancePreference(conveyance),
		lib.WithExclusions(descriptors(exclude)),
		lib.WithExtensions(lib.WithExtensionCredProps()),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge = challenge
			// Set directly: the library's option would turn a hint into a demand.
			o.Hints = hints
			return nil
		},
	}
}

// Register checks the answer to a registration and returns the new credential, without id and
// name. The error is factors.ErrMalformed, factors.ErrIncorrect or ErrRefused.
func (v *Verifier) Register(rp RelyingParty, u User, kind Kind, challenge []byte, exclude []Credential, a Answer, now time.Time) (Credential, error) {
	w, err := v.library(rp)
	if err != nil {
		return Credential{}, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(a.response)
	if err != nil {
		return Credential{}, fmt.Errorf("%w: %w", factors.ErrMalformed, err)
	}
	// What the answer is held against is made anew from what the caller knows, not stored.
	_, data, err := w.BeginRegistration(party{User: u}, v.registration(kind, challenge, exclude)...)
	if err != nil {
		return Credential{}, fmt.Errorf("begin a registration: %w", err)
	}
	c, err := w.CreateCredential(party{User: u}, *data, parsed)
	if err != nil {
		return Credential{}, refusal(err)
	}
	if slices.ContainsFunc(exclude, func(e Credential) bool { return slices.Equal(e.RawID, c.ID) }) {
		return Credential{}, fmt.Errorf("%w: registered already", factors.ErrUsed)
	}
	out := Credential{
		RawID: c.ID, PublicKey: c.PublicKey, RPID: rp.ID, Attachment: string(c.Authenticator.Attachment),
		UserVerified: c.Flags.UserVerified, BackupEligible: c.Flags.BackupEligible, BackedUp: c.Flags.BackupState,
		SignCount: c.Authenticator.SignCount, CreatedAt: now,
	}
	for _, t := range c.Transport {
		if len(out.Transports) < 8 && len(t) < 32 {
			out.Transports = append(out.Transports, string(t))
		}
	}
	if c.Extensions.RK != nil {
		out.Discoverable = *c.Extensions.RK
	} else {
		out.Discoverable = kind == Passkey // it was demanded, and the browser does not tell
	}
	return out, v.accept(kind, c, &out)
}

// accept holds what the operator asks against a sound credential.
func (v *Verifier) accept(kind Kind, c *lib.Credential, out *Credential) error {
	model, err := uuid.FromBytes(c.Authenticator.AAGUID)
	if err != nil {
		return fmt.Errorf("%w: %w", factors.ErrMalformed, err)
	}
	if model != uuid.Nil {
		out.AAGUID = model.String()
	}
	out.Attested = v.opts.Models != nil && provesModel(c)
	switch {
	case kind == Passkey && !out.Discoverable:
		return fmt.Errorf("%w: a passkey must be discoverable", ErrRefused)
	case v.opts.Models != nil && !out.Attested:
		return fmt.Errorf("%w: it did not attest its model", ErrRefused)
	case len(v.opts.AAGUIDs) > 0 && !slices.Contains(v.opts.AAGUIDs, model.String()):
		return fmt.Errorf("%w: model %s is not on the list", ErrRefused, model)
	case v.opts.DeviceBound && out.BackupEligible:
		return fmt.Errorf("%w: it can be copied to other devices", ErrRefused)
	}
	return nil
}

// provesModel tells whether a checked attestation is signed by the maker of the authenticator,
// up to a root that the list of models names. A statement signed with the new key itself proves
// nothing about the model.
func provesModel(c *lib.Credential) bool {
	switch metadata.AuthenticatorAttestationType(c.AttestationType) {
	case metadata.BasicFull, metadata.AttCA, metadata.AnonCA:
	default:
		return false
	}
	switch protocol.AttestationFormat(c.AttestationFormat) {
	case protocol.AttestationFormatPacked, protocol.AttestationFormatTPM, protocol.AttestationFormatAndroidKey, protocol.AttestationFormatApple:
		return true
	}
	return false
}

// HardwareKey tells whether c has been proven to be a key that never leaves the hardware of its
// authenticator. Without Models nothing is proven.
func (v *Verifier) HardwareKey(c Credential) bool {
	return v.opts.Models != nil && c.Attested && !c.BackupEligible && v.opts.Models.keepInHardware(c.AAGUID)
}
