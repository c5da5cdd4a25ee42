package flow

import (
	"context"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/policy"
)

// Administrator changes the accounts of other people. Its zero value is not usable: Operator and
// Administrator of the engine return one.
type Administrator struct {
	e       *Engine
	visitor Visitor
	// actor is the user id of an administrator who is signed in; empty for the operator.
	actor string
	force bool
}

// Operator is whoever commands the machine that the gateway runs on. With force, the last
// administrator can be locked, deleted, or taken out of the group.
func (e *Engine) Operator(force bool) Administrator { return Administrator{e: e, force: force} }

// administration is what a session must hold to administer: two factors that prove different
// things, one of them proven in the last hour. It stands in no policy file, so that no policy
// file can take it away.
const administration = `{"all_of":[{"factors":2},{"all_of":["signed_in"],"max_age":"1h"}]}`

// Administrator is the visitor, if their account and their session may administer the gateway.
// The refusal of a session that proved too little says what it takes.
func (e *Engine) Administrator(ctx context.Context, v Visitor) (Administrator, error) {
	u, err := e.User(ctx, v)
	if err != nil {
		return Administrator{}, err
	}
	if !u.Administers() {
		return Administrator{}, ErrForbidden
	}
	required, err := policy.ParseRequirement(administration)
	if err != nil {
		return Administrator{}, asError(err)
	}
	if v.Session.ReadOnly {
		return Administrator{}, ErrSessionChanged
	}
	if !required.MetBy(v.Session.Subject(), e.db.Now()) {
		refused := *ErrAdminProof
		refused.Required = required
		return Administrator{}, &refused
	}
	return Administrator{e: e, visitor: v, actor: u.ID}, nil
}

// Administers tells whether the visitor's account may administer the gateway, whatever their
// session has proven.
func (e *Engine) Administers(v Visitor) bool {
	return v.Session != nil && v.Session.User.Administers
}

// record keeps what an administrator did to a user.
func (a Administrator) record(ev audit.Event) {
	ev.ByAdmin, ev.ActorID = true, a.actor
	a.e.record(Visitor{IP: a.visitor.IP}, ev)
}

// mayLose adds to a change that somebody else administers the gateway, if u does now.
func (a Administrator) mayLose(ctx context.Context, c *store.Change, u *account.User) error {
	if a.force || !u.Administers() {
		return nil
	}
	return a.e.accounts.RequireAnother(ctx, c, u.ID)
}
