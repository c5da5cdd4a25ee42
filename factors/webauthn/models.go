package webauthn

import (
	"fmt"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
)

// Models knows models of authenticators and the keys by which they prove themselves.
type Models struct{ provider metadata.Provider }

// ReadModels reads the signed list of authenticator models that the FIDO Alliance publishes
// (FIDO Metadata Service, version 3). Its signature is checked up to the Alliance's root.
func ReadModels(blob []byte) (*Models, error) {
	decoder, err := metadata.NewDecoder(metadata.WithIgnoreEntryParsingErrors())
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
	p, err := memory.New(memory.WithMetadata(list.ToMap()), memory.WithMetadataKeyIdentifiers(list.ToKeyIdentifierMap()),
		memory.WithValidateEntry(true), memory.WithValidateEntryPermitZeroAAGUID(false),
		memory.WithValidateTrustAnchor(true), memory.WithValidateStatus(true), memory.WithValidateAttestationTypes(true))
	if err != nil {
		return nil, fmt.Errorf("list of authenticator models: %w", err)
	}
	return &Models{provider: p}, nil
}
