package webauthn_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/factors/webauthn/webauthntest"
)

// hexBytes are bytes that JSON holds in hexadecimal.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type vector struct {
	Name         string
	CredentialID hexBytes
	Registration struct{ Challenge, ClientDataJSON, AttestationObject hexBytes }
	// Authentication is by the credential of Registration.
	Authentication struct{ Challenge, ClientDataJSON, AuthenticatorData, Signature hexBytes }
}

func readVectors(t *testing.T) (list []vector, ca *x509.Certificate) {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	ok(t, err)
	var file struct {
		AttestationCA hexBytes `json:"attestation_ca"`
		Vectors       []vector
	}
	ok(t, json.Unmarshal(b, &file))
	ca, err = x509.ParseCertificate(file.AttestationCA)
	ok(t, err)
	return file.Vectors, ca
}

func (v *vector) registration() []byte {
	return answer(v.CredentialID, map[string]hexBytes{
		"clientDataJSON": v.Registration.ClientDataJSON, "attestationObject": v.Registration.AttestationObject,
	})
}

func (v *vector) authentication() []byte {
	a := v.Authentication
	return answer(v.CredentialID, map[string]hexBytes{
		"clientDataJSON": a.ClientDataJSON, "authenticatorData": a.AuthenticatorData, "signature": a.Signature,
	})
}

func answer(id []byte, response map[string]hexBytes) []byte {
	inner := make(map[string]string)
	for name, b := range response {
		inner[name] = b64(b)
	}
	return must(json.Marshal(map[string]any{"id": b64(id), "rawId": b64(id), "type": "public-key", "response": inner, "clientExtensionResults": map[string]any{}}))
}

// outcome is what becomes of a test vector here.
type outcome int

const (
	accepted outcome = iota
	// notOffered: its algorithm is not among those that are asked for.
	notOffered
	// framed: it comes from a frame of another site.
	framed
	// unrooted: its attestation is checked against a root that the test vectors do not have.
	unrooted
)

// The test vectors of the standard (WebAuthn, Level 3, section 16), whose relying party is
// example.org. Each does here what the options say, and nothing is accepted beside.
func TestVectorsOfTheStandard(t *testing.T) {
	want := map[string]outcome{
		"none-es256": accepted, "packed-self-es256": accepted, "none-es256-long-credential-id": accepted,
		"packed-es256": accepted, "packed-rs256": accepted, "packed-eddsa": accepted, "fido-u2f-es256": accepted,
		"packed-es384": notOffered, "packed-es512": notOffered,
		"none-es256-crossOrigin": framed, "none-es256-topOrigin": framed,
		"tpm-es256": unrooted, "android-key-es256": unrooted, "apple-es256": unrooted,
	}
	rp := webauthn.RelyingParty{ID: "example.org", Origin: "https://example.org"}
	list, _ := readVectors(t)
	if len(list) != len(want) {
		t.Fatalf("%d vectors", len(list))
	}
	for _, v := range list {
		t.Run(v.Name, func(t *testing.T) {
			verifier := webauthn.New(webauthn.Options{})
			read, err := webauthn.Read(v.registration())
			ok(t, err)
			c, err := verifier.Register(rp, alice, webauthn.AnyKind, v.Registration.Challenge, nil, read, noon)
			if want[v.Name] != accepted {
				refused(t, err)
				return
			}
			ok(t, err)
			read, err = webauthn.Read(v.authentication())
			ok(t, err)
			_, err = verifier.Authenticate(rp, alice.Handle, c, v.Authentication.Challenge, false, read, noon)
			ok(t, err)
			_, err = verifier.Authenticate(rp, alice.Handle, c, v.Registration.Challenge, false, read, noon)
			refused(t, err)
		})
	}
}

// The attestations of the vectors are proven up to the root that comes with them, and up to no
// other.
func TestVectorsWithModels(t *testing.T) {
	list, ca := readVectors(t)
	rp := webauthn.RelyingParty{ID: "example.org", Origin: "https://example.org"}
	for _, v := range list {
		var model [16]byte
		switch v.Name {
		case "packed-es256", "packed-rs256", "packed-eddsa":
			// The model stands in the attested data, right before the id and its length.
			for i := range len(v.Registration.AttestationObject) - len(v.CredentialID) {
				if string(v.Registration.AttestationObject[i:i+len(v.CredentialID)]) == string(v.CredentialID) {
					model = [16]byte(v.Registration.AttestationObject[i-18 : i-2])
				}
			}
		default:
			continue
		}
		for _, root := range []*x509.Certificate{ca, maker.Root()} {
			verifier := webauthn.New(webauthn.Options{Models: models(webauthntest.Model{AAGUID: model, Root: root, KeyProtection: []string{"hardware"}})})
			read, err := webauthn.Read(v.registration())
			ok(t, err)
			c, err := verifier.Register(rp, alice, webauthn.AnyKind, v.Registration.Challenge, nil, read, noon)
			if root != ca {
				refused(t, err)
			} else if err != nil || !c.Attested {
				t.Errorf("%s: %v %+v", v.Name, err, c)
			}
		}
	}
}
