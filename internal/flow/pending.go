package flow

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/wallet"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/policy"
)

const (
	// pendingLife is how long a flow can be finished.
	pendingLife = time.Hour
	// maxReturn bounds the return address inside a flow id, so that the id fits every URL.
	maxReturn = 4 << 10
	// maxPendingID bounds what is looked at before it is opened.
	maxPendingID = 8 << 10
	pendingLabel = "flow id"
)

// Pending is a flow: what a visitor was asked for and where they were going. It grants
// nothing. It is only ever a hint for a page; the gate decides anew on every request.
type Pending struct {
	// Host and Return are the site and the path with query to go back to by GET.
	Host   string `cbor:"1,keyasint"`
	Return string `cbor:"2,keyasint"`
	// Rule is the name of the rule that asked.
	Rule string `cbor:"3,keyasint,omitempty"`
	// Required is the requirement in its canonical text; empty when signing in is enough.
	Required string `cbor:"4,keyasint,omitempty"`
	// Family binds a step-up to the session that was asked; empty for a sign-in.
	Family    string    `cbor:"5,keyasint,omitempty"`
	CreatedAt time.Time `cbor:"6,keyasint"`
	// Method is the way of proving that the visitor chose; empty before they chose.
	Method string `cbor:"7,keyasint,omitempty"`
	// Email or Phone, and MethodID, say where a code was sent, CodeExpires how long it works;
	// empty before one was.
	Email       string    `cbor:"8,keyasint,omitempty"`
	MethodID    string    `cbor:"9,keyasint,omitempty"`
	CodeExpires time.Time `cbor:"10,keyasint,omitempty"`
	// Window is the id under which a script of an application opened the flow in a window of
	// its own, which is closed at the end; empty otherwise.
	Window string `cbor:"11,keyasint,omitempty"`
	Phone  string `cbor:"12,keyasint,omitempty"`
	// Remember is set when the visitor asked to have this device remembered at the end.
	Remember bool `cbor:"13,keyasint,omitempty"`
	// RequestID is the reference of the request that was not let pass; empty when the flow began
	// otherwise.
	RequestID string `cbor:"14,keyasint,omitempty"`
	// Held is the id of the request that is sent on at the end; empty when none waits.
	Held string `cbor:"15,keyasint,omitempty"`
}

// ExpiresAt is when the flow can no longer be finished.
func (p Pending) ExpiresAt() time.Time { return p.CreatedAt.Add(pendingLife) }

// Begin returns the id of a flow that starts now.
func (e *Engine) Begin(p Pending) (id string, err error) {
	p.CreatedAt = e.db.Now()
	return e.Continue(p)
}

// Continue returns the id of a flow that goes on: the same flow with what changed. The id is
// sealed: it shows nothing, cannot be altered, and needs no storage. Of an address to return to
// that makes it too long for a URL, the query is left out, and then the path.
func (e *Engine) Continue(p Pending) (id string, err error) {
	path, _, _ := strings.Cut(p.Return, "?")
	for _, p.Return = range []string{p.Return, path, "/"} {
		if len(p.Return) > maxReturn || p.Return == "" {
			continue
		}
		if id, err = e.seal(p); err != nil || len(id) <= maxPendingID {
			return id, err
		}
	}
	return "", fmt.Errorf("the id of a flow would be %d bytes long: its requirement is too long", len(id))
}

