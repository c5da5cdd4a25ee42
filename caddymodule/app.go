package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/factors/oauth"
	"github.com/stepgate/stepgate/factors/wallet"
	"github.com/stepgate/stepgate/factors/webauthn"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/policy"
)

func init() {
	caddy.RegisterModule(&App{})
}

// App is the Stepgate app: one store, one engine, and what all gates share.
//
// It logs under `stepgate`, and what an auditor wants to know under `stepgate.audit`. The same
// is counted in `stepgate_events_total{kind}` and emitted as events: `stepgate_factor_proven`,
// `stepgate_factor_refused`, `stepgate_factor_added`, `stepgate_factor_removed`,
// `stepgate_session_started`, `stepgate_session_upgraded`, `stepgate_session_revoked`,
// `stepgate_account_created`, `stepgate_account_locked`, `stepgate_account_unlocked`,
// `stepgate_account_deleted`, `stepgate_groups_changed`, `stepgate_claims_changed`,
// `stepgate_reset_link_issued`, `stepgate_attempts_locked`, `stepgate_password_changed`,
// `stepgate_password_reset`, `stepgate_device_remembered`, `stepgate_device_forgotten`,
// `stepgate_invitation_issued`, `stepgate_break_glass_issued`, `stepgate_break_glass_revoked`,
// `stepgate_break_glass_refused`, `stepgate_break_glass_used` and `stepgate_webauthn_cloned`,
// with `user_id`, `session_id`, `factor`, `reason`, `by_admin` and `actor_id`.
type App struct {
	// StoreRaw is where state is kept.
	// Default: bolt in Caddy's data directory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=stepgate.stores inline_key=engine"`

	// Secret seals the store and signs assertions: 32 bytes or more. Placeholders {file.*} and
	// {env.*} are read when the configuration is loaded.
	// Default: a random one, kept in a file beside the store.
	Secret string `json:"secret,omitempty"`

	// PreviousSecrets still open what they sealed, while a secret is being replaced.
	// Default: none.
	PreviousSecrets []string `json:"previous_secrets,omitempty"`

	// Policy is the policy file of every gate that names none of its own.
	// Default: none; each gate must then name one.
	Policy string `json:"policy,omitempty"`

	// Name is what authenticator apps and messages call the site.
	// Default: Stepgate.
	Name string `json:"name,omitempty"`

	// Session says when sessions end.
	Session SessionConfig `json:"session,omitzero"`

	// Lockout says when failures in a row pause the passwords and codes of an account.
	Lockout LockoutConfig `json:"lockout,omitzero"`

	// Hold is how large a form may be, from 1KiB to 8MiB, that is kept while its sender is asked
	// for a further proof of identity, and is then sent on. With “off” none is kept, and after the
	// proof people come back to the page with the form. Forms wait sealed in the store, for 10
	// minutes, at most 8 for each user.
	// Default: 1MiB.
	Hold string `json:"hold,omitempty"`

	// Registration says who may make an account.
	Registration RegistrationConfig `json:"registration,omitzero"`

	// MailRaw sends e-mail.
	// Default: none; then factors that need mail cannot be used.
	MailRaw json.RawMessage `json:"mail,omitempty" caddy:"namespace=stepgate.senders inline_key=sender"`

	// SMSRaw sends text messages.
	// Default: none; then factors that need text messages cannot be used.
	SMSRaw json.RawMessage `json:"sms,omitempty" caddy:"namespace=stepgate.senders inline_key=sender"`

	// WhatsAppRaw sends WhatsApp messages.
	// Default: none; then factors that need WhatsApp cannot be used.
	WhatsAppRaw json.RawMessage `json:"whatsapp,omitempty" caddy:"namespace=stepgate.senders inline_key=sender"`

	// FactorsRaw are the factors that are offered at all, with their options.
	// Default: password, email_otp, magic_link, totp, webauthn and passkey.
	FactorsRaw caddy.ModuleMap `json:"factors,omitempty" caddy:"namespace=stepgate.factors"`

	// Primary are the factors that may start a session.
	// Default: all offered ones that ever may.
	Primary []string `json:"primary,omitempty"`

	// DecisionLog writes what was decided to a file, for “policy explain --request” and “policy
	// simulate”.
	// Default: none.
	DecisionLog *DecisionLogConfig `json:"decision_log,omitempty"`

	// AuditKeep is how long audit entries are kept, 1d to 3650d. At most 200,000 of each chain are.
	// Default: 400d.
	AuditKeep caddy.Duration `json:"audit_keep,omitempty"`

	ctx     caddy.Context
	logger  *zap.Logger
	keys    *secrets
	opener  StoreOpener
	makers  map[delivery.Channel]SenderMaker
	options flow.Options
	hashing PasswordFactor
	// authenticators, providers and contracts are what the factors of these products bring.
	authenticators webauthn.Options
	providers      []*oauth.Provider
	contracts      wallet.ContractVerifier

	policies *policyFiles
	events   *caddyevents.App

	mu      sync.Mutex
	runtime *runtime
	engine  *engine
	// gone is set by Cleanup: what is not open then stays closed.
	gone bool
	// origin is the one of the first gated site of the server originServer.
	origin, originServer string
}

