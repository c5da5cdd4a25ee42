package caddymodule

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/internal/store/boltstore"
)

func init() {
	caddy.RegisterModule(&BoltStore{})
}

// StoreOpener is what modules in the namespace stepgate.stores provide.
type StoreOpener interface {
	// Key names the store; two configurations with one key share it.
	Key() string
	// SecretPath is where a secret of the store's own is kept.
	SecretPath() string
	open(now func() time.Time) (*boltstore.Store, error)
}

// BoltStore keeps state in one bbolt file. It belongs to one process.
type BoltStore struct {
	// Path of the file. It must not be on a network file system.
	// Default: stepgate/stepgate.db in Caddy's data directory.
	Path string `json:"path,omitempty"`

	path string
}

// CaddyModule implements caddy.Module.
func (*BoltStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate.stores.bolt", New: func() caddy.Module { return new(BoltStore) }}
}

// Provision implements caddy.Provisioner. It touches no file.
func (s *BoltStore) Provision(caddy.Context) error {
	path := s.Path
	if path == "" {
		path = filepath.Join(caddy.AppDataDir(), "stepgate", "stepgate.db")
	}
	path, err := caddy.NewReplacer().ReplaceOrErr(path, true, true)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if s.path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	return nil
}

// UnmarshalCaddyfile implements caddyfile.Unmarshaler. Syntax:
//
//	bolt [<path>]
func (s *BoltStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.ArgErr()
	}
	if len(args) == 1 {
		s.Path = args[0]
	}
	return noBlock(d)
}

// Key implements StoreOpener.
func (s *BoltStore) Key() string { return s.path }

// SecretPath implements StoreOpener.
func (s *BoltStore) SecretPath() string { return s.path + ".secret" }

func (s *BoltStore) open(now func() time.Time) (*boltstore.Store, error) {
	return boltstore.Open(s.path, now)
}

// noBlock refuses a block where none belongs.
func noBlock(d *caddyfile.Dispenser) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("unrecognized option %q", d.Val())
	}
	return nil
}

// Interface guards.
var (
	_ StoreOpener           = (*BoltStore)(nil)
	_ caddy.Provisioner     = (*BoltStore)(nil)
	_ caddyfile.Unmarshaler = (*BoltStore)(nil)
)