func (e *Engine) seal(p Pending) (string, error) {
	plain, err := cbor.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode flow: %w", err)
	}
	sealed, err := e.db.Keyring().Seal(pendingLabel, plain)
	if err != nil {
		return "", fmt.Errorf("seal flow: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Pending opens a flow id on the site it was made for. Anything but a live flow of this
// visitor is ErrNotFound, whatever is wrong with it.
func (e *Engine) Pending(v Visitor, host, id string) (Pending, error) {
	if len(id) > maxPendingID {
		return Pending{}, ErrNotFound
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil {
		return Pending{}, with(ErrNotFound, err, 0)
	}
	plain, err := e.db.Keyring().Open(pendingLabel, sealed)
	if err != nil {
		return Pending{}, with(ErrNotFound, err, 0)
	}
	var p Pending
	if err := cbor.Unmarshal(plain, &p); err != nil {
		return Pending{}, with(ErrNotFound, err, 0)
	}
	mine := p.Family == "" || v.Session != nil && v.Session.Family == p.Family
	if !mine || p.Host != host || !e.db.Now().Before(p.ExpiresAt()) {
		return Pending{}, ErrNotFound
	}
	return p, nil
}

// required is what the flow that a visitor is in asks for; nil outside a flow of theirs.
func (e *Engine) required(v Visitor) *policy.Requirement {
	_, host, known := strings.Cut(v.Origin, "://")
	if v.Flow == "" || !known {
		return nil
	}
	p, err := e.Pending(v, host, v.Flow)
	if err != nil || p.Required == "" {
		return nil
	}
	required, err := policy.ParseRequirement(p.Required)
	if err != nil {
		return nil
	}
	return required
}

// Option is one factor that would help with a flow.
type Option struct {
	// Factor is the name that the policy uses.
	Factor string `json:"factor"`
	// Enrolled tells whether the user could prove it now.
	Enrolled bool `json:"enrolled"`
	// Hint helps to tell credentials apart, such as a masked address. It may be empty.
	Hint string `json:"hint,omitempty"`
	// Credentials are what the user could prove it with.
	Credentials []Credential `json:"-"`
}

// Credential is one enrolled credential that would help with a flow.
type Credential struct {
	ID, Hint string
	// Variant is the provider of an identity or the chain of a wallet.
	Variant string
}

// Progress is how far a visitor has come with a flow.
type Progress struct {
	Pending   Pending
	Required  *policy.Requirement
	Satisfied bool
	Missing   []Missing
	Options   []Option
	// Rememberable is for how long this device could be remembered at the end; 0 when the
	// requirement knows of no such thing, or the device is remembered already.
	Rememberable time.Duration
}

// Missing is one alternative set of factors that would meet the requirement.
type Missing []MissingFactor

// Enrolled tells whether the user could prove every factor of the set now.
func (m Missing) Enrolled() bool {
	return !slices.ContainsFunc(m, func(f MissingFactor) bool { return !f.Enrolled })
}

// MissingFactor is one factor of such a set.
type MissingFactor struct {
	Factor string `json:"factor"`
	// MaxAge is how old the proof may be, in seconds; 0 when its age does not matter.
	MaxAge int64 `json:"max_age,omitempty"`
	// Once is set when the proof serves one request and is then spent.
	Once     bool `json:"once,omitempty"`
	Enrolled bool `json:"enrolled"`
}

// Progress tells what a visitor still has to prove for a flow: also what they proved before it
// and would be asked for again within a minute. Options lists only factors
// that would help, those that can be proven at once first.
func (e *Engine) Progress(ctx context.Context, v Visitor, p Pending) (Progress, error) {
	out := Progress{Pending: p}
	if v.Session == nil {
		return out, nil
	}
	if p.Required == "" {
		out.Satisfied = true
		return out, nil
	}
	required, err := policy.ParseRequirement(p.Required)
	if err != nil {
		return out, asError(err)
	}
	return e.progress(ctx, v, out, required)
}

func (e *Engine) progress(ctx context.Context, v Visitor, out Progress, required *policy.Requirement) (Progress, error) {
	out.Required = required
	s := e.subject(v)
	missing := func(can func(*policy.Need) bool) [][]policy.Need {
		return required.MissingAhead(s, e.db.Now(), out.Pending.CreatedAt, can)
	}
	all := missing(nil)
	if len(all) == 0 {
		out.Satisfied = true
		return out, nil
	}
	if s.RememberedAt.IsZero() {
		out.Rememberable = required.Remembers()
	}
	u, err := e.User(ctx, v)
	if err != nil {
		return out, err
	}
	can := e.provable(v, &u)
	// What the user could prove comes first, then what they could set up here: of many
	// alternatives only some are listed.
	own := missing(func(n *policy.Need) bool { return option(can, &u, *n).Enrolled })
	here := missing(func(n *policy.Need) bool { return e.offersNamed(n.Factor) })
	seen := make(map[string]bool)
	var later []Option
	for _, set := range merged(own, here, all) {
		var m Missing
		for _, need := range set {
			o := option(can, &u, need)
			m = append(m, MissingFactor{Factor: need.Factor, MaxAge: int64(need.MaxAge / time.Second), Once: need.Once, Enrolled: o.Enrolled})
			if seen[need.Factor] || !e.offersNamed(need.Factor) {
				continue
			}
			seen[need.Factor] = true
			if !o.Enrolled {
				later = append(later, o)
				continue
			}
			out.Options = append(out.Options, o)
			if need.Factor == string(factors.TOTP) && !need.NoRecovery && u.Recovery.Left() > 0 {
				out.Options = append(out.Options, Option{Factor: string(factors.RecoveryCode), Enrolled: true})
			}
		}
		out.Missing = append(out.Missing, m)
	}
	out.Options = append(out.Options, later...)
	return out, nil
}

// maxMissing bounds the alternatives that a flow lists.
const maxMissing = 64

// merged joins lists of alternatives, each once.
func merged(lists ...[][]policy.Need) [][]policy.Need {
	var out [][]policy.Need
	for _, set := range slices.Concat(lists...) {
		if len(out) < maxMissing && !slices.ContainsFunc(out, func(o []policy.Need) bool { return slices.Equal(o, set) }) {
			out = append(out, set)
		}
	}
	return out
}

// offersNamed tells whether a factor, by its name in the policy, can be proven here at all.
func (e *Engine) offersNamed(name string) bool {
	base, variant, _ := strings.Cut(name, ":")
	switch p := factors.Product(base); p {
	case factors.WebAuthn, factors.Passkey:
		return e.offersKeys()
	case factors.OAuth:
		_, err := e.provider(variant)
		return err == nil || variant == "" && len(e.Providers()) > 0
	case factors.CryptoWallet:
		return e.Offers(p) && (variant == "" || slices.Contains(e.opts.Chains, wallet.Chain(variant)))
	default:
		return e.Offers(p)
	}
}

// provable lists what a user could prove now, in this browser and on this site. A mailbox that is
// not verified yet is among them: proving it in the user's own session verifies it.
func (e *Engine) provable(v Visitor, u *account.User) []policy.Factor {
	rp, err := e.relyingParty(v)
	can := u.Enrolled()
	for _, m := range u.Emails {
		if !m.Verified {
			can = append(can, policy.Factor{Name: string(factors.EmailOTP), ID: m.ID}, policy.Factor{Name: string(factors.MagicLink), ID: m.ID})
		}
	}
	return slices.DeleteFunc(can, func(f policy.Factor) bool {
		if !e.offersNamed(named(f)) {
			return true
		}
		k := u.Key(f.ID)
		return k != nil && (err != nil || k.RPID != rp.ID)
	})
}

// option tells whether any of the factors that can be proven is the one that is missing, and
// how to tell it from others.
func option(can []policy.Factor, u *account.User, need policy.Need) Option {
	o := Option{Factor: need.Factor}
	for _, f := range can {
		if !meets(need, f) {
			continue
		}
		o.Enrolled = true
		c := Credential{ID: f.ID, Hint: hint(u, f.ID), Variant: f.Variant}
		if o.Hint == "" {
			o.Hint = c.Hint
		}
		o.Credentials = append(o.Credentials, c)
	}
	return o
}

// meets tells whether an enrolled factor, once proven, would be the one that is missing.
func meets(need policy.Need, f policy.Factor) bool {
	base, variant, _ := strings.Cut(need.Factor, ":")
	if need.AAGUIDs != "" && !slices.Contains(strings.Fields(need.AAGUIDs), strings.ToLower(f.AAGUID)) || need.DeviceBound && f.BackupEligible {
		return false
	}
	if base == string(factors.Passkey) {
		if !f.Discoverable {
			return false
		}
		base, need.UserVerified = string(factors.WebAuthn), true
	}
	return f.Name == base && (variant == "" || f.Variant == variant) &&
		(!need.UserVerified || f.UserVerified) && (need.Attachment == "" || f.Attachment == need.Attachment)
}

// hint describes a credential to somebody who may have proven less than it.
func hint(u *account.User, id string) string {
	if m := u.Email(id); m != nil {
		return account.MaskEmail(m.Address)
	}
	if p := u.Phone(id); p != nil {
		return account.MaskPhone(p.Number)
	}
	if k := u.Key(id); k != nil {
		return k.Name
	}
	return ""
}

// StepUp begins a flow for a requirement of the gateway's own, such as that for changing
// factors. It returns to a page of the portal.
func (e *Engine) StepUp(s *session.Session, host, returnTo string, required *policy.Requirement) (string, error) {
	return e.Begin(Pending{Host: host, Return: returnTo, Required: required.String(), Family: s.Family})
}
