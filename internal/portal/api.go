package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/internal/problem"
	"github.com/stepgate/stepgate/internal/session"
)

const apiPrefix = Prefix + "api/v1/"

var (
	errCrossOrigin = &flow.Error{Type: "cross_origin", Status: http.StatusForbidden,
		Detail: "This request was caused by another site and was refused. Open the page directly and try again."}
	errMethod = &flow.Error{Type: "method_not_allowed", Status: http.StatusMethodNotAllowed,
		Detail: "This address does not take that method."}
	errBody = &flow.Error{Type: "invalid_request", Status: http.StatusBadRequest,
		Detail: "The body must be one JSON object with the documented fields."}
	errTooLarge = &flow.Error{Type: "request_too_large", Status: http.StatusRequestEntityTooLarge,
		Detail: "The body is too large. Nothing was changed."}
)

// routeAPI registers every endpoint of the JSON API.
func (p *Portal) routeAPI() {
	p.apiGet("session", p.getSession)
	p.apiDelete("session", p.deleteSession)
	p.apiGet("sessions", p.getSessions)
	p.apiDelete("sessions/{id}", p.deleteSessionByID)
	p.apiGet("user", p.getUser)
	p.apiDelete("factors/{id}", p.deleteFactor)
	p.apiGet("devices", p.getDevices)
	p.apiDelete("devices/{id}", p.deleteDevice)
	p.apiGet("flows/{id}", p.getFlow)
	apiPost(p, "emails", p.postEmails)
	apiPost(p, "passwords", p.postPasswords)
	apiPost(p, "passwords/authenticate", p.postPasswordsAuthenticate)
	apiPost(p, "passwords/strength_check", p.postStrengthCheck)
	apiPost(p, "passwords/reset/start", p.postResetStart)
	apiPost(p, "passwords/reset", p.postReset)
	apiPost(p, "otps/email/send", p.postEmailSend)
	apiPost(p, "otps/sms/send", p.postPhoneSend(factors.SMSOTP))
	apiPost(p, "otps/whatsapp/send", p.postPhoneSend(factors.WhatsAppOTP))
	apiPost(p, "otps/authenticate", p.postOTPAuthenticate)
	apiPost(p, "phone_numbers", p.postPhoneNumbers)
	apiPost(p, "magic_links/email/send", p.postLinkSend)
	apiPost(p, "magic_links/authenticate", p.postLinkAuthenticate)
	apiPostOptional(p, "webauthn/register/start", p.postRegisterStart)
	apiPost(p, "webauthn/register", p.postRegister)
	apiPostOptional(p, "webauthn/authenticate/start", p.postKeyStart)
	apiPost(p, "webauthn/authenticate", p.postKeyAuthenticate)
	apiPost(p, "crypto_wallets/authenticate/start", p.postWalletStart)
	apiPost(p, "crypto_wallets/authenticate", p.postWalletAuthenticate)
	p.apiPostEmpty("totps", p.postTOTPs)
	apiPost(p, "totps/authenticate", p.postTOTPAuthenticate)
	p.apiPostEmpty("recovery_codes", p.postRecoveryCodes)
	apiPost(p, "recovery_codes/authenticate", p.postRecoveryAuthenticate)
}

// answer is the body of a successful call. Every answer carries the request id.
type answer map[string]any

type plainHandler func(c *call) (answer, error)

func (p *Portal) api(method, path string, h plainHandler) {
	p.mux.HandleFunc(method+" "+apiPrefix+path, func(w http.ResponseWriter, r *http.Request) {
		c := newCall(w, r)
		out, err := h(c)
		if err != nil {
			p.problem(c, err)
			return
		}
		p.reply(c, out)
	})
}

func (p *Portal) apiGet(path string, h plainHandler)    { p.api(http.MethodGet, path, h) }
func (p *Portal) apiDelete(path string, h plainHandler) { p.api(http.MethodDelete, path, h) }

// apiPostEmpty registers an endpoint whose body says nothing: it may be absent or {}.
func (p *Portal) apiPostEmpty(path string, h plainHandler) {
	p.api(http.MethodPost, path, func(c *call) (answer, error) {
		body, err := readBody(c)
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(body)) > 0 {
			if err := decode(body, &struct{}{}); err != nil {
				return nil, err
			}
		}
		return h(c)
	})
}

