package browsertest

import (
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Authenticator puts a virtual authenticator into the tab, which agrees to everything at once.
func (b *Tab) Authenticator(o webauthn.VirtualAuthenticatorOptions) webauthn.AuthenticatorID {
	b.T.Helper()
	if _, err := chromedp.Call(b.Ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		b.T.Fatal(err)
	}
	o.Protocol, o.Ctap2version, o.AutomaticPresenceSimulation = "ctap2", "ctap2_1", true
	r, err := chromedp.Call(b.Ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &o})
	if err != nil {
		b.T.Fatal(err)
	}
	return r.AuthenticatorID
}

// Agree says whether whoever holds the authenticator agrees to what it is asked, which is so at
// first, or lets it wait.
func (b *Tab) Agree(id webauthn.AuthenticatorID, agree bool) {
	b.T.Helper()
	if _, err := chromedp.Call(b.Ctx, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{
		AuthenticatorID: id, Enabled: agree,
	}); err != nil {
		b.T.Fatal(err)
	}
}

// Credentials lists what the authenticator holds.
func (b *Tab) Credentials(id webauthn.AuthenticatorID) []*webauthn.Credential {
	b.T.Helper()
	r, err := chromedp.Call(b.Ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: id})
	if err != nil {
		b.T.Fatal(err)
	}
	return r.Credentials
}

// Key is a credential with its private key.
type Key struct {
	CredentialID         []byte  `json:"credentialId"`
	IsResidentCredential bool    `json:"isResidentCredential"`
	RPID                 string  `json:"rpId"`
	PrivateKey           []byte  `json:"privateKey"`
	UserHandle           []byte  `json:"userHandle"`
	SignCount            float64 `json:"signCount"`
}

// handing are the parameters of WebAuthn.addCredential. The library's own always speak of an
// extension that the authenticator must have then.
type handing struct {
	AuthenticatorID webauthn.AuthenticatorID `json:"authenticatorId"`
	Credential      Key                      `json:"credential"`
}

// KeyOf is a credential of an authenticator, as the account of a site that may be another one.
func KeyOf(c *webauthn.Credential, rpID string) Key {
	return Key{
		CredentialID: c.CredentialID, IsResidentCredential: c.IsResidentCredential, RPID: rpID,
		PrivateKey: c.PrivateKey, UserHandle: c.UserHandle, SignCount: c.SignCount,
	}
}

// Hand puts a key into an authenticator.
func (b *Tab) Hand(id webauthn.AuthenticatorID, k Key) {
	b.T.Helper()
	command := cdp.Command[handing, cdp.Empty]{Method: webauthn.CommandAddCredential}
	if _, err := chromedp.Call(b.Ctx, command, handing{id, k}); err != nil {
		b.T.Fatal(err)
	}
}
