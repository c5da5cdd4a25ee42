package caddymodule

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/internal/store"
)

// secrets are the configured secrets, resolved. They are in no exported field, so that no
// log and no dump of the configuration shows them.
type secrets struct {
	list [][]byte
}

// readSecrets resolves placeholders. The result is empty when none is configured.
func readSecrets(secret string, previous []string) (*secrets, error) {
	s := &secrets{}
	if secret == "" {
		if len(previous) > 0 {
			return nil, errors.New("secret: previous secrets are given, but none in use")
		}
		return s, nil
	}
	for _, text := range append([]string{secret}, previous...) {
		value, err := caddy.NewReplacer().ReplaceOrErr(text, true, true)
		if err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		if len(value) < store.MinSecret {
			return nil, fmt.Errorf("secret: it has %d bytes, at least %d are needed; make one with “openssl rand -base64 48”", len(value), store.MinSecret)
		}
		s.list = append(s.list, []byte(value))
	}
	return s, nil
}

// keyring returns the keys of the configured secrets, or of a secret of its own that is kept
// in a file at path.
func (s *secrets) keyring(path string) (*store.Keyring, error) {
	if len(s.list) > 0 {
		return store.NewKeyring(s.list[0], s.list[1:]...)
	}
	secret, err := ownSecret(path)
	if err != nil {
		return nil, err
	}
	return store.NewKeyring(secret)
}

// ownSecret reads the secret at path, or makes one. The file is complete or absent: it is
// written under another name first.
func ownSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("secret file %s has mode %#o; it must be 0600", path, info.Mode().Perm())
	case err == nil:
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the secret: %w", err)
		}
		return []byte(strings.TrimSpace(string(text))), nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	var b [48]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("draw a secret: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(b[:])
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("write the secret: %w", err)
	}
	_, werr := f.WriteString(text + "\n")
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("write the secret: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return nil, fmt.Errorf("write the secret: %w", err)
	}
	return []byte(text), nil
}
