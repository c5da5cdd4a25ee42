package portal

import (
	"encoding/json"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/flow"
)

func (p *Portal) getSession(c *call) (answer, error) {
	if c.visitor.Session == nil {
		return nil, flow.ErrNoSession
	}
	return answer{"session": c.visitor.Session.Snapshot()}, nil
}

func (p *Portal) deleteSession(c *call) (answer, error) {
	if err := p.engine.SignOut(c.r.Context(), c.visitor); err != nil {
		return nil, err
	}
	c.visit.ClearCookie(c.w)
	return nil, nil
}

func (p *Portal) getSessions(c *call) (answer, error) {
	list, err := p.engine.Sessions(c.r.Context(), c.visitor)
	if err != nil {
		return nil, err
	}
	return answer{"sessions": snapshots(list)}, nil
}

func (p *Portal) deleteSessionByID(c *call) (answer, error) {
	id := c.r.PathValue("id")
	if err := p.engine.RevokeSession(c.r.Context(), c.visitor, id); err != nil {
		return nil, err
	}
	if id == c.visitor.Session.ID {
		c.visit.ClearCookie(c.w)
	}
	return nil, nil
}

func (p *Portal) getUser(c *call) (answer, error) {
	u, err := p.engine.User(c.r.Context(), c.visitor)
	if err != nil {
		return nil, err
	}
	return answer{"user": p.engine.DescribeUser(&u)}, nil
}

func (p *Portal) deleteFactor(c *call) (answer, error) {
	return nil, p.engine.RemoveFactor(c.r.Context(), c.visitor, c.r.PathValue("id"), c.r.URL.Query().Get("confirm") == "true")
}

func (p *Portal) getFlow(c *call) (answer, error) {
	pending, err := p.engine.Pending(c.visitor, c.visit.Host, c.r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	progress, err := p.engine.Progress(c.r.Context(), c.visitor, pending)
	if err != nil {
		return nil, err
	}
	required := json.RawMessage(`"signed_in"`)
	if progress.Required != nil {
		required = json.RawMessage(progress.Required.String())
	}
	missing, options := progress.Missing, progress.Options
	if missing == nil {
		missing = []flow.Missing{}
	}
	if options == nil {
		options = []flow.Option{}
	}
	return answer{
		"required": required, "satisfied": progress.Satisfied, "missing": missing, "options": options,
		"host": pending.Host, "expires_at": pending.ExpiresAt(),
	}, nil
}

type emailIn struct {
	Email string `json:"email"`
}

func (p *Portal) postEmails(c *call, in emailIn) (answer, error) {
	id, err := p.engine.AddEmail(c.r.Context(), c.visitor, in.Email)
	if err != nil {
		return nil, err
	}
	return answer{"email_id": id, "method_id": id}, nil
}

func (p *Portal) postEmailSend(c *call, in emailIn) (answer, error) {
	id, err := p.engine.SendEmailCode(c.r.Context(), c.visitor, in.Email)
	if err != nil {
		return nil, err
	}
	return answer{"method_id": id, "email_id": id}, nil
}

type codeIn struct {
	MethodID string `json:"method_id"`
	Code     string `json:"code"`
}

func (p *Portal) postOTPAuthenticate(c *call, in codeIn) (answer, error) {
	r, err := p.engine.AuthenticateCode(c.r.Context(), c.visitor, in.MethodID, in.Code)
	if err != nil {
		return nil, err
	}
	return c.signedIn(r), nil
}

func (p *Portal) postTOTPs(c *call) (answer, error) {
	t, err := p.engine.StartTOTP(c.r.Context(), c.visitor)
	if err != nil {
		return nil, err
	}
	return answer{"totp_id": t.ID, "secret": t.Secret, "otpauth_uri": t.URI, "qr_code": t.QRImage}, nil
}

func (p *Portal) postTOTPAuthenticate(c *call, in codeIn) (answer, error) {
	r, err := p.engine.AuthenticateTOTP(c.r.Context(), c.visitor, in.Code)
	if err != nil {
		return nil, err
	}
	return c.signedIn(r), nil
}

func (p *Portal) postRecoveryCodes(c *call) (answer, error) {
	codes, err := p.engine.RenewRecoveryCodes(c.r.Context(), c.visitor)
	if err != nil {
		return nil, err
	}
	return answer{"recovery_codes": codes}, nil
}

func (p *Portal) postRecoveryAuthenticate(c *call, in codeIn) (answer, error) {
	r, err := p.engine.AuthenticateRecoveryCode(c.r.Context(), c.visitor, in.Code)
	if err != nil {
		return nil, err
	}
	return c.signedIn(r), nil
}

type passwordIn struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Token    string `json:"token"`
}

func (p *Portal) postPasswordsAuthenticate(c *call, in passwordIn) (answer, error) {
	r, err := p.engine.AuthenticatePassword(c.r.Context(), c.visitor, in.Email, in.Password)
	if err != nil {
		return nil, err
	}
	return c.signedIn(r), nil
}

func (p *Portal) postPasswords(c *call, in passwordIn) (answer, error) {
	return nil, p.engine.SetPassword(c.r.Context(), c.visitor, in.Password)
}

func (p *Portal) postStrengthCheck(c *call, in passwordIn) (answer, error) {
	var u *account.User
	if c.visitor.Session != nil {
		mine, err := p.engine.User(c.r.Context(), c.visitor)
		if err != nil {
			return nil, err
		}
		u = &mine
	} else if in.Email != "" {
		u = &account.User{Emails: []account.Email{{Address: in.Email}}}
	}
	s, err := p.engine.CheckPassword(c.r.Context(), u, in.Password)
	if err != nil {
		return nil, err
	}
	return answer{"valid": s.Valid, "score": s.Score, "reason": s.Reason, "feedback": s.Feedback}, nil
}

func (p *Portal) postResetStart(c *call, in emailIn) (answer, error) {
	return nil, p.engine.StartReset(c.r.Context(), c.visitor, in.Email)
}

func (p *Portal) postReset(c *call, in passwordIn) (answer, error) {
	return nil, p.engine.Reset(c.r.Context(), c.visitor, in.Token, in.Password)
}