// apiPost registers an endpoint with a body of type T. A body may name a flow; the flow must
// then be one of the visitor's.
func apiPost[T any](p *Portal, path string, h func(c *call, in T) (answer, error)) {
	p.api(http.MethodPost, path, func(c *call) (answer, error) {
		body, err := readBody(c)
		if err != nil {
			return nil, err
		}
		return withBody(p, c, body, h)
	})
}

// apiPostOptional is apiPost for an endpoint whose fields may all be absent, and so the body.
func apiPostOptional[T any](p *Portal, path string, h func(c *call, in T) (answer, error)) {
	p.api(http.MethodPost, path, func(c *call) (answer, error) {
		body, err := readBody(c)
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(body)) == 0 {
			body = []byte("{}")
		}
		return withBody(p, c, body, h)
	})
}

func withBody[T any](p *Portal, c *call, body []byte, h func(c *call, in T) (answer, error)) (answer, error) {
	var in T
	if err := decode(body, &in); err != nil {
		return nil, err
	}
	var tie struct {
		Flow *string `json:"flow"`
	}
	if err := decode(body, &tie); err != nil {
		return nil, err
	}
	if tie.Flow != nil {
		pending, err := p.engine.Pending(c.visitor, c.visit.Host, *tie.Flow)
		if err != nil {
			return nil, err
		}
		c.pending, c.flow, c.visitor.Flow = pending, *tie.Flow, *tie.Flow
	}
	return h(c, in)
}

func readBody(c *call) ([]byte, error) {
	body, err := io.ReadAll(c.r.Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, errBody
	}
	return body, nil
}

// decode reads exactly one JSON object. null, arrays and trailing text are refused, which
// encoding/json alone would let through.
func decode(body []byte, into any) error {
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return errBody
	}
	if err := json.Unmarshal(trimmed, into); err != nil {
		return errBody
	}
	return nil
}

func (p *Portal) reply(c *call, out answer) {
	if out == nil {
		out = answer{}
	}
	out["request_id"] = c.visit.RequestID
	p.writeJSON(c, out)
}

func (p *Portal) writeJSON(c *call, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		p.log("encode an answer", err)
		c.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	if _, err := c.w.Write(append(body, '\n')); err != nil {
		p.log("write an answer", err)
	}
}

// problem answers an error as problem+json (RFC 9457), with the challenge of RFC 9470 when
// a further proof would let the call pass.
func (p *Portal) problem(c *call, err error) {
	e := p.known(err)
	out := problem.Problem{
		Status: e.Status, Detail: e.Detail, ErrorType: e.Type, RequestID: c.visit.RequestID,
	}
	if e.Required != nil && c.visitor.Session != nil {
		progress, perr := p.engine.Need(c.r.Context(), c.visitor, e.Required)
		id, ferr := p.engine.StepUp(c.visitor.Session, c.visit.Host, Prefix+"account", e.Required)
		if err := errors.Join(perr, ferr); err != nil {
			p.problem(c, p.known(err))
			return
		}
		out.Required = json.RawMessage(e.Required.String())
		out.Missing = progress.Missing
		out.ChallengeURL = c.visit.Origin + Prefix + "challenge?flow=" + id
	}
	var challenge *problem.Challenge
	if e.Required != nil {
		challenge = &problem.Challenge{ACRValues: e.Required.ACRValues(), MaxAge: e.Required.MaxAge()}
	}
	retryAfter(c.w, e)
	if err := problem.Write(c.w, out, challenge); err != nil {
		p.log("answer a problem", err)
	}
}

// known returns what is to be told about an error. What is not known is logged and told as
// a failure of the gateway.
func (p *Portal) known(err error) *flow.Error {
	var e *flow.Error
	if !errors.As(err, &e) {
		p.log("answer a request", err)
		return flow.ErrUnavailable
	}
	if e.Status >= http.StatusInternalServerError {
		p.log("answer a request", err)
	}
	return e
}

// signedIn hands a new session to the browser and answers with it.
func (c *call) signedIn(r flow.Result) answer {
	c.visit.SetCookie(c.w, r.Cookie)
	out := answer{"user_id": r.Session.UserID, "session": r.Session.Snapshot()}
	if len(r.RecoveryCodes) > 0 {
		out["recovery_codes"] = r.RecoveryCodes
	}
	return out
}

func snapshots(list []*session.Session) []*session.Session {
	if list == nil {
		return []*session.Session{}
	}
	return list
}
