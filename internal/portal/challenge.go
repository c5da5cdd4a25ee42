package portal

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/ui"
)

// strength orders what a challenge offers: what is hardest to steal comes first.
var strength = []string{
	"passkey", "webauthn", "totp", "crypto_wallet", "oauth", "password",
	"sms_otp", "whatsapp_otp", "email_otp", "magic_link", "recovery_code",
}

// challenge is what a visitor still has to do for a flow.
type challenge struct {
	pending  flow.Pending
	id       string
	progress flow.Progress
	methods  []ui.Method
	// held is the request that waits for the end; nil when none does.
	held *held.Head
}

// openChallenge opens a flow by its id. With the error held.ErrGone it returns the flow too.
func (p *Portal) openChallenge(c *call, id string) (*challenge, error) {
	pending, err := p.engine.Pending(c.visitor, c.visit.Host, id)
	if err != nil {
		return nil, err
	}
	c.visitor.Flow = id
	waits, err := p.heldFor(c, pending)
	if err != nil {
		return &challenge{pending: pending, id: id}, err
	}
	progress, err := p.engine.Progress(c.ctx(), c.visitor, pending)
	if err != nil {
		return nil, err
	}
	return &challenge{pending: pending, id: id, progress: progress, methods: p.methods(progress), held: waits}, nil
}

// methods lists the factors that the user can prove now and that lead to the end: those of
// the alternatives of which every factor is enrolled.
func (p *Portal) methods(progress flow.Progress) []ui.Method {
	var out []ui.Method
	var seen []string
	for _, set := range progress.Missing {
		if !set.Enrolled() {
			continue
		}
		for _, m := range set {
			if slices.Contains(seen, m.Factor) {
				continue
			}
			seen = append(seen, m.Factor)
			out = append(out, p.ways(progress, m.Factor)...)
		}
	}
	totp := slices.ContainsFunc(out, func(o ui.Method) bool { return o.Value == string(factors.TOTP) })
	if totp && slices.ContainsFunc(progress.Options, func(o flow.Option) bool { return o.Factor == string(factors.RecoveryCode) }) {
		out = append(out, ui.Method{Factor: string(factors.RecoveryCode), Value: string(factors.RecoveryCode)})
	}
	slices.SortStableFunc(out, func(a, b ui.Method) int {
		return slices.Index(strength, a.Factor) - slices.Index(strength, b.Factor)
	})
	return out
}

// ways lists how a factor can be proven: one way for each address, number, provider or chain.
func (p *Portal) ways(progress flow.Progress, factor string) []ui.Method {
	base, _, _ := strings.Cut(factor, ":")
	var out []ui.Method
	for _, o := range progress.Options {
		if o.Factor != factor {
			continue
		}
		for _, c := range o.Credentials {
			m := ui.Method{Factor: base, Value: factor, Hint: c.Hint}
			switch factors.Product(base) {
			case factors.EmailOTP, factors.MagicLink, factors.SMSOTP, factors.WhatsAppOTP:
				m.Value = base + "/" + c.ID
			case factors.OAuth:
				m.Value, m.Label = base+":"+c.Variant, p.label(c.Variant)
			case factors.CryptoWallet:
				m.Value, m.Label = base+":"+c.Variant, c.Variant
			}
			if !slices.ContainsFunc(out, func(o ui.Method) bool { return o.Value == m.Value }) {
				out = append(out, m)
			}
		}
	}
	return out
}

func (p *Portal) showChallenge(c *call) error {
	if c.visitor.Session == nil {
		pending, _, err := p.pending(c, c.r.URL.Query().Get("flow"))
		if err != nil {
			return err
		}
		return p.again(c, ui.PathSignIn, pending)
	}
	ch, err := p.openChallenge(c, c.r.URL.Query().Get("flow"))
	if err != nil {
		return p.over(c, ch, err)
	}
	if ch.progress.Satisfied && ch.held != nil {
		return p.repeat(c, ch)
	}
	if c.r.URL.Query().Get("window") == "1" && ch.pending.Window == "" {
		ch.pending.Window = ch.id
		return p.again(c, ui.PathChallenge, ch.pending)
	}
	if ch.progress.Satisfied {
		return p.finish(c, ch.pending)
	}
	if len(ch.methods) == 0 {
		return p.noFactor(c, ch)
	}
	return p.show(c, http.StatusOK, "step_up", p.challengePage(c, ch))
}

func (p *Portal) challengePage(c *call, ch *challenge) ui.Challenge {
	m := ui.Challenge{
		Common: p.common(c, ch.id), Target: ch.target(), Identity: p.identity(c),
		Method: ch.method(), Sent: ch.pending.MethodID != "", Lasts: lasts(ch.progress), Waiting: waiting(ch.pending),
		Rememberable: ch.progress.Rememberable, Remember: ch.pending.Remember,
	}
	if ch.held != nil {
		m.HeldUntil = ch.held.ExpiresAt
	}
	for _, o := range ch.methods {
		if o.Value != m.Method.Value {
			m.Others = append(m.Others, o)
		}
	}
	fewest := 0
	for _, set := range ch.progress.Missing {
		if set.Enrolled() && (fewest == 0 || len(set) < fewest) {
			fewest = len(set)
		}
	}
	m.Step, m.Steps = 1, fewest
	return m
}

