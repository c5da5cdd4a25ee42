// Package flow is the engine of sign-in and step-up: it verifies proofs, turns them into
// sessions through AddProof, and changes what a user has enrolled. Pages and the JSON API
// are two renderings of it.
//
// A flow, the thing that a challenge page is about, is a sealed text: what was asked, by
// which rule, for which session, and where to return. It needs no storage, so visitors who
// never sign in cost nothing, tabs never fight over one, and it works on every node.
package flow

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/magiclink"
	"github.com/stepgate/stepgate/factors/oauth"
	"github.com/stepgate/stepgate/factors/password"
	"github.com/stepgate/stepgate/factors/wallet"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/session"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// Registration says who may make an account. The zero value is closed.
type Registration struct {
	// Open lets anybody who proves a mailbox make an account.
	Open bool
	// Domains, when not empty, limits Open to mailboxes of these domains.
	Domains []string
}

func (r Registration) allows(folded string) bool {
	_, domain, _ := strings.Cut(folded, "@")
	return r.Open && (len(r.Domains) == 0 || slices.Contains(r.Domains, domain))
}

// Options are the operator's choices.
type Options struct {
	// Offered lists the products that can be proven at all, in the order of preference.
	Offered []factors.Product
	// Primary lists those that may start a session.
	Primary []factors.Product
	// Registration says who may make an account.
	Registration Registration
	// CodeLife is how long a code sent by message works, LinkLife a mailed link.
	CodeLife, LinkLife time.Duration
	// Countries lists the regions (ISO 3166-1 alpha-2) whose phone numbers are accepted;
	// empty accepts all.
	Countries []string
	// RPID is the relying party id of WebAuthn on all hosts below it and on RelatedOrigins;
	// empty makes each host its own.
	RPID           string
	RelatedOrigins []string
	// Chains lists the blockchains whose wallets are accepted.
	Chains []wallet.Chain
	// Issuer is the name of the site in authenticator apps and messages.
	Issuer string
}

// Config is what New needs.
type Config struct {
	DB       *store.DB
	Accounts *account.Accounts
	Sessions *session.Manager
	Hasher   *password.Hasher
	Breaches password.BreachChecker
	Keys     *webauthn.Verifier
	// Providers are the identity providers, in the order in which pages offer them.
	Providers []*oauth.Provider
	// Contracts judges signatures of contract wallets; nil accepts none.
	Contracts wallet.ContractVerifier
	Queue     *delivery.Queue
	// Policies lists the policies in force; nil stands for none. They decide nothing here: they
	// say what a user would no longer reach.
	Policies func() []*policy.Policy
	Audit    audit.Recorder
	Rand     io.Reader
	Options  Options
}

// Engine verifies proofs and changes accounts. Its methods are safe for parallel use.
type Engine struct {
	db       *store.DB
	accounts *account.Accounts
	sessions *session.Manager
	hasher   *password.Hasher
	breaches password.BreachChecker
	keys     *webauthn.Verifier
	queue    *delivery.Queue
	audit    audit.Recorder
	rand     io.Reader
	opts     Options

	providers []*oauth.Provider
	contracts wallet.ContractVerifier
	policies  func() []*policy.Policy

	codes    store.Table[sentCode]
	links    store.Table[magiclink.Link]
	asked    store.Table[askedLinks]
	spent    store.Table[spent]
	attempts store.Table[oauthAttempt]

	walletTexts store.Table[wallet.Challenge]
}

