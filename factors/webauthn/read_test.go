package webauthn_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/webauthn"
)

// answerOf is an answer with an id, a challenge and a user handle of so many bytes.
func answerOf(id, challenge, handle int) []byte {
	client := fmt.Sprintf(`{"challenge":%q}`, b64(make([]byte, challenge)))
	return fmt.Appendf(nil, `{"rawId":%q,"response":{"clientDataJSON":%q,"userHandle":%q}}`, b64(make([]byte, id)), b64([]byte(client)), b64(make([]byte, handle)))
}

// Nothing of an answer is looked up before it has the form of one.
func TestReadBounds(t *testing.T) {
	for name, c := range map[string]struct {
		answer  []byte
		refused bool
	}{
		"smallest":             {answerOf(1, 16, 0), false},
		"longest id":           {answerOf(1023, 32, 32), false},
		"id too long":          {answerOf(1024, 32, 32), true},
		"no id":                {answerOf(0, 32, 32), true},
		"challenge too short":  {answerOf(32, 15, 32), true},
		"no challenge":         {answerOf(32, 0, 32), true},
		"as large as allowed":  {padded(64 << 10), false},
		"larger":               {padded(64<<10 + 1), true},
		"empty":                {nil, true},
		"null":                 {[]byte("null"), true},
		"a list":               {[]byte("[]"), true},
		"two objects":          {slices.Concat(answerOf(1, 16, 0), answerOf(1, 16, 0)), true},
		"deep":                 {bytes.Repeat([]byte("["), 60_000), true},
		"client data of null":  {[]byte(`{"rawId":"AA","response":{"clientDataJSON":"bnVsbA"}}`), true},
		"base64 of other sort": {bytes.Replace(answerOf(1, 16, 0), []byte(`"AA"`), []byte(`"+/"`), 1), true},
	} {
		_, err := webauthn.Read(c.answer)
		if c.refused != errors.Is(err, factors.ErrMalformed) || !c.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// padded is an answer of exactly so many bytes.
func padded(size int) []byte {
	a := answerOf(32, 32, 32)
	return append(a, bytes.Repeat([]byte(" "), size-len(a))...)
}

// Whatever a client sends, neither ceremony panics nor accepts it.
func FuzzAnswers(f *testing.F) {
	a := passkey()
	v := webauthn.New(webauthn.Options{})
	options := must(v.RegistrationOptions(site, alice, webauthn.Passkey, registering, nil))
	created := must(a.Create(options, site.Origin))
	credential := must(v.Register(site, alice, webauthn.Passkey, registering, nil, must(webauthn.Read(created)), noon))
	options = must(v.AuthenticationOptions(site, authenticating, nil, true))
	got := must(a.Get(options, site.Origin))
	f.Add(created)
	f.Add(got)
	f.Fuzz(func(t *testing.T, b []byte) {
		answer, err := webauthn.Read(b)
		if err != nil {
			return
		}
		_, err = v.Register(site, alice, webauthn.Passkey, authenticating, nil, answer, noon)
		if err == nil {
			t.Fatalf("registered with another challenge: %s", b)
		}
		_, err = v.Authenticate(site, alice.Handle, credential, authenticating, true, answer, noon)
		if err == nil && !sameAssertion(b, got) {
			t.Fatalf("proven by something else: %s", b)
		}
	})
}

// sameAssertion tells whether two answers hold the same signed parts, however they are written.
func sameAssertion(a, b []byte) bool {
	type signed struct {
		Response struct{ AuthenticatorData, ClientDataJSON string }
	}
	var x, y signed
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x == y
}
