package wallet

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	rpcTimeout = 5 * time.Second
	maxAnswer  = 1 << 20
)

// isValidSignature is the selector of isValidSignature(bytes32,bytes), and what it returns for
// a valid one (EIP-1271).
const isValidSignature = "1626ba7e"

// RPC asks an Ethereum node of the operator about contracts, by JSON-RPC. It knows that one
// address and follows no redirect.
type RPC struct {
	endpoint string
	client   *http.Client
}

// NewRPC returns an RPC that asks the node at endpoint.
func NewRPC(endpoint string) *RPC {
	return &RPC{endpoint: endpoint, client: &http.Client{
		Timeout:       rpcTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// IsContract implements ContractVerifier.
func (r *RPC) IsContract(ctx context.Context, address [20]byte) (bool, error) {
	code, err := r.call(ctx, "eth_getCode", hexText(address[:]), "latest")
	return len(code) > 0, err
}

// ValidSignature implements ContractVerifier.
func (r *RPC) ValidSignature(ctx context.Context, address [20]byte, hash [32]byte, signature []byte) (bool, error) {
	// The arguments in the contract ABI: the hash, where the bytes begin, how many they are,
	// and the bytes, padded to whole words.
	data, err := hex.DecodeString(isValidSignature)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	data = append(data, hash[:]...)
	data = append(data, word(64)...)
	data = append(data, word(len(signature))...)
	data = append(data, signature...)
	data = append(data, make([]byte, (32-len(signature)%32)%32)...)
	out, err := r.call(ctx, "eth_call", map[string]string{"to": hexText(address[:]), "data": hexText(data)}, "latest")
	if err != nil {
		return false, err
	}
	want := isValidSignature + strings.Repeat("0", 56)
	return hex.EncodeToString(out) == want, nil
}

func word(n int) []byte {
	w := make([]byte, 32)
	for i := 31; n > 0; i-- {
		w[i] = byte(n)
		n >>= 8
	}
	return w
}

func hexText(b []byte) string { return "0x" + hex.EncodeToString(b) }

func (r *RPC) call(ctx context.Context, method string, params ...any) (result []byte, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %s: %w", ErrUnavailable, method, err)
		}
	}()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // everything was read, or nothing more is wanted
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Result *string         `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	digits, ok := "", answer.Result != nil
	if ok {
		digits, ok = strings.CutPrefix(*answer.Result, "0x")
	}
	if !ok {
		return nil, fmt.Errorf("the node answered no result")
	}
	return hex.DecodeString(digits)
}
