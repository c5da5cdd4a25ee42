package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/store"
)

// notice says what happened to an account, for the mail that tells its owner.
type notice struct {
	kind   delivery.NoticeKind
	detail string
}

var (
	noticeLocked          = notice{kind: delivery.NoticeLocked}
	noticePasswordChanged = notice{kind: delivery.NoticePasswordChanged}
	noticeRecoveryUsed    = notice{kind: delivery.NoticeRecoveryCodeUsed}
	noticeDevice          = notice{kind: delivery.NoticeDeviceRemembered}
	noticeResetLink       = notice{kind: delivery.NoticeResetLink}
	noticeRecoveryRenewed = notice{kind: delivery.NoticeRecoveryCodesRenewed}
)

func noticeFactorAdded(what string) notice {
	return notice{kind: delivery.NoticeFactorAdded, detail: what}
}

func noticeBreakGlass(who string) notice {
	return notice{kind: delivery.NoticeBreakGlass, detail: who}
}

func noticeFactorRemoved(what string) notice {
	return notice{kind: delivery.NoticeFactorRemoved, detail: what}
}

// notify mails a notice to all proven addresses of a user, and to those in also. Somebody who
// does not exist, or has no proven address, is told nothing.
func (e *Engine) notify(ctx context.Context, userID string, n notice, v Visitor, also ...string) error {
	ctx, done := consequences(ctx)
	defer done()
	u, _, err := e.accounts.Get(ctx, userID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return asError(err)
	}
	var c store.Change
	now := e.db.Now()
	to := slices.Clone(also)
	for _, m := range u.Emails {
		if m.Verified {
			to = append(to, m.Address)
		}
	}
	for _, address := range to {
		msg, err := delivery.Notice(n.kind, delivery.NoticeLetter{
			To: address, Site: e.opts.Issuer, Host: e.place(v), Detail: n.detail, At: now, IPAddress: attributes(v).IPAddress,
		})
		if err != nil {
			return asError(err)
		}
		if err := e.queue.Enqueue(&c, msg, now.Add(noticeLife)); err != nil {
			return asError(err)
		}
	}
	if len(c.Ops) == 0 {
		return nil
	}
	if err := e.db.Apply(ctx, c); err != nil {
		return asError(err)
	}
	e.queue.Kick()
	return nil
}

// noticeLife is how long a notice is worth delivering.
const noticeLife = 72 * time.Hour

// send applies a change together with a message that goes out once the change is stored.
func (e *Engine) send(ctx context.Context, c store.Change, m delivery.Message, useful time.Time) error {
	if err := e.queue.Enqueue(&c, m, useful); err != nil {
		return asError(err)
	}
	if err := e.db.Apply(ctx, c); err != nil {
		return asError(err)
	}
	e.queue.Kick()
	return nil
}
