package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/session"
)

func init() {
	caddy.RegisterModule(&AdminAPI{})
}

const (
	adminPrefix  = "/stepgate/"
	maxAdminBody = 1 << 20
	maxUserPage  = 1000
)

// AdminAPI is Stepgate's part of Caddy's admin endpoint: what the commands talk to. It has no
// login of its own, as the endpoint has none: whoever reaches the endpoint can also replace
// the configuration. Keep it on a unix socket or on loopback.
type AdminAPI struct{}

// CaddyModule implements caddy.Module.
func (*AdminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.stepgate", New: func() caddy.Module { return new(AdminAPI) }}
}

// Routes implements caddy.AdminRouter.
func (*AdminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPrefix, Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

// serveAdmin finds the running app anew for each request: after a failed reload the routes of
// the failed configuration stay registered.
func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	if err := guardAdmin(r); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusForbidden, Err: err}
	}
	active, err := caddy.ActiveContext().AppIfConfigured("stepgate")
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: fmt.Errorf("the running configuration has no stepgate app: %w", err)}
	}
	e, err := active.(*App).use()
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
	}
	return newPeople(e, active.(*App), r).serve(w, r)
}

// people answers the calls about users and sessions.
type people struct {
	engine   *engine
	admin    flow.Administrator
	origin   string
	policies *policyFiles
}

// newPeople answers one call. With the parameter force, the last administrator is not spared.
func newPeople(e *engine, a *App, r *http.Request) *people {
	return &people{engine: e, admin: e.flow.Operator(r.URL.Query().Get("force") == "true"), origin: a.originForLinks(), policies: a.policies}
}

// userIn is the body of a call that makes an account.
type userIn struct {
	Email    string   `json:"email"`
	Name     string   `json:"name"`
	Groups   []string `json:"groups"`
	Verified bool     `json:"verified"`
	Password string   `json:"password"`
}