// method is the way that the visitor chose, or else the strongest.
func (ch *challenge) method() ui.Method {
	for _, m := range ch.methods {
		if m.Value == ch.pending.Method {
			return m
		}
	}
	return ch.methods[0]
}

// lasts is how long the confirmation will hold.
func lasts(progress flow.Progress) time.Duration {
	if progress.Required == nil {
		return 0
	}
	return progress.Required.MaxAge()
}

func (p *Portal) postChallenge(c *call) error {
	if c.visitor.Session == nil {
		pending, _, err := p.pending(c, c.value("flow"))
		if err != nil {
			return err
		}
		return p.again(c, ui.PathSignIn, pending)
	}
	if c.value("action") == "cancel" {
		return p.cancel(c, c.value("flow"))
	}
	ch, err := p.openChallenge(c, c.value("flow"))
	if err != nil {
		return p.over(c, ch, err)
	}
	ch.pending.Remember = c.value("remember") == "yes" || ch.pending.Remember && !c.ticks()
	if ch.progress.Satisfied { // by a script, or in another tab
		return p.next(c, ch.pending)
	}
	if len(ch.methods) == 0 {
		return p.noFactor(c, ch)
	}
	if chosen := c.value("method"); chosen != "" && chosen != ch.pending.Method {
		ch.pending.Method = chosen
		if c.value("action") != "verify" {
			ch.pending.MethodID = ""
		}
	}
	switch c.value("action") {
	case "choose":
		return p.again(c, ui.PathChallenge, ch.pending)
	case "send":
		return p.sendChallengeCode(c, ch)
	case "start":
		return p.leaveForChallenge(c, ch)
	case "verify":
		return p.verifyChallenge(c, ch)
	case "continue":
		return p.next(c, ch.pending)
	}
	return errBody
}

// ticks tells whether a form has the box that asks to have the device remembered, so that its
// absence means no.
func (c *call) ticks() bool {
	switch c.value("action") {
	case "verify", "start", "continue":
		return true
	}
	return false
}

func (p *Portal) sendChallengeCode(c *call, ch *challenge) error {
	u, err := p.engine.User(c.ctx(), c.visitor)
	if err != nil {
		return err
	}
	product, id, _ := strings.Cut(ch.method().Value, "/")
	ch.pending.Method = ch.method().Value
	if e := u.Email(id); e != nil {
		ch.pending.Email = e.Address
	}
	if n := u.Phone(id); n != nil {
		ch.pending.Phone = n.Number
	}
	methodID, expires, err := p.sendFor(c, factors.Product(product), ch.pending)
	if err != nil {
		return p.challengeRefused(c, ch, err)
	}
	ch.pending.MethodID, ch.pending.CodeExpires = methodID, expires
	return p.again(c, ui.PathChallenge, ch.pending)
}

func (p *Portal) leaveForChallenge(c *call, ch *challenge) error {
	provider, ok := strings.CutPrefix(ch.method().Value, "oauth:")
	if !ok {
		return errBody
	}
	return p.leave(c, provider, ch.pending, ui.PathChallenge)
}

func (p *Portal) challengeRefused(c *call, ch *challenge, err error) error {
	e := personal(err)
	if e == nil {
		return err
	}
	id, ferr := p.engine.Continue(ch.pending)
	if ferr != nil {
		return ferr
	}
	ch.id = id
	m := p.challengePage(c, ch)
	field := "code"
	if m.Method.Factor == string(factors.Password) {
		field = "password"
	}
	m.Common = refused(m.Common, field, e)
	retryAfter(c.w, e)
	return p.show(c, e.Status, "step_up", m)
}

func (p *Portal) verifyChallenge(c *call, ch *challenge) error {
	var result flow.Result
	var err error
	code := typed(c.value("code"))
	switch factors.Product(ch.method().Factor) {
	case factors.Password:
		result, err = p.engine.AuthenticatePassword(c.ctx(), c.visitor, c.visitor.Session.User.Email, c.value("password"))
	case factors.TOTP:
		result, err = p.engine.AuthenticateTOTP(c.ctx(), c.visitor, code)
	case factors.RecoveryCode:
		result, err = p.engine.AuthenticateRecoveryCode(c.ctx(), c.visitor, strings.TrimSpace(c.value("code")))
	case factors.EmailOTP, factors.SMSOTP, factors.WhatsAppOTP, factors.MagicLink:
		result, err = p.verifySent(c, factors.Product(ch.method().Factor), ch.pending.MethodID, c.value("code"))
	default:
		return errBody
	}
	if err != nil {
		return p.challengeRefused(c, ch, err)
	}
	c.proven(result)
	if len(result.RecoveryCodes) > 0 {
		return p.showRecoveryCodes(c, ch.pending, result.RecoveryCodes, false)
	}
	return p.next(c, ch.pending)
}

// typed takes the white space out of a code that a person typed or pasted into a form. The
// API takes codes as they are.
func typed(code string) string { return strings.Join(strings.Fields(code), "") }
