package webauthn

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
	"github.com/google/uuid"
)

// Models knows models of authenticators and the keys by which they prove themselves.
type Models struct{ provider metadata.Provider }

// ReadModels reads a signed list of authenticator models (FIDO Metadata Service, version 3).
// Its signature is checked up to root; nil is the root of the FIDO Alliance.
func ReadModels(blob []byte, root *x509.Certificate) (*Models, error) {
	options := []metadata.DecoderOption{metadata.WithIgnoreEntryParsingErrors()}
	if root != nil {
		options = append(options, metadata.WithRootCertificate(base64.StdEncoding.EncodeToString(root.Raw)))
	}
	decoder, err := metadata.NewDecoder(options...)
	if err != nil {
		return nil, fmt.Errorf("list of authenticator models: %w", err)
	}
	payload, err := decoder.DecodeBytes(blob)
	if err != nil {
		return nil, fmt.Errorf("list of authenticator models: %w", err)
	}
	list, err := decoder.Parse(payload)
	if err != nil {
		return nil, fmt.Errorf("list of authenticator models: %w", err)
	}
	p, err := memory.New(memory.WithMetadata(list.ToMap()),
		memory.WithValidateEntry(true), memory.WithValidateEntryPermitZeroAAGUID(false),
		memory.WithValidateTrustAnchor(true), memory.WithValidateStatus(true), memory.WithValidateAttestationTypes(true))
	if err != nil {
		return nil, fmt.Errorf("list of authenticator models: %w", err)
	}
	return &Models{provider: p}, nil
}

// hardware are the ways of keeping keys in which they cannot be read out (FIDO Registry of
// Predefined Values, section 3.2).
var hardware = []string{"hardware", "tee", "secure_element"}

// keepInHardware tells whether the keys of a model never leave its hardware.
func (m *Models) keepInHardware(aaguid string) bool {
	id, err := uuid.Parse(aaguid)
	if err != nil {
		return false
	}
	entry, err := m.provider.GetEntry(context.Background(), id)
	if err != nil || entry == nil || entry.MetadataStatement.MultiDeviceCredentialSupport == metadata.MultiDeviceCredentialImplicit {
		return false
	}
	return slices.ContainsFunc(entry.MetadataStatement.KeyProtection, func(how string) bool { return slices.Contains(hardware, how) })
}