// invited is the answer to an invitation.
type invited struct {
	Email     string    `json:"email"`
	Link      string    `json:"link"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (p *people) serve(w http.ResponseWriter, r *http.Request) error {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			out, err := f(r)
			if err != nil {
				adminError(w, err)
				return
			}
			writeAdmin(w, http.StatusOK, out)
		})
	}
	handle("GET "+adminPrefix+"health/ready", p.ready)
	mux.HandleFunc("GET "+adminPrefix+"backup", p.backup)
	handle("GET "+adminPrefix+"audit", p.audit)
	handle("GET "+adminPrefix+"audit/heads", p.auditHeads)
	handle("GET "+adminPrefix+"users", p.list)
	handle("POST "+adminPrefix+"users", p.create)
	handle("POST "+adminPrefix+"users/import", p.importUsers)
	handle("POST "+adminPrefix+"invitations", p.invite)
	handle("POST "+adminPrefix+"policy/readiness", p.readiness)
	handle("GET "+adminPrefix+"users/{user}", p.show)
	handle("DELETE "+adminPrefix+"users/{user}", p.act(p.admin.Delete))
	handle("POST "+adminPrefix+"users/{user}/lock", p.act(p.admin.Lock))
	handle("POST "+adminPrefix+"users/{user}/unlock", p.act(p.admin.Unlock))
	handle("PUT "+adminPrefix+"users/{user}/groups", p.setGroups)
	handle("PATCH "+adminPrefix+"users/{user}/claims", p.setClaims)
	handle("POST "+adminPrefix+"users/{user}/reset-link", p.resetLink)
	handle("POST "+adminPrefix+"users/{user}/break-glass", p.breakGlass)
	handle("DELETE "+adminPrefix+"users/{user}/break-glass", p.act(p.admin.RevokeBreakGlass))
	handle("DELETE "+adminPrefix+"users/{user}/factors/{factor}", p.resetFactor)
	handle("GET "+adminPrefix+"users/{user}/sessions", p.sessions)
	handle("DELETE "+adminPrefix+"users/{user}/sessions", p.revoke)
	handle("DELETE "+adminPrefix+"users/{user}/sessions/{session}", p.revoke)
	mux.ServeHTTP(w, r)
	return nil
}

func adminError(w http.ResponseWriter, err error) {
	var known *flow.Error
	if !errors.As(err, &known) {
		known = &flow.Error{Type: "internal_error", Status: http.StatusInternalServerError, Detail: err.Error()}
	}
	writeAdmin(w, known.Status, map[string]string{"error_type": known.Type, "error": known.Detail})
}

func writeAdmin(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone; there is nobody to tell
}

// readyState is the answer of health/ready. A server whose policy file was refused after a
// change still serves, by the policy in force: it is “degraded”.
type readyState struct {
	Status   string          `json:"status"`
	Policies []policyRefusal `json:"policies,omitempty"`
}

func (p *people) ready(r *http.Request) (any, error) {
	if err := p.engine.rt.store.Ping(r.Context()); err != nil {
		return nil, flow.ErrUnavailable
	}
	out := readyState{Status: "ready", Policies: p.policies.refused()}
	if len(out.Policies) > 0 {
		out.Status = "degraded"
	}
	return out, nil
}

// readAdmin reads the body of a call.
func readAdmin(r *http.Request, into any) error {
	d := json.NewDecoder(io.LimitReader(r.Body, maxAdminBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &flow.Error{Type: "invalid_request", Status: http.StatusBadRequest, Detail: "the body is not valid: " + err.Error()}
	}
	return nil
}

func (p *people) list(r *http.Request) (any, error) {
	users, err := p.admin.List(r.Context(), r.URL.Query().Get("after"), maxUserPage)
	if err != nil {
		return nil, err
	}
	out := make([]flow.UserView, len(users))
	for i := range users {
		out[i] = p.engine.flow.DescribeUser(&users[i])
	}
	next := ""
	if len(users) == maxUserPage {
		next = users[len(users)-1].ID
	}
	return map[string]any{"users": out, "next": next}, nil
}

func (p *people) create(r *http.Request) (any, error) {
	var in userIn
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	u, err := p.admin.Create(r.Context(), account.NewUser{Email: in.Email, Name: in.Name, Groups: in.Groups, Verified: in.Verified}, in.Password)
	if err != nil {
		return nil, err
	}
	return p.engine.flow.DescribeUser(&u), nil
}

func (p *people) invite(r *http.Request) (any, error) {
	var in userIn
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	link, t, err := p.admin.Invite(r.Context(), p.origin, account.NewUser{Email: in.Email, Name: in.Name, Groups: in.Groups})
	if err != nil {
		return nil, err
	}
	return invited{Email: t.Email, Link: link, ExpiresAt: t.ExpiresAt}, nil
}

func (p *people) show(r *http.Request) (any, error) {
	u, err := p.admin.Find(r.Context(), r.PathValue("user"))
	if err != nil {
		return nil, err
	}
	until, err := p.admin.LockedUntil(r.Context(), u.ID)
	if err != nil {
		return nil, err
	}
	out := struct {
		flow.UserView
		AttemptsLockedUntil *time.Time `json:"attempts_locked_until"`
	}{UserView: p.engine.flow.DescribeUser(&u)}
	if !until.IsZero() {
		out.AttemptsLockedUntil = &until
	}
	return out, nil
}

// act is a call that does one thing to one user.
func (p *people) act(f func(ctx context.Context, id string) error) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		u, err := p.admin.Find(r.Context(), r.PathValue("user"))
		if err != nil {
			return nil, err
		}
		return map[string]string{"user_id": u.ID}, f(r.Context(), u.ID)
	}
}

func (p *people) resetFactor(r *http.Request) (any, error) {
	return p.act(func(ctx context.Context, id string) error {
		return p.admin.ResetFactor(ctx, id, r.PathValue("factor"))
	})(r)
}

func (p *people) sessions(r *http.Request) (any, error) {
	u, err := p.admin.Find(r.Context(), r.PathValue("user"))
	if err != nil {
		return nil, err
	}
	list, err := p.admin.Sessions(r.Context(), u.ID)
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []*session.Session{}
	}
	return map[string]any{"sessions": list}, nil
}

func (p *people) revoke(r *http.Request) (any, error) {
	return p.act(func(ctx context.Context, id string) error {
		if session := r.PathValue("session"); session != "" {
			return p.admin.RevokeSession(ctx, id, session)
		}
		return p.admin.RevokeSessions(ctx, id)
	})(r)
}

func (p *people) setGroups(r *http.Request) (any, error) {
	var in struct {
		Groups *[]string `json:"groups"`
	}
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	if in.Groups == nil {
		return nil, &flow.Error{Type: "invalid_request", Status: http.StatusBadRequest, Detail: "name the groups; an empty list is none"}
	}
	return p.act(func(ctx context.Context, id string) error { return p.admin.SetGroups(ctx, id, *in.Groups) })(r)
}

func (p *people) setClaims(r *http.Request) (any, error) {
	var in map[string]any
	if err := readAdmin(r, &in); err != nil {
		return nil, err
	}
	u, err := p.admin.Find(r.Context(), r.PathValue("user"))
	if err != nil {
		return nil, err
	}
	claims, err := p.admin.SetClaims(r.Context(), u.ID, in)
	return map[string]any{"user_id": u.ID, "custom_claims": claims}, err
}

// breakGlassCodes is the answer to a call for new ones.
type breakGlassCodes struct {
	Email string   `json:"email"`
	URL   string   `json:"url"`
	Codes []string `json:"codes"`
}

func (p *people) breakGlass(r *http.Request) (any, error) {
	u, err := p.admin.Find(r.Context(), r.PathValue("user"))
	if err != nil {
		return nil, err
	}
	codes, err := p.admin.BreakGlassCodes(r.Context(), u.ID)
	return breakGlassCodes{Email: u.PrimaryEmail().Address, URL: p.origin + "/.stepgate/break-glass", Codes: codes}, err
}

func (p *people) resetLink(r *http.Request) (any, error) {
	u, err := p.admin.Find(r.Context(), r.PathValue("user"))
	if err != nil {
		return nil, err
	}
	link, t, err := p.admin.ResetLink(r.Context(), p.origin, u.ID)
	return invited{Email: t.Email, Link: link, ExpiresAt: t.ExpiresAt}, err
}

// Interface guards.
var (
	_ caddy.AdminRouter = (*AdminAPI)(nil)
)
