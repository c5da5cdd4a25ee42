package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/boltstore"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "backup", Usage: "FILE", Short: "Copies the store of a running server into a file",
		Long: "Copies the store into a file while the server goes on. The file is checked, and readable with the secret only:\n" +
			"keep that too, in another place. To restore, stop the server, put the file in the store's place, and start.\n" +
			"Whoever was signed in signs in again, and links and codes that were under way are void.",
		CobraFunc: func(c *cobra.Command) {
			m := new(remote)
			m.flags(c)
			var force bool
			c.Flags().BoolVar(&force, "force", false, "Replace the file if it exists")
			c.Args = cobra.ExactArgs(1)
			c.Example = "  stepgate backup /var/backups/stepgate-$(date +%F).db"
			c.RunE = run(func(c *cobra.Command, args []string) error {
				out, err := m.backup(args[0], force)
				if err != nil {
					return err
				}
				return m.print(c, out, func(w io.Writer) error {
					_, err := fmt.Fprintf(w, "%s: %d bytes, checked\n", out.File, out.Bytes)
					return err
				})
			})
		},
	})
}

// backedUp is what a backup tells.
type backedUp struct {
	File  string    `json:"file"`
	Bytes int64     `json:"bytes"`
	At    time.Time `json:"at"`
}

// backup writes the copy beside its place, checks it, and puts it there. Whatever goes wrong, no
// file that looks like a backup is left.
func (m *remote) backup(path string, force bool) (out backedUp, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) && !force {
		if err == nil {
			err = errors.New("it exists; choose another name, or replace it with --force")
		}
		return backedUp{}, fmt.Errorf("%s: %w", path, err)
	}
	if boltstore.InUse(path) {
		return backedUp{}, fmt.Errorf("%s is a store that a server has open; choose another name", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".stepgate-backup-*") // mode 0600
	if err != nil {
		return backedUp{}, fmt.Errorf("back up: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	out = backedUp{File: path, At: time.Now().UTC()}
	err = m.exchange(http.MethodGet, "backup", nil, f, math.MaxInt64)
	if err = errors.Join(err, f.Close()); err != nil {
		return backedUp{}, err
	}
	if err := boltstore.FinishCopy(f.Name(), out.At); err != nil {
		return backedUp{}, err
	}
	info, err := os.Stat(f.Name())
	if err != nil {
		return backedUp{}, fmt.Errorf("back up: %w", err)
	}
	out.Bytes = info.Size()
	if err := os.Rename(f.Name(), path); err != nil {
		return backedUp{}, fmt.Errorf("back up: %w", err)
	}
	return out, nil
}

// copier is a store that can be copied while it is in use.
type copier interface{ Backup(w io.Writer) error }

func (p *people) backup(w http.ResponseWriter, _ *http.Request) {
	s, ok := any(p.engine.rt.store).(copier)
	if !ok {
		adminError(w, &flow.Error{Type: "no_backup", Status: http.StatusBadRequest, Detail: "this store is backed up by its own tools"})
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	if err := s.Backup(w); err != nil {
		p.engine.rt.warn("back up the store", err)
		panic(http.ErrAbortHandler) // so that nobody takes what was sent for the whole
	}
}

// copied is a store that can tell that it is a copy which was put in place of the original.
type copied interface {
	CopiedAt() (time.Time, error)
	ClearCopied() error
}

// restored makes a store fit for use that was put back from a copy. What people used up or ended
// since is unknown, so everything goes that is used up by using it: sessions, links, codes,
// messages that wait, remembered devices.
func (rt *runtime) restored(ctx context.Context) error {
	s, ok := any(rt.store).(copied)
	if !ok {
		return nil
	}
	at, err := s.CopiedAt()
	if err != nil || at.IsZero() {
		return err
	}
	deleted, err := store.KeepOnly(ctx, rt.store, slices.Concat([]string{metaPrefix}, account.Prefixes(), audit.Prefixes())...)
	if err != nil {
		return err
	}
	if err := rt.accounts.Restored(ctx, rt.db.Now()); err != nil {
		return err
	}
	rt.events.Record(audit.Event{Kind: audit.StoreRestored, Time: rt.db.Now(), ByAdmin: true})
	if err := rt.events.Flush(ctx); err != nil {
		return err
	}
	if err := s.ClearCopied(); err != nil {
		return err
	}
	rt.logger.Warn("the store was restored from a backup: all sessions, links, codes and remembered devices in it are void; changes of accounts since the backup are lost, and recovery codes used since work again",
		zap.Time("backup", at), zap.Int("deleted", deleted))
	return nil
}