// CaddyModule implements caddy.Module.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "stepgate", New: func() caddy.Module { return new(App) }}
}

// Provision implements caddy.Provisioner. It reads configuration and opens nothing: the store
// is opened by Start, so that `validate` can run beside a server.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	if err := registerMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	if err := a.provisionEvents(ctx); err != nil {
		return err
	}
	a.policies = newPolicyFiles(a.logger)
	if a.StoreRaw == nil {
		a.StoreRaw = json.RawMessage(`{"engine":"bolt"}`)
	}
	mod, err := ctx.LoadModule(a, "StoreRaw")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	opener, ok := mod.(StoreOpener)
	if !ok {
		return fmt.Errorf("store: module %T is no store", mod)
	}
	a.opener = opener
	if err := a.checkAuditKeep(); err != nil {
		return err
	}
	if a.keys, err = readSecrets(a.Secret, a.PreviousSecrets); err != nil {
		return err
	}
	if err := a.provisionSenders(ctx); err != nil {
		return err
	}
	if a.DecisionLog != nil {
		if err := a.DecisionLog.provision(ctx); err != nil {
			return fmt.Errorf("decision_log: %w", err)
		}
	}
	if a.Policy != "" {
		if err := a.policies.add(a.Policy); err != nil {
			return err
		}
	}
	return a.provisionFactors(ctx)
}

func (a *App) provisionFactors(ctx caddy.Context) error {
	if len(a.FactorsRaw) == 0 {
		a.FactorsRaw = make(caddy.ModuleMap)
		for _, p := range a.offered() {
			a.FactorsRaw[string(p)] = json.RawMessage(`{}`)
		}
	}
	loaded, err := ctx.LoadModule(a, "FactorsRaw")
	if err != nil {
		return fmt.Errorf("factors: %w", err)
	}
	o := flow.Options{CodeLife: defaultCodeLife, LinkLife: defaultLinkLife, Issuer: a.Name}
	if o.Issuer == "" {
		o.Issuer = "Stepgate"
	}
	mods := loaded.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(mods)) {
		mod := mods[name]
		f, ok := mod.(FactorGuest)
		if !ok {
			return fmt.Errorf("factors: module %T is no factor", mod)
		}
		if err := f.apply(a, &o); err != nil {
			return fmt.Errorf("factors: %w", err)
		}
		o.Offered = append(o.Offered, factors.Product(name))
	}
	if o.Primary, err = a.primary(o.Offered); err != nil {
		return err
	}
	if !combine(o.Offered) {
		a.logger.Warn("the factors that are offered never prove two different things: nobody can open the admin pages, and no rule that asks for two factors can be met")
	}
	switch a.Registration.Mode {
	case "", "invite", "closed":
		if len(a.Registration.Domains) > 0 {
			return errors.New("registration: domains belong to open registration")
		}
	case "open":
		o.Registration = flow.Registration{Open: true}
		for _, d := range a.Registration.Domains {
			o.Registration.Domains = append(o.Registration.Domains, strings.ToLower(d))
		}
	default:
		return fmt.Errorf("registration: unknown mode %q, expected closed, invite or open", a.Registration.Mode)
	}
	a.options = o
	return nil
}

