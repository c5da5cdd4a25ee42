package account

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/stepgate/stepgate/internal/store"
)

// Device is a browser in which the user proved complete multi-factor authentication and asked
// to have it remembered. Rules with remember_device may take it for one factor until it expires.
type Device struct {
	ID string `cbor:"1,keyasint"`
	// Secret recognises the random value that the browser keeps in a cookie; it is a keyed hash.
	Secret    string `cbor:"2,keyasint"`
	UserAgent string `cbor:"3,keyasint,omitempty"`
	// ProvenAt is when multi-factor authentication was complete in it.
	ProvenAt  time.Time `cbor:"4,keyasint"`
	ExpiresAt time.Time `cbor:"5,keyasint"`
}

// maxDevices bounds the remembered devices of one user; the one that expires first gives way.
const maxDevices = 20

// DeviceSecret is the stored form of the value that a browser keeps.
func (a *Accounts) DeviceSecret(value string) string {
	return a.db.Keyring().Index("remembered device", value)
}

// RememberDevice adds a device to u, which the caller stores, in the place of the one that keeps
// the value before, if any. Those that expired go.
func (a *Accounts) RememberDevice(u *User, before, value, agent string, until time.Time) error {
	id, err := uuid.NewRandomFromReader(a.rand)
	if err != nil {
		return fmt.Errorf("draw a device id: %w", err)
	}
	now := a.db.Now()
	old := a.DeviceSecret(before)
	u.Devices = slices.DeleteFunc(u.LiveDevices(now), func(d Device) bool { return before != "" && d.Secret == old })
	if len(u.Devices) >= maxDevices {
		slices.SortFunc(u.Devices, func(a, b Device) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
		u.Devices = u.Devices[len(u.Devices)-maxDevices+1:]
	}
	u.Devices = append(u.Devices, Device{
		ID: "device-" + id.String(), Secret: a.DeviceSecret(value), UserAgent: agent, ProvenAt: now, ExpiresAt: until,
	})
	return nil
}

// LiveDevices are the remembered devices that have not expired, in a list of its own.
func (u *User) LiveDevices(now time.Time) []Device {
	return slices.DeleteFunc(slices.Clone(u.Devices), func(d Device) bool { return !now.Before(d.ExpiresAt) })
}

func (a *Accounts) forgetDevices(ctx context.Context, userID, keep string) error {
	u, _, err := a.Get(ctx, userID)
	if err != nil || len(u.Devices) == 0 {
		return err
	}
	secret := a.DeviceSecret(keep)
	_, err = a.Update(ctx, userID, func(u *User, _ *store.Change) error {
		u.Devices = slices.DeleteFunc(slices.Clone(u.Devices), func(d Device) bool { return keep == "" || d.Secret != secret })
		return nil
	})
	return err
}
