package oauth

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
)

// fixedKeys answer always alike.
type fixedKeys struct{ err error }

func (k fixedKeys) VerifySignature(context.Context, string) ([]byte, error) {
	return []byte("payload"), k.err
}

// Keys that were read before the provider changed them are read again, once, and only then.
func TestKeysAreReadAgain(t *testing.T) {
	wrong, down := errors.New("wrong signature"), fmt.Errorf("fetching keys %w", errors.New("down"))
	for _, c := range []struct {
		first, second, want error
		again               int
	}{
		{nil, wrong, nil, 0}, {wrong, nil, nil, 1}, {wrong, wrong, wrong, 1}, {wrong, down, down, 1}, {down, nil, down, 0},
	} {
		again := 0
		k := remoteKeys{fixedKeys{c.first}, func() oidc.KeySet { again++; return fixedKeys{c.second} }}
		if _, err := k.VerifySignature(t.Context(), "token"); !errors.Is(err, c.want) || again != c.again {
			t.Errorf("%v, then %v: %v after %d more", c.first, c.second, err, again)
		}
	}
}
