package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// appleSecretLife is how long a client secret works; Apple allows six months.
const appleSecretLife = 5 * time.Minute

// AppleKey signs the client secrets that Apple asks for in place of one that stays.
type AppleKey struct {
	teamID, keyID string
	key           *ecdsa.PrivateKey
}

// NewAppleKey reads the key file of Apple, a PKCS #8 key in PEM.
func NewAppleKey(teamID, keyID string, file []byte) (*AppleKey, error) {
	if teamID == "" || keyID == "" {
		return nil, errors.New("team_id or key_id is missing")
	}
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, errors.New("the key is no PEM file")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the key cannot be read: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the key is not one of the curve P-256")
	}
	return &AppleKey{teamID: teamID, keyID: keyID, key: key}, nil
}

func (k *AppleKey) secret(clientID, audience string, now time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.key, KeyID: k.keyID}}, nil)
	if err != nil {
		return "", fmt.Errorf("sign a client secret: %w", err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": k.teamID, "sub": clientID, "aud": audience, "iat": now.Unix(), "exp": now.Add(appleSecretLife).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("sign a client secret: %w", err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("sign a client secret: %w", err)
	}
	return signed.CompactSerialize()
}
