package wallet

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"filippo.io/edwards25519"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/mr-tron/base58"

	"github.com/stepgate/stepgate/factors"
)

const (
	ecdsaSize = 65 // r, s and v
	// maxSignature bounds the signature of a contract wallet, which is whatever it likes.
	maxSignature = 8 << 10
)

// ContractVerifier judges the signatures of wallets that are contracts. An error means that
// nothing is known; it is never taken for a yes.
type ContractVerifier interface {
	// IsContract tells whether there is code at an address.
	IsContract(ctx context.Context, address [20]byte) (bool, error)
	// ValidSignature asks the contract at an address (EIP-1271).
	ValidSignature(ctx context.Context, address [20]byte, hash [32]byte, signature []byte) (bool, error)
}

// messageHash is the hash that is signed for a text (EIP-191, version 0x45).
func messageHash(message string) [32]byte {
	return keccak([]byte("\x19Ethereum Signed Message:\n"+strconv.Itoa(len(message))), []byte(message))
}

// deployed ends a signature for a contract that does not exist yet (EIP-6492). To check one
// would mean to run code that the visitor chose.
var deployed = strings.Repeat("6492", 16)

func verifyEthereum(ctx context.Context, a Address, message, signature string, contracts ContractVerifier) error {
	digits, ok := strings.CutPrefix(signature, "0x")
	if !ok || len(digits) > 2*maxSignature || strings.HasSuffix(digits, deployed) {
		return factors.ErrMalformed
	}
	sig, err := hex.DecodeString(digits)
	if err != nil || len(sig) == 0 {
		return factors.ErrMalformed
	}
	hash := messageHash(message)
	address := [ethereumSize]byte([]byte(a.bytes))
	if contracts != nil {
		// A contract decides for itself, and first: its address may be that of a key as well.
		code, err := contracts.IsContract(ctx, address)
		if err != nil {
			return unavailable(err)
		}
		if code {
			return askContract(ctx, contracts, address, hash, sig)
		}
	}
	return recovered(address, hash, sig)
}

func askContract(ctx context.Context, contracts ContractVerifier, address [20]byte, hash [32]byte, sig []byte) error {
	valid, err := contracts.ValidSignature(ctx, address, hash, sig)
	if err != nil {
		return unavailable(err)
	}
	if !valid {
		return factors.ErrIncorrect
	}
	return nil
}

func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// recovered judges the signature of a key: 65 bytes of r, s and v, with s in the lower half of
// its range (EIP-2), so that there is one signature and not two.
func recovered(address [20]byte, hash [32]byte, sig []byte) error {
	if len(sig) != ecdsaSize {
		return factors.ErrMalformed
	}
	v := sig[64]
	if v == 0 || v == 1 {
		v += 27
	}
	if v != 27 && v != 28 {
		return factors.ErrMalformed
	}
	var s secp256k1.ModNScalar
	if overflow := s.SetByteSlice(sig[32:64]); overflow || s.IsZero() || s.IsOverHalfOrder() {
		return factors.ErrMalformed
	}
	compact := append([]byte{v}, sig[:64]...)
	key, _, err := ecdsa.RecoverCompact(compact, hash[:])
	if err != nil {
		return fmt.Errorf("%w: %w", factors.ErrIncorrect, err)
	}
	sum := keccak(key.SerializeUncompressed()[1:])
	if [20]byte(sum[12:]) != address {
		return factors.ErrIncorrect
	}
	return nil
}

func verifySolana(a Address, message, signature string) error {
	if len(signature) > 2*ed25519.SignatureSize {
		return factors.ErrMalformed
	}
	sig, err := base58.Decode(signature)
	if err != nil || len(sig) != ed25519.SignatureSize || base58.Encode(sig) != signature {
		return factors.ErrMalformed
	}
	if smallOrder([]byte(a.bytes)) {
		return factors.ErrIncorrect
	}
	if !ed25519.Verify(ed25519.PublicKey(a.bytes), []byte(message), sig) {
		return factors.ErrIncorrect
	}
	return nil
}

// smallOrder tells whether a key is no point of the curve or one of its eight of small order
// (RFC 8032, section 5.1), for which anybody can make signatures without a private key.
func smallOrder(key []byte) bool {
	point, err := new(edwards25519.Point).SetBytes(key)
	return err != nil || new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1
}
