package portal

import (
	"encoding/json"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/policy"
)

type phoneIn struct {
	PhoneNumber string `json:"phone_number"`
	// Channel is sms or whatsapp; empty is the first of them that is offered.
	Channel string `json:"channel"`
}

func (p *Portal) postPhoneSend(product factors.Product) func(*call, phoneIn) (answer, error) {
	return func(c *call, in phoneIn) (answer, error) {
		id, err := p.engine.SendPhoneCode(c.ctx(), c.visitor, product, in.PhoneNumber)
		if err != nil {
			return nil, err
		}
		return answer{"method_id": id, "phone_id": id}, nil
	}
}

func (p *Portal) postPhoneNumbers(c *call, in phoneIn) (answer, error) {
	product, ok := p.phoneProduct(in.Channel)
	if !ok {
		return nil, errBody
	}
	id, err := p.engine.AddPhone(c.ctx(), c.visitor, product, in.PhoneNumber)
	if err != nil {
		return nil, err
	}
	return answer{"phone_id": id, "method_id": id}, nil
}

// phoneProduct is the product of a channel's name.
func (p *Portal) phoneProduct(channel string) (product factors.Product, ok bool) {
	switch channel {
	case "sms":
		return factors.SMSOTP, true
	case "whatsapp":
		return factors.WhatsAppOTP, true
	case "":
		if p.engine.Offers(factors.SMSOTP) {
			return factors.SMSOTP, true
		}
		return factors.WhatsAppOTP, true
	}
	return "", false
}

func (p *Portal) postLinkSend(c *call, in emailIn) (answer, error) {
	if err := p.tellApart(c); err != nil {
		return nil, err
	}
	id, err := p.engine.SendLink(c.ctx(), c.visitor, in.Email, c.flow)
	if err != nil {
		return nil, err
	}
	return answer{"method_id": id, "email_id": id}, nil
}

type linkIn struct {
	Token string `json:"token"`
	Code  string `json:"code"`
}

func (p *Portal) postLinkAuthenticate(c *call, in linkIn) (answer, error) {
	var r flow.Result
	var err error
	switch {
	case (in.Token == "") == (in.Code == ""):
		return nil, errBody
	case in.Token != "":
		r, err = p.engine.AuthenticateLink(c.ctx(), c.visitor, in.Token)
	default:
		r, err = p.engine.AuthenticateLinkCode(c.ctx(), c.visitor, in.Code)
	}
	if err != nil {
		return nil, err
	}
	return c.signedIn(r), nil
}

type registerIn struct {
	AuthenticatorType string          `json:"authenticator_type"`
	Credential        json.RawMessage `json:"credential"`
	Name              string          `json:"name"`
}

func (p *Portal) postRegisterStart(c *call, in registerIn) (answer, error) {
	options, err := p.engine.StartRegistration(c.ctx(), c.visitor, in.AuthenticatorType)
	if err != nil {
		return nil, err
	}
	return answer{"publicKey": options}, nil
}

func (p *Portal) postRegister(c *call, in registerIn) (answer, error) {
	r, id, err := p.engine.Register(c.ctx(), c.visitor, in.Credential, in.Name)
	if err != nil {
		return nil, err
	}
	out := c.signedIn(r)
	out["webauthn_registration_id"] = id
	return out, nil
}

type keyIn struct {
	Email      string          `json:"email"`
	Credential json.RawMessage `json:"credential"`
}

func (p *Portal) postKeyStart(c *call, in keyIn) (answer, error) {
	if err := p.tellApart(c); err != nil {
		return nil, err
	}
	var required *policy.Requirement
	if c.pending.Required != "" {
		var err error
		if required, err = policy.ParseRequirement(c.pending.Required); err != nil {
			return nil, err
		}
	}
	options, err := p.engine.StartAuthentication(c.ctx(), c.visitor, in.Email, required)
	if err != nil {
		return nil, err
	}
	return answer{"publicKey": options}, nil
}

func (p *Portal) postKeyAuthenticate(c *call, in keyIn) (answer, error) {
	r, err := p.engine.AuthenticateKey(c.ctx(), c.visitor, in.Credential)
	if err != nil {
		return nil, err
	}
	return c.signedIn(r), nil
}

type walletIn struct {
	Type      string `json:"crypto_wallet_type"`
	Address   string `json:"crypto_wallet_address"`
	Signature string `json:"signature"`
}

func (p *Portal) postWalletStart(c *call, in walletIn) (answer, error) {
	if err := p.tellApart(c); err != nil {
		return nil, err
	}
	challenge, err := p.engine.StartWallet(c.ctx(), c.visitor, in.Type, in.Address)
	if err != nil {
		return nil, err
	}
	return answer{"challenge": challenge}, nil
}

func (p *Portal) postWalletAuthenticate(c *call, in walletIn) (answer, error) {
	r, err := p.engine.AuthenticateWallet(c.ctx(), c.visitor, in.Type, in.Address, in.Signature)
	if err != nil {
		return nil, err
	}
	return c.signedIn(r), nil
}