// New returns an Engine. Its parts are shared with other engines over the same store.
func New(c Config) *Engine {
	if c.Policies == nil {
		c.Policies = func() []*policy.Policy { return nil }
	}
	return &Engine{
		db: c.DB, accounts: c.Accounts, sessions: c.Sessions, hasher: c.Hasher, breaches: c.Breaches,
		keys: c.Keys, queue: c.Queue, audit: c.Audit, rand: c.Rand, opts: c.Options,
		providers: c.Providers, contracts: c.Contracts, policies: c.Policies,
		codes:    store.NewTable[sentCode](c.DB, "fc/", 1),
		links:    store.NewTable[magiclink.Link](c.DB, "fl/", 1),
		asked:    store.NewTable[askedLinks](c.DB, "fk/", 1),
		spent:    store.NewTable[spent](c.DB, "fs/", 1),
		attempts: store.NewTable[oauthAttempt](c.DB, "fo/", 1),

		walletTexts: store.NewTable[wallet.Challenge](c.DB, "fw/", 1),
	}
}

// Options returns the operator's choices.
func (e *Engine) Options() Options { return e.opts }

// Now is the engine's clock.
func (e *Engine) Now() time.Time { return e.db.Now() }

// FormToken is the token that forms on a host carry for the session of a family; the family
// is empty for visitors who are not signed in.
func (e *Engine) FormToken(host, family string) string {
	return e.db.Keyring().Index("form token", host+"\x00"+family)
}

// Offers tells whether a product can be proven at all.
func (e *Engine) Offers(p factors.Product) bool {
	return slices.Contains(e.opts.Offered, p) || p == factors.RecoveryCode && e.Offers(factors.TOTP)
}

// starts tells whether a product is offered and may start a session.
func (e *Engine) starts(p factors.Product) bool {
	return slices.Contains(e.opts.Primary, p) && e.Offers(p)
}

// draw returns n random bytes.
func (e *Engine) draw(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(e.rand, b); err != nil {
		return nil, fmt.Errorf("draw random bytes: %w", err)
	}
	return b, nil
}

const browserBytes = 32

// NewBrowser returns an id by which a browser can be told from others.
func (e *Engine) NewBrowser() (string, error) {
	b, err := e.draw(browserBytes)
	return base64.RawURLEncoding.EncodeToString(b), asError(err)
}

// WellFormedBrowser tells whether a text can be an id that NewBrowser returned.
func WellFormedBrowser(id string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(id)
	return err == nil && len(b) == browserBytes
}

// Visitor is who makes a call: their session, if any, and where the call comes from.
type Visitor struct {
	// Session is nil for a visitor who is not signed in.
	Session *session.Session
	IP      netip.Addr
	// UserAgent is the header of that name, cut to a sane length.
	UserAgent string
	// Browser is the random id that the browser keeps, which tells it from others; empty for
	// one that keeps none.
	Browser string
	// Device is the value by which the browser shows that it is remembered; empty when it
	// shows none.
	Device string
	// Flow is the id of the flow in which the visitor proves something; empty outside one.
	Flow string
	// Origin is the configured origin of the site, such as "https://wiki.example.com"; empty
	// when the configuration does not name the host that was asked for.
	Origin string
}

// place is what messages call the site that a call came to.
func (e *Engine) place(v Visitor) string {
	if _, host, ok := strings.Cut(v.Origin, "://"); ok {
		return host
	}
	return e.opts.Issuer
}

// user returns the account of a signed-in visitor.
func (e *Engine) user(ctx context.Context, v Visitor) (account.User, store.Rev, error) {
	if v.Session == nil {
		return account.User{}, 0, ErrNoSession
	}
	u, rev, err := e.accounts.Get(ctx, v.Session.UserID)
	if err != nil {
		return account.User{}, 0, asError(err)
	}
	if u.Locked() {
		return account.User{}, 0, ErrNoSession
	}
	return u, rev, nil
}

// User returns the account of a signed-in visitor.
func (e *Engine) User(ctx context.Context, v Visitor) (account.User, error) {
	u, _, err := e.user(ctx, v)
	return u, err
}

func (e *Engine) record(v Visitor, ev audit.Event) {
	ev.Time = e.db.Now()
	if v.IP.IsValid() {
		ev.IPAddress = v.IP.String()
	}
	if v.Session != nil {
		ev.UserID, ev.SessionID = v.Session.UserID, v.Session.ID
	}
	e.audit.Record(ev)
}
