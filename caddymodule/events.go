package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/internal/audit"
)

// provisionEvents finds the app that hands events on.
func (a *App) provisionEvents(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	a.events = app.(*caddyevents.App)
	return nil
}

// emit tells subscribers what happened. It runs in the request that caused it, and Caddy
// prints data in its debug log: data is small and tells no secret. The context is that of the
// configuration, never that of a request, whose placeholders clients choose.
func (a *App) emit(name string, data map[string]any) {
	a.events.Emit(a.ctx, name, data)
}

// auditLog takes audit events: it writes them to the log named stepgate.audit, which operators
// can route, counts them, keeps them in the store, and emits them as events named stepgate_ and
// the kind.
type auditLog struct {
	app    *App
	logger *zap.Logger
	kept   *audit.Log
}

// Record implements audit.Recorder.
func (l auditLog) Record(ev audit.Event) {
	level := zap.InfoLevel
	if ev.Kind.Alarming() {
		level = zap.ErrorLevel
	}
	l.logger.Log(level, string(ev.Kind),
		zap.Time("time", ev.Time), zap.String("user_id", ev.UserID), zap.String("session_id", ev.SessionID),
		zap.String("factor", ev.Factor), zap.String("credential_id", ev.CredentialID), zap.String("reason", ev.Reason),
		zap.String("ip_address", ev.IPAddress), zap.Bool("by_admin", ev.ByAdmin), zap.String("actor_id", ev.ActorID))
	countEvent(ev)
	l.kept.Record(ev)
	l.app.emit("stepgate_"+string(ev.Kind), map[string]any{
		"user_id": ev.UserID, "session_id": ev.SessionID, "factor": ev.Factor, "reason": ev.Reason, "by_admin": ev.ByAdmin, "actor_id": ev.ActorID,
	})
}