// combine tells whether any two of the factors make a secure combination.
func combine(offered []factors.Product) bool {
	var all []policy.Factor
	for _, p := range offered {
		all = append(all, policy.Factor{Name: string(p)})
	}
	return policy.SecureCombination(all)
}

// offered lists the factors of the configuration, or those by default.
func (a *App) offered() []factors.Product {
	if len(a.FactorsRaw) == 0 {
		return []factors.Product{
			factors.EmailOTP, factors.MagicLink, factors.Passkey, factors.Password, factors.TOTP, factors.WebAuthn,
		}
	}
	var out []factors.Product
	for _, name := range slices.Sorted(maps.Keys(a.FactorsRaw)) {
		out = append(out, factors.Product(name))
	}
	return out
}

// primary reads which factors may start a session; the list is never empty.
func (a *App) primary(offered []factors.Product) ([]factors.Product, error) {
	var out []factors.Product
	if len(a.Primary) == 0 {
		for _, p := range offered {
			if p.MayStart() {
				out = append(out, p)
			}
		}
	}
	for _, name := range a.Primary {
		p := factors.Product(name)
		switch {
		case !p.MayStart():
			return nil, fmt.Errorf("primary: %q can never start a session", name)
		case !slices.Contains(offered, p):
			return nil, fmt.Errorf("primary: %q is not among the factors that are offered", name)
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, errors.New("primary: no factor that is offered may start a session")
	}
	return out, nil
}

// Validate implements caddy.Validator.
func (a *App) Validate() error {
	if err := a.Session.check(); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	if l := a.Lockout.lockout(); l.After < 3 || l.After > 50 || l.For < time.Minute || l.For > 24*time.Hour {
		return errors.New("lockout: after 3 to 50 failures, for 1m to 24h")
	}
	_, err := a.holdLimit()
	return err
}

// Start implements caddy.App. It opens the store and watches the policy files.
func (a *App) Start() error {
	e, err := a.use()
	if err != nil {
		return err
	}
	if err := a.policies.watch(a.ctx); err != nil {
		return err
	}
	return e.announceSetup(a.ctx, a.originForLinks())
}

// Stop implements caddy.App. The store stays open until the last configuration that uses it
// is gone.
func (*App) Stop() error { return nil }

// Cleanup implements caddy.CleanerUpper. It also runs after a failed Provision, and while
// requests of this configuration are still under way: it gives back only what was taken, and
// leaves the references in place.
func (a *App) Cleanup() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = true
	if a.runtime == nil {
		return nil
	}
	var logged error
	if a.engine != nil {
		a.runtime.leave(a.engine)
		if a.DecisionLog != nil {
			logged = a.DecisionLog.close()
		}
	}
	_, err := runtimes.Delete(a.opener.Key())
	return errors.Join(logged, err)
}

// use returns the engine, opening the store on first use: a request may come before Start.
func (a *App) use() (*engine, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.engine != nil {
		return a.engine, nil
	}
	if a.gone {
		return nil, errors.New("the configuration is no longer in use")
	}
	rt, err := openRuntime(a.opener, a.keys, a.logger)
	if err != nil {
		return nil, err
	}
	a.runtime = rt
	e, err := newEngine(a, rt)
	if err != nil {
		return nil, err
	}
	a.engine = e
	return e, nil
}

// noteOrigin remembers how people reach a gate, for links that no request asked for. The
// first site of the first server is taken, whatever order they are provisioned in.
func (a *App) noteOrigin(server, origin string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if origin != "" && (a.origin == "" || server < a.originServer) {
		a.origin, a.originServer = origin, server
	}
}

func (a *App) originForLinks() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.origin == "" {
		return "https://YOUR-SITE"
	}
	return a.origin
}

// Interface guards.
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
