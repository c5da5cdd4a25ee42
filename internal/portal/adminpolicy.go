package portal

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/stepgate/stepgate/internal/decisions"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/ui"
)

// PolicyInForce is a policy that some gate asks.
type PolicyInForce struct {
	// Name is its file, or the inline rule.
	Name   string
	Policy *policy.Policy
	// Refused are the mistakes for which the newest content of the file is not in force.
	Refused []string
}

// Explain decides about one request as a gate would, and tells why. The error says what is wrong
// with the URL.
type Explain func(p *policy.Policy, method, url string, ip netip.Addr, s *policy.Subject, now time.Time) (policy.Explanation, error)

func (p *Portal) showPolicy(c *call, a flow.Administrator) error {
	q := c.r.URL.Query()
	m := ui.AdminPolicy{
		Common: p.common(c, ""), Identity: p.identity(c), Policy: q.Get("policy"), Method: q.Get("method"), URL: q.Get("url"),
		User: q.Get("user"), Factors: q.Get("factors"), ClientIP: q.Get("client_ip"),
	}
	if m.Method == "" {
		m.Method = http.MethodGet
	}
	inForce := p.policies()
	for _, one := range inForce {
		m.Policies = append(m.Policies, ui.PolicyInForce{Name: one.Name, Rules: len(one.Policy.Rules()), Refused: one.Refused})
	}
	if m.URL == "" || len(inForce) == 0 {
		return p.show(c, http.StatusOK, "portal", m)
	}
	asked := chosen(inForce, m.Policy)
	m.Policy = asked.Name
	why, field, err := p.answer(c, a, asked.Policy, &m)
	if err != nil && field == "" {
		return err
	}
	if err != nil {
		m.Problems = append(m.Problems, ui.Problem{Field: field, Text: err.Error()})
		return p.show(c, http.StatusBadRequest, "portal", m)
	}
	m.Why = explained(why)
	return p.show(c, http.StatusOK, "portal", m)
}

// chosen is the policy of a name, or else the first.
func chosen(list []PolicyInForce, name string) PolicyInForce {
	for _, one := range list {
		if one.Name == name {
			return one
		}
	}
	return list[0]
}

func (p *Portal) showReadiness(c *call, a flow.Administrator) error {
	m := ui.AdminReadiness{Common: p.common(c, ""), Identity: p.identity(c)}
	inForce := p.policies()
	if len(inForce) == 0 {
		return p.show(c, http.StatusOK, "portal", m)
	}
	asked := chosen(inForce, c.r.URL.Query().Get("policy"))
	for _, one := range inForce {
		m.Policies = append(m.Policies, one.Name)
	}
	r, err := a.Readiness(c.ctx(), asked.Policy)
	if err != nil {
		return err
	}
	m.Policy, m.Users, m.Locked = asked.Name, r.Users, r.Locked
	for _, rule := range r.Rules {
		row := ui.RuleReady{Name: rule.Rule, Floor: rule.Floor, ReportOnly: rule.ReportOnly, Ready: rule.Ready, Unready: rule.Unready}
		for _, u := range rule.Lacking {
			row.Lacking = append(row.Lacking, ui.UserLacking{ID: u.UserID, Email: u.Email, Locked: u.Locked, NoWayIn: u.NoWayIn, Enrol: u.Enrol})
		}
		m.Rules = append(m.Rules, row)
	}
	return p.show(c, http.StatusOK, "portal", m)
}

