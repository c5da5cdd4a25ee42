package wallet

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/mr-tron/base58"

	"github.com/stepgate/stepgate/factors"
)

var now = time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)

// The examples of EIP-55.
func TestChecksums(t *testing.T) {
	for _, want := range []string{
		"0x52908400098527886E0F7030069857D2E4169EE7", "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
		"0xde709f2102306220921060314715629080e2fb77", "0x27b1fdb04752bbc536007a920d24acb045561c26",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	} {
		for _, text := range []string{want, strings.ToLower(want), "0x" + strings.ToUpper(want[2:])} {
			a, err := ParseAddress(Ethereum, text)
			if err != nil || a.String() != want || a.Key() != strings.ToLower(want) {
				t.Errorf("%s: %s %s %v", text, a, a.Key(), err)
			}
		}
	}
}

func TestMalformedAddresses(t *testing.T) {
	good := "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	solana := base58.Encode(make([]byte, 31)) // one byte short
	for _, c := range []struct {
		chain Chain
		text  string
	}{
		{Ethereum, ""}, {Ethereum, good[2:]}, {Ethereum, good[:41]}, {Ethereum, good + "0"}, {Ethereum, "0X" + good[2:]},
		{Ethereum, strings.Replace(good, "5aA", "5AA", 1)}, {Ethereum, good[:40] + "g1"}, {Ethereum, " " + good},
		{Solana, ""}, {Solana, solana}, {Solana, "O0Il"}, {Solana, strings.Repeat("1", 45)}, {Solana, good},
		{"bitcoin", good}, {"", good},
	} {
		if a, err := ParseAddress(c.chain, c.text); !errors.Is(err, factors.ErrMalformed) || a != (Address{}) {
			t.Errorf("%s %q: %v", c.chain, c.text, err)
		}
	}
}

// key is a wallet with a key in the test.
type key struct {
	ethereum *secp256k1.PrivateKey
	solana   ed25519.PrivateKey
	address  Address
}

func newKey(t *testing.T, c Chain) key {
	t.Helper()
	var k key
	var text string
	if c == Solana {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k.solana, text = private, base58.Encode(public)
	} else {
		private, err := secp256k1.GeneratePrivateKey()
		if err != nil {
			t.Fatal(err)
		}
		sum := keccak(private.PubKey().SerializeUncompressed()[1:])
		k.ethereum, text = private, "0x"+hex.EncodeToString(sum[12:])
	}
	a, err := ParseAddress(c, text)
	if err != nil {
		t.Fatal(err)
	}
	k.address = a
	return k
}

// raw is the signature over a text as 65 bytes of r, s and v, or 64 of ed25519.
func (k key) raw(message string) []byte {
	if k.solana != nil {
		return ed25519.Sign(k.solana, []byte(message))
	}
	hash := messageHash(message)
	compact := ecdsa.SignCompact(k.ethereum, hash[:], false)
	return append(compact[1:], compact[0])
}

func (k key) sign(message string) string {
	if k.solana != nil {
		return base58.Encode(k.raw(message))
	}
	return hexText(k.raw(message))
}

