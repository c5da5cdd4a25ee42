package flow

import (
	"context"
	"crypto/subtle"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// RememberedAt is when the user of a session completed multi-factor authentication in the
// browser that keeps the value device; the zero time when it is not remembered for that user,
// no longer, or not at all.
func (e *Engine) RememberedAt(s *session.Session, device string) time.Time {
	if s == nil || device == "" || len(s.User.Devices) == 0 {
		return time.Time{}
	}
	now, secret := e.db.Now(), []byte(e.accounts.DeviceSecret(device))
	for _, d := range s.User.Devices {
		if subtle.ConstantTimeCompare([]byte(d.Secret), secret) == 1 && now.Before(d.ExpiresAt) {
			return d.ProvenAt
		}
	}
	return time.Time{}
}

// subject is a signed-in visitor as the policy reads one, in this browser.
func (e *Engine) subject(v Visitor) *policy.Subject {
	s := *v.Session.Subject()
	s.RememberedAt = e.RememberedAt(v.Session, v.Device)
	return &s
}

// browserKey is the stored form of the id that a browser keeps.
func (e *Engine) browserKey(v Visitor) string {
	if v.Browser == "" {
		return ""
	}
	return e.db.Keyring().Index("browser", v.Browser)
}

// Remembered is what a browser has to keep to be recognised.
type Remembered struct {
	Value     string
	ExpiresAt time.Time
}

// RememberDevice remembers the visitor's browser for as long as the requirement of their flow
// says. It does so only when everything that was required was proven in this very browser, so
// that a stolen cookie is no way to one; else, and when the requirement remembers nothing, the
// result is zero and nothing changes.
func (e *Engine) RememberDevice(ctx context.Context, v Visitor, required *policy.Requirement) (Remembered, error) {
	if v.Session == nil {
		return Remembered{}, ErrNoSession
	}
	if v.Session.ReadOnly {
		return Remembered{}, ErrSessionChanged
	}
	now, proven := e.db.Now(), v.Session.ProvenIn(e.browserKey(v))
	if required.Remembers() == 0 || !required.Met(proven, now) || !policy.SecureCombination(proven) {
		return Remembered{}, nil
	}
	value, err := e.NewBrowser()
	if err != nil {
		return Remembered{}, err
	}
	until := now.Add(required.Remembers())
	_, err = e.edit(ctx, v, func(u *account.User, _ *store.Change) error {
		return e.accounts.RememberDevice(u, v.Device, value, v.UserAgent, until)
	})
	if err != nil {
		return Remembered{}, err
	}
	e.record(v, audit.Event{Kind: audit.DeviceRemembered})
	return Remembered{Value: value, ExpiresAt: until}, e.notify(ctx, v.Session.UserID, noticeDevice, v)
}

// DeviceView is a remembered device as its owner sees it.
type DeviceView struct {
	DeviceID     string    `json:"device_id"`
	UserAgent    string    `json:"user_agent"`
	RememberedAt time.Time `json:"remembered_at"`
	ExpiresAt    time.Time `json:"expires_at"`
	// Current is set for the browser that asks.
	Current bool `json:"current"`
}

// Devices lists the visitor's remembered devices, the latest first.
func (e *Engine) Devices(ctx context.Context, v Visitor) ([]DeviceView, error) {
	u, err := e.User(ctx, v)
	if err != nil {
		return nil, err
	}
	mine := e.accounts.DeviceSecret(v.Device)
	out := []DeviceView{}
	for _, d := range u.LiveDevices(e.db.Now()) {
		out = append(out, DeviceView{
			DeviceID: d.ID, UserAgent: d.UserAgent, RememberedAt: d.ProvenAt, ExpiresAt: d.ExpiresAt, Current: v.Device != "" && d.Secret == mine,
		})
	}
	slices.SortStableFunc(out, func(a, b DeviceView) int { return b.RememberedAt.Compare(a.RememberedAt) })
	return out, nil
}

// ForgetDevice forgets one remembered device of the visitor. It only ever takes something away
// and asks for no further proof.
func (e *Engine) ForgetDevice(ctx context.Context, v Visitor, id string) error {
	_, err := e.edit(ctx, v, func(u *account.User, _ *store.Change) error {
		kept := slices.DeleteFunc(slices.Clone(u.Devices), func(d account.Device) bool { return d.ID == id })
		if len(kept) == len(u.Devices) {
			return store.ErrNotFound
		}
		u.Devices = kept
		return nil
	})
	if err != nil {
		return err
	}
	e.record(v, audit.Event{Kind: audit.DeviceForgotten, CredentialID: id})
	return nil
}