// answer explains the request that the form describes. The error is for the field, or, without
// one, no fault of the form.
func (p *Portal) answer(c *call, a flow.Administrator, asked *policy.Policy, m *ui.AdminPolicy) (why policy.Explanation, field string, err error) {
	now := p.engine.Now()
	proven, err := policy.ParseFactors(m.Factors, now)
	if err != nil {
		return why, "factors", err
	}
	var ip netip.Addr
	if m.ClientIP != "" {
		if ip, err = netip.ParseAddr(m.ClientIP); err != nil {
			return why, "client_ip", errors.New("This is not an address like 192.0.2.7 or 2001:db8::1.") //nolint:staticcheck // a sentence for people
		}
	}
	var s *policy.Subject
	if m.User != "" {
		u, err := a.Find(c.ctx(), m.User)
		switch {
		case errors.Is(err, flow.ErrNotFound):
			return why, "user", errors.New("Nobody has this address or id.") //nolint:staticcheck // a sentence for people
		case err != nil:
			return why, "", err
		}
		s = &policy.Subject{
			ID: u.ID, Email: u.PrimaryEmail().Address, Name: u.Name, Groups: u.AllGroups(), CustomClaims: u.AllClaims(), Factors: proven, StartedAt: now,
		}
	} else if len(proven) > 0 {
		s = &policy.Subject{Factors: proven, StartedAt: now}
	}
	why, err = p.explain(asked, m.Method, m.URL, ip, s, now)
	return why, "url", err
}

// explained is an explanation as the pages show it.
func explained(e policy.Explanation) *ui.Explained {
	out := &ui.Explained{Outcome: e.Outcome, Rule: e.Rule, Floor: e.Floor, Reason: e.Reason, Required: e.Required}
	for _, set := range e.Missing {
		var lacking []ui.Lacking
		for _, need := range set {
			lacking = append(lacking, ui.Lacking{Factor: need.Factor, MaxAge: need.MaxAge})
		}
		out.Missing = append(out.Missing, lacking)
	}
	out.Rules, out.Floors = whys(e.Rules), whys(e.Floors)
	return out
}

func whys(list []policy.RuleReport) []ui.RuleWhy {
	var out []ui.RuleWhy
	for _, r := range list {
		out = append(out, ui.RuleWhy{Name: r.Name, Why: r.Why, Hit: r.Hit, Would: r.Would})
	}
	return out
}

// shownRefusals bounds the list of refusals.
const shownRefusals = 100

// reference is what answers carry. Nothing else may stand in a command that somebody copies.
var reference = regexp.MustCompile(`^request-[a-z2-7]{1,64}$`)

func (p *Portal) showRefusals(c *call, _ flow.Administrator) error {
	m := ui.AdminRefusals{Common: p.common(c, ""), Identity: p.identity(c)}
	if id := strings.TrimSpace(c.r.URL.Query().Get("reference")); id != "" {
		if _, ok := p.refusals.Find(id); ok {
			return c.redirect(ui.PathAdminRefusals + "/" + url.PathEscape(id))
		}
		m.Reference, m.Findable = id, reference.MatchString(id)
	}
	for _, e := range p.refusals.Recent(shownRefusals) {
		m.Refusals = append(m.Refusals, refusalRow(&e))
	}
	return p.show(c, http.StatusOK, "portal", m)
}

func refusalRow(e *decisions.Entry) ui.Refusal {
	r := ui.Refusal{
		Reference: e.RequestID, At: e.Time, Outcome: e.Outcome, Method: e.Method, Host: e.Host, Path: e.Path, Rule: e.Rule, Address: e.ClientIP,
	}
	if v := e.Visitor; v != nil {
		r.Who = cmp.Or(v.Email, v.UserID)
	}
	return r
}

func (p *Portal) showRefusal(c *call, _ flow.Administrator) error {
	e, why, ok := p.refusals.Explain(c.r.PathValue("reference"))
	if !ok {
		return flow.ErrNotFound
	}
	m := ui.AdminRefusal{Common: p.common(c, ""), Identity: p.identity(c), Refusal: refusalRow(&e), Policy: e.Policy, Why: *explained(why)}
	if e.Visitor != nil {
		for _, f := range e.Visitor.Factors {
			m.Proven = append(m.Proven, fmt.Sprintf("%s@%s", f.Factor, time.Duration(f.Age*float64(time.Second)).Round(time.Second)))
		}
	}
	return p.show(c, http.StatusOK, "portal", m)
}
