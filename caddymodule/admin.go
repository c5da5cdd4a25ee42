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

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/session"
)

func init() {
	caddy.RegisterModule(&AdminAPI{})
}

const (
	adminPrefix  = "/stepgate/"
	maxAdminBody = 64 << 10
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
	return (&people{engine: e, origin: active.(*App).originForLinks(), policies: active.(*App).policies}).serve(w, r)
}

// people answers the calls about users and sessions.
type people struct {
	engine   *engine
	origin   string
	policies *policyFiles
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
	handle("GET "+adminPrefix+"users", p.list)
	handle("POST "+adminPrefix+"users", p.create)
	handle("POST "+adminPrefix+"invitations", p.invite)
	handle("GET "+adminPrefix+"users/{user}", p.show)
	handle("DELETE "+adminPrefix+"users/{user}", p.act(p.engine.flow.DeleteUser))
	handle("POST "+adminPrefix+"users/{user}/lock", p.act(p.engine.flow.LockUser))
	handle("POST "+adminPrefix+"users/{user}/unlock", p.act(p.engine.flow.UnlockUser))
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

// readiness is the answer of health/ready. A server whose policy file was refused after a
// change still serves, by the policy in force: it is “degraded”.
type readiness struct {
	Status   string          `json:"status"`
	Policies []policyRefusal `json:"policies,omitempty"`
}

func (p *people) ready(r *http.Request) (any, error) {
	if err := p.engine.rt.store.Ping(r.Context()); err != nil {
		return nil, flow.ErrUnavailable
	}
	out := readiness{Status: "ready", Policies: p.policies.refused()}
	if len(out.Policies) > 0 {
		out.Status = "degraded"
	}
	return out, nil
}

func (p *people) read(r *http.Request) (userIn, error) {
	var in userIn
	d := json.NewDecoder(io.LimitReader(r.Body, maxAdminBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return in, &flow.Error{Type: "invalid_request", Status: http.StatusBadRequest, Detail: "the body is not valid: " + err.Error()}
	}
	return in, nil
}

func (p *people) list(r *http.Request) (any, error) {
	users, err := p.engine.flow.ListUsers(r.Context(), r.URL.Query().Get("after"), maxUserPage)
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
	in, err := p.read(r)
	if err != nil {
		return nil, err
	}
	u, err := p.engine.flow.CreateUser(r.Context(), account.NewUser{Email: in.Email, Name: in.Name, Groups: in.Groups, Verified: in.Verified}, in.Password)
	if err != nil {
		return nil, err
	}
	return p.engine.flow.DescribeUser(&u), nil
}

func (p *people) invite(r *http.Request) (any, error) {
	in, err := p.read(r)
	if err != nil {
		return nil, err
	}
	link, t, err := p.engine.flow.Invite(r.Context(), p.origin, account.NewUser{Email: in.Email, Name: in.Name, Groups: in.Groups})
	if err != nil {
		return nil, err
	}
	return invited{Email: t.Email, Link: link, ExpiresAt: t.ExpiresAt}, nil
}

func (p *people) show(r *http.Request) (any, error) {
	u, err := p.engine.flow.FindUser(r.Context(), r.PathValue("user"))
	if err != nil {
		return nil, err
	}
	until, err := p.engine.flow.LockedUntil(r.Context(), u.ID)
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
		u, err := p.engine.flow.FindUser(r.Context(), r.PathValue("user"))
		if err != nil {
			return nil, err
		}
		return map[string]string{"user_id": u.ID}, f(r.Context(), u.ID)
	}
}

func (p *people) resetFactor(r *http.Request) (any, error) {
	factor := factors.Product(r.PathValue("factor"))
	return p.act(func(ctx context.Context, id string) error {
		return p.engine.flow.ResetFactor(ctx, id, factor)
	})(r)
}

func (p *people) sessions(r *http.Request) (any, error) {
	u, err := p.engine.flow.FindUser(r.Context(), r.PathValue("user"))
	if err != nil {
		return nil, err
	}
	list, err := p.engine.flow.UserSessions(r.Context(), u.ID)
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
		return p.engine.flow.RevokeUserSessions(ctx, id, r.PathValue("session"))
	})(r)
}

// Interface guards.
var (
	_ caddy.AdminRouter = (*AdminAPI)(nil)
)
