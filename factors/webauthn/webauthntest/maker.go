package webauthntest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
)

// authority is a key with a certificate that it signed itself.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(name string) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := certificate(pkix.Name{CommonName: name})
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return authority{key: key, cert: cert}, err
}

// certificate holds at any time that a test may live to see.
func certificate(name pkix.Name) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// Maker attests the models of authenticators: basic attestation in the packed format (WebAuthn,
// section 8.2).
type Maker struct {
	root authority
	// ModelInCertificate is the AAGUID in its certificates when it is not that of the
	// authenticator.
	ModelInCertificate *[16]byte
}

// NewMaker returns a maker with a root of its own.
func NewMaker() (*Maker, error) {
	root, err := newAuthority("Maker of authenticators")
	return &Maker{root: root}, err
}

// Root is the certificate up to which models are attested.
func (m *Maker) Root() *x509.Certificate { return m.root.cert }

var aaguidExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}

func (m *Maker) attest(model [16]byte, message []byte) (map[string]any, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if m.ModelInCertificate != nil {
		model = *m.ModelInCertificate
	}
	value, err := asn1.Marshal(model[:])
	if err != nil {
		return nil, err
	}
	template := certificate(pkix.Name{
		Country: []string{"SE"}, Organization: []string{"Maker"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Model",
	})
	template.BasicConstraintsValid = true
	template.ExtraExtensions = []pkix.Extension{{Id: aaguidExtension, Value: value}}
	leaf, err := x509.CreateCertificate(rand.Reader, template, m.root.cert, key.Public(), m.root.key)
	if err != nil {
		return nil, err
	}
	sig, err := sign(key, ES256, message)
	return map[string]any{"alg": ES256, "sig": sig, "x5c": [][]byte{leaf}}, err
}

// Model is one entry of a list of models.
type Model struct {
	AAGUID [16]byte
	// Root is the certificate up to which the model is attested.
	Root *x509.Certificate
	// KeyProtection is how it keeps keys, such as hardware, secure_element or software.
	KeyProtection []string
	// AttestationTypes are those that it makes. Default: basic_full.
	AttestationTypes []string
	// Status is that of its certification. Default: FIDO_CERTIFIED.
	Status string
	// Copies is its multiDeviceCredentialSupport: unsupported, explicit or implicit.
	Copies string
}

// Publisher signs lists of models (FIDO Metadata Service, version 3).
type Publisher struct{ root authority }

// NewPublisher returns a publisher with a root of its own.
func NewPublisher() (*Publisher, error) {
	root, err := newAuthority("Publisher of models")
	return &Publisher{root: root}, err
}

// Root is the certificate up to which lists are signed.
func (p *Publisher) Root() *x509.Certificate { return p.root.cert }

// List is a signed list of models.
func (p *Publisher) List(models ...Model) ([]byte, error) {
	entries := []any{}
	for _, m := range models {
		entries = append(entries, m.entry())
	}
	payload, err := json.Marshal(map[string]any{"no": 1, "nextUpdate": "2120-01-01", "legalHeader": "for tests", "entries": entries})
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.root.key}, nil)
	if err != nil {
		return nil, err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return nil, err
	}
	blob, err := signed.CompactSerialize()
	return []byte(blob), err
}

func (m Model) entry() map[string]any {
	id := uuid.UUID(m.AAGUID).String()
	status, types := m.Status, m.AttestationTypes
	if status == "" {
		status = "FIDO_CERTIFIED"
	}
	if types == nil {
		types = []string{"basic_full"}
	}
	return map[string]any{
		"aaguid": id, "timeOfLastStatusChange": "2020-01-01",
		"statusReports": []any{map[string]any{"status": status, "effectiveDate": "2020-01-01"}},
		"metadataStatement": map[string]any{
			"aaguid": id, "description": "Model", "protocolFamily": "fido2", "schema": 3, "attestationTypes": types,
			"keyProtection": m.KeyProtection, "multiDeviceCredentialSupport": m.Copies,
			"attestationRootCertificates": []string{base64.StdEncoding.EncodeToString(m.Root.Raw)},
		},
	}
}