func ask(t *testing.T, k key) Challenge {
	t.Helper()
	c, err := New(rand.Reader, now, Request{
		Domain: "erp.example.com", URI: "https://erp.example.com", Statement: "Sign in to erp.example.com.", Address: k.address,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The text has the lines of EIP-4361, in their order, and nothing else.
func TestTheText(t *testing.T) {
	for _, c := range []struct {
		chain    Chain
		name, id string
	}{{Ethereum, "Ethereum", "1"}, {Solana, "Solana", "mainnet"}} {
		k := newKey(t, c.chain)
		first, second := ask(t, k), ask(t, k)
		want := "^erp\\.example\\.com wants you to sign in with your " + c.name + " account:\n" + k.address.String() +
			"\n\nSign in to erp\\.example\\.com\\.\n\nURI: https://erp\\.example\\.com\nVersion: 1\nChain ID: " + c.id +
			"\nNonce: [0-9A-Za-z]{22}\nIssued At: 2026-05-04T09:00:00\\.000Z\nExpiration Time: 2026-05-04T09:05:00\\.000Z$"
		if !regexp.MustCompile(want).MatchString(first.Message) {
			t.Errorf("%s\ndoes not match\n%s", first.Message, want)
		}
		if first.Message == second.Message {
			t.Error("two texts share a nonce")
		}
	}
	k := newKey(t, Ethereum)
	for _, r := range []Request{
		{URI: "https://x", Statement: "s", Address: k.address},
		{Domain: "x\nURI: https://evil", URI: "https://x", Statement: "s", Address: k.address},
		{Domain: "x", URI: "https://x", Statement: "s\nNonce: 1", Address: k.address},
		{Domain: "x", URI: "https://x", Statement: "s"},
	} {
		if _, err := New(rand.Reader, now, r); !errors.Is(err, factors.ErrMalformed) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// One thing is wrong in each row, and every row is refused.
func TestSignatures(t *testing.T) {
	for _, chain := range []Chain{Ethereum, Solana} {
		k, other := newKey(t, chain), newKey(t, chain)
		text := func(edit func(string) string) func(c Challenge) string {
			return func(c Challenge) string { return k.sign(edit(c.Message)) }
		}
		spell := func(edit func([]byte) []byte) func(c Challenge) string {
			return func(c Challenge) string {
				if chain == Solana {
					return base58.Encode(edit(k.raw(c.Message)))
				}
				return hexText(edit(k.raw(c.Message)))
			}
		}
		for _, c := range []struct {
			name string
			only Chain
			sign func(c Challenge) string
			at   time.Duration
			want error
		}{
			{"right", "", text(func(s string) string { return s }), 0, nil},
			{"at the last moment", "", text(func(s string) string { return s }), Life - time.Millisecond, nil},
			{"too late", "", text(func(s string) string { return s }), Life, factors.ErrExpired},
			{"another key", "", func(c Challenge) string { return other.sign(c.Message) }, 0, factors.ErrIncorrect},
			{"another domain", "", text(func(s string) string { return strings.Replace(s, "erp.example.com", "evil.example.com", 1) }), 0, factors.ErrIncorrect},
			{"another URI", "", text(func(s string) string { return strings.Replace(s, "URI: https://erp", "URI: https://evil", 1) }), 0, factors.ErrIncorrect},
			{"another chain", "", text(func(s string) string { return strings.Replace(s, "Chain ID: ", "Chain ID: 5", 1) }), 0, factors.ErrIncorrect},
			{"another version", "", text(func(s string) string { return strings.Replace(s, "Version: 1", "Version: 2", 1) }), 0, factors.ErrIncorrect},
			{"another nonce", "", text(func(s string) string { return strings.Replace(s, "Nonce: ", "Nonce: x", 1) }), 0, factors.ErrIncorrect},
			{"another address", "", text(func(s string) string { return strings.Replace(s, k.address.String(), other.address.String(), 1) }), 0, factors.ErrIncorrect},
			{"one byte more", "", text(func(s string) string { return s + "\n" }), 0, factors.ErrIncorrect},
			{"no signature", "", func(Challenge) string { return "" }, 0, factors.ErrMalformed},
			{"no spelling", "", func(Challenge) string { return "0x zz" }, 0, factors.ErrMalformed},
			{"very long", "", func(Challenge) string { return "0x" + strings.Repeat("11", 100_000) }, 0, factors.ErrMalformed},
			{"one byte short", "", spell(func(b []byte) []byte { return b[:len(b)-1] }), 0, factors.ErrMalformed},
			{"one byte long", "", spell(func(b []byte) []byte { return append(b, 1) }), 0, factors.ErrMalformed},
			{"altered", "", spell(func(b []byte) []byte { b[3] ^= 1; return b }), 0, factors.ErrIncorrect},
			{"v of 0 or 1", Ethereum, spell(func(b []byte) []byte { b[64] -= 27; return b }), 0, nil},
			{"v of 29", Ethereum, spell(func(b []byte) []byte { b[64] = 29; return b }), 0, factors.ErrMalformed},
			{"v of 2", Ethereum, spell(func(b []byte) []byte { b[64] = 2; return b }), 0, factors.ErrMalformed},
			{"the other v", Ethereum, spell(func(b []byte) []byte { b[64] = 55 - b[64]; return b }), 0, factors.ErrIncorrect},
			{"64 bytes compact", Ethereum, spell(func(b []byte) []byte { return b[:64] }), 0, factors.ErrMalformed},
			{"high s", Ethereum, spell(highS), 0, factors.ErrMalformed},
			{"s of zero", Ethereum, spell(func(b []byte) []byte { clear(b[32:64]); return b }), 0, factors.ErrMalformed},
			{"r of zero", Ethereum, spell(func(b []byte) []byte { clear(b[:32]); return b }), 0, factors.ErrIncorrect},
			{"without 0x", Ethereum, func(c Challenge) string { return k.sign(c.Message)[2:] }, 0, factors.ErrMalformed},
			{"for a contract to be", Ethereum, func(c Challenge) string { return k.sign(c.Message) + deployed }, 0, factors.ErrMalformed},
			{"hex", Solana, func(c Challenge) string { return hexText(k.raw(c.Message)) }, 0, factors.ErrMalformed},
			{"another spelling", Solana, func(c Challenge) string { return " " + k.sign(c.Message) }, 0, factors.ErrMalformed},
		} {
			if c.only != "" && c.only != chain {
				continue
			}
			asked := ask(t, k)
			// Recovery may fail in form or in content: both refuse.
			if err := asked.Verify(t.Context(), c.sign(asked), now.Add(c.at), nil); !errors.Is(err, c.want) && (c.want == nil || err == nil) {
				t.Errorf("%s, %s: %v, expected %v", chain, c.name, err, c.want)
			} else if !errors.Is(err, c.want) {
				t.Errorf("%s, %s: refused as %v, expected %v", chain, c.name, err, c.want)
			}
		}
	}
	var zero Challenge
	if err := zero.Verify(t.Context(), "0x00", time.Time{}, nil); err == nil {
		t.Error("the zero challenge verifies")
	}
}

// highS is the second signature that the curve has for each first one.
func highS(b []byte) []byte {
	var s secp256k1.ModNScalar
	s.SetByteSlice(b[32:64])
	s.Negate()
	other := s.Bytes()
	copy(b[32:64], other[:])
	b[64] = 55 - b[64]
	return b
}

// contract is a wallet that is a contract, and answers as the test says.
type contract struct {
	code, valid       bool
	codeErr, validErr error
	asked             int
}

func (c *contract) IsContract(context.Context, [20]byte) (bool, error) { return c.code, c.codeErr }

func (c *contract) ValidSignature(context.Context, [20]byte, [32]byte, []byte) (bool, error) {
	c.asked++
	return c.valid, c.validErr
}

// A contract decides for itself, and what cannot be asked is refused.
func TestContracts(t *testing.T) {
	k := newKey(t, Ethereum)
	down := errors.New("down")
	for _, c := range []struct {
		name      string
		contract  contract
		signature string
		want      error
		asked     int
	}{
		{"a key, no code", contract{}, "", nil, 0},
		{"a contract says yes", contract{code: true, valid: true}, "0x01", nil, 1},
		{"a contract says no to the key of its address", contract{code: true}, "", factors.ErrIncorrect, 1},
		{"the node is down", contract{codeErr: down}, "", ErrUnavailable, 0},
		{"the contract fails", contract{code: true, validErr: down}, "", ErrUnavailable, 1},
		{"a contract that is yet to be deployed", contract{code: true, valid: true}, "0x" + strings.Repeat("6492", 20), factors.ErrMalformed, 0},
		{"an error beside a yes", contract{code: true, valid: true, validErr: down}, "", ErrUnavailable, 1},
	} {
		asked := ask(t, k)
		if c.signature == "" {
			c.signature = k.sign(asked.Message)
		}
		if err := asked.Verify(t.Context(), c.signature, now, &c.contract); !errors.Is(err, c.want) || c.contract.asked != c.asked {
			t.Errorf("%s: %v, asked %d times", c.name, err, c.contract.asked)
		}
	}
}

func TestRPC(t *testing.T) {
	yes := `{"jsonrpc":"2.0","id":1,"result":"0x1626ba7e` + strings.Repeat("0", 56) + `"}`
	for _, c := range []struct {
		name, answer string
		status       int
		code, valid  bool
		err          error
	}{
		{"yes", yes, 200, true, true, nil},
		{"no code", `{"result":"0x"}`, 200, false, false, nil},
		{"another magic value", `{"result":"0xffffffff` + strings.Repeat("0", 56) + `"}`, 200, true, false, nil},
		{"the magic value and more", strings.Replace(yes, `00"`, `01"`, 1), 200, true, false, nil},
		{"the magic value alone", `{"result":"0x1626ba7e"}`, 200, true, false, nil},
		{"an error", `{"error":{"code":3,"message":"execution reverted"}}`, 200, false, false, ErrUnavailable},
		{"no result", `{}`, 200, false, false, ErrUnavailable},
		{"no hex", `{"result":"yes"}`, 200, false, false, ErrUnavailable},
		{"no JSON", `<html>`, 200, false, false, ErrUnavailable},
		{"a failure", yes, 500, false, false, ErrUnavailable},
		{"a redirect", yes, 302, false, false, ErrUnavailable},
		{"endless", `{"result":"0x` + strings.Repeat("0", maxAnswer) + `"}`, 200, false, false, ErrUnavailable},
	} {
		var body string
		node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			body = string(b)
			w.Header().Set("Location", "http://"+r.Host+"/elsewhere")
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.answer)
		}))
		rpc := NewRPC(node.URL)
		code, err := rpc.IsContract(t.Context(), [20]byte{1})
		if code != c.code || !errors.Is(err, c.err) {
			t.Errorf("%s: code %v %v", c.name, code, err)
		}
		valid, err := rpc.ValidSignature(t.Context(), [20]byte{1}, [32]byte{2}, []byte{3, 4})
		if valid != c.valid || !errors.Is(err, c.err) {
			t.Errorf("%s: valid %v %v", c.name, valid, err)
		}
		want := "0x1626ba7e" + "02" + strings.Repeat("0", 62) + strings.Repeat("0", 62) + "40" + strings.Repeat("0", 62) + "02" + "0304" + strings.Repeat("0", 60)
		if !strings.Contains(body, want) || !strings.Contains(body, `"to":"0x0100000000000000000000000000000000000000"`) {
			t.Errorf("%s: asked %s", c.name, body)
		}
		node.Close()
	}
	if _, err := NewRPC("http://127.0.0.1:1").IsContract(t.Context(), [20]byte{}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody answers: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("0x00", true)
	f.Add("1111", false)
	f.Fuzz(func(t *testing.T, signature string, ethereum bool) {
		c := Challenge{Chain: Solana, Address: base58.Encode(make([]byte, 32)), Message: "m", ExpiresAt: now.Add(Life)}
		if ethereum {
			c.Chain, c.Address = Ethereum, "0x"+strings.Repeat("0", 40)
		}
		if err := c.Verify(t.Context(), signature, now, nil); err == nil {
			t.Fatalf("%q was accepted", signature)
		}
	})
}
