package webauthntest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// Algorithm is a COSE algorithm.
type Algorithm int

// The algorithms that keys can have.
const (
	ES256 Algorithm = -7
	EdDSA Algorithm = -8
	ES384 Algorithm = -35
	RS256 Algorithm = -257
)

// Key is one key of an authenticator.
type Key struct {
	ID           []byte
	RPID         string
	Handle       []byte
	Count        uint32
	Discoverable bool
	Algorithm    Algorithm

	signer crypto.Signer
}

func newKey(alg Algorithm, rpID string, handle []byte) (*Key, error) {
	k := &Key{ID: make([]byte, 32), RPID: rpID, Handle: handle, Algorithm: alg}
	if _, err := rand.Read(k.ID); err != nil {
		return nil, err
	}
	var err error
	switch alg {
	case 0, ES256:
		k.Algorithm = ES256
		k.signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		k.signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case EdDSA:
		_, k.signer, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		k.signer, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		return nil, fmt.Errorf("no keys of algorithm %d", alg)
	}
	return k, err
}

// cose is the public key as a COSE_Key (RFC 9052, section 7).
func (k *Key) cose() ([]byte, error) {
	switch p := k.signer.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			return nil, err
		}
		size := (len(point) - 1) / 2
		curve := 1
		if k.Algorithm == ES384 {
			curve = 2
		}
		return cbor.Marshal(map[int]any{1: 2, 3: k.Algorithm, -1: curve, -2: point[1 : 1+size], -3: point[1+size:]})
	case ed25519.PublicKey:
		return cbor.Marshal(map[int]any{1: 1, 3: k.Algorithm, -1: 6, -2: []byte(p)})
	case *rsa.PublicKey:
		return cbor.Marshal(map[int]any{1: 3, 3: k.Algorithm, -1: p.N.Bytes(), -2: []byte{1, 0, 1}})
	}
	return nil, fmt.Errorf("no form for a %T", k.signer)
}

// sign signs a message the way the algorithm wants it.
func (k *Key) sign(message []byte) ([]byte, error) { return sign(k.signer, k.Algorithm, message) }

func sign(signer crypto.Signer, alg Algorithm, message []byte) ([]byte, error) {
	switch alg {
	case EdDSA:
		return signer.Sign(rand.Reader, message, crypto.Hash(0))
	case ES384:
		sum := sha512.Sum384(message)
		return signer.Sign(rand.Reader, sum[:], crypto.SHA384)
	}
	sum := sha256.Sum256(message)
	return signer.Sign(rand.Reader, sum[:], crypto.SHA256)
}

// signed is what an assertion signs: the authenticator data and the hash of the client data.
func signed(data, client []byte) []byte {
	sum := sha256.Sum256(client)
	return slices.Concat(data, sum[:])
}

// bytes are the authenticator data (section 6.1) and the client data.
func (s *Statement) bytes() (data, client []byte, err error) {
	if client = s.RawClient; client == nil {
		if client, err = json.Marshal(s.Client); err != nil {
			return nil, nil, err
		}
	}
	hash := sha256.Sum256([]byte(s.RPID))
	data = append(hash[:], s.Flags)
	data = binary.BigEndian.AppendUint32(data, s.Count)
	if s.ID != nil {
		data = append(data, s.Model[:]...)
		data = binary.BigEndian.AppendUint16(data, uint16(len(s.ID)))
		data = slices.Concat(data, s.ID, s.PublicKey)
	}
	data = append(data, s.Tail...)
	return data[:len(data)-s.Cut], client, nil
}

// attest makes the attestation object of a new key (section 6.5.4).
func (a *Authenticator) attest(s *Statement, key *Key) (object, client []byte, err error) {
	data, client, err := s.bytes()
	if err != nil {
		return nil, nil, err
	}
	format, statement := s.Format, s.Attestation
	if statement == nil {
		own, made, err := a.statementOf(key, signed(data, client))
		if err != nil {
			return nil, nil, err
		}
		statement = made
		if format == "" {
			format = own
		}
	}
	object, err = cbor.Marshal(struct {
		Format    string         `cbor:"fmt"`
		Statement map[string]any `cbor:"attStmt"`
		Data      []byte         `cbor:"authData"`
	}{format, statement, data})
	return object, client, err
}

// statementOf is the attestation statement that the authenticator makes by itself.
func (a *Authenticator) statementOf(key *Key, message []byte) (format string, statement map[string]any, err error) {
	switch {
	case a.Maker != nil:
		statement, err = a.Maker.attest(a.Model, message)
		return "packed", statement, err
	case a.SelfAttests:
		sig, err := key.sign(message)
		return "packed", map[string]any{"alg": key.Algorithm, "sig": sig}, err
	}
	return "none", map[string]any{}, nil
}
