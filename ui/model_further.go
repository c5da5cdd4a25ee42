package ui

// SignInPhone asks for the phone number that gets a code to start a session.
// It follows SignIn when the chosen action is "sms_otp" or "whatsapp_otp".
//
// POST [PathSignIn]: csrf, flow, phone_number, action = "sms_otp" or
// "whatsapp_otp"; action=restart.
type SignInPhone struct {
	Common
	Target Target
	// Channel is "sms" or "whatsapp".
	Channel string
	Phone   string
}

func (SignInPhone) name() string { return "sign-in-phone" }
func (m SignInPhone) title() string {
	return "Sign in with a " + codeName(m.Channel)
}

// Action is the value of the field "action".
func (m SignInPhone) Action() string {
	if m.Channel == "whatsapp" {
		return "whatsapp_otp"
	}
	return "sms_otp"
}

// Heading is the heading of the page.
func (m SignInPhone) Heading() string { return m.title() }

// SignInWallet signs in with a crypto wallet. The page needs JavaScript; it
// uses the JSON API (crypto_wallets/authenticate/start and
// crypto_wallets/authenticate with {flow}) and then posts csrf, flow,
// action=continue to [PathSignIn]. Without a script: action=restart.
type SignInWallet struct {
	Common
	Target Target
	// Chain is "ethereum", "solana", or "" for both.
	Chain string
}

func (SignInWallet) name() string  { return "sign-in-wallet" }
func (SignInWallet) title() string { return "Sign in with a wallet" }

// AddWallet adds a crypto wallet to the account, by the same JSON API; then it
// posts csrf, flow, action=added to [PathWallets].
type AddWallet struct {
	Common
	Identity Identity
	// Host is the host that the wallet shows.
	Host  string
	Chain string
	// Cancel is the path to go back to.
	Cancel string
}

func (AddWallet) name() string  { return "add-wallet" }
func (AddWallet) title() string { return "Add a wallet" }

// AddAddress asks for a further e-mail address or, with Phone, a telephone number.
//
// POST [PathEmails] or [PathPhones]: csrf, flow, action=add, email or phone_number.
type AddAddress struct {
	Common
	Identity Identity
	Phone    bool
	// Value fills the field again.
	Value string
	// Cancel is the path to go back to.
	Cancel string
}

func (AddAddress) name() string { return "add-address" }
func (m AddAddress) title() string {
	if m.Phone {
		return "Add a phone number"
	}
	return "Add an e-mail address"
}

// ConfirmPhone asks for the code that was sent to a new phone number.
//
// POST [PathPhones]: csrf, flow, phone_id, action=verify, code; action=send;
// action=remove drops the number.
type ConfirmPhone struct {
	Common
	Identity Identity
	ID       string // phone_id
	Number   string
	// Channel is "sms" or "whatsapp".
	Channel string
	Waiting
}

func (ConfirmPhone) name() string  { return "confirm-phone" }
func (ConfirmPhone) title() string { return "Confirm your phone number" }

// CodeLabel is the label of the field.
func (m ConfirmPhone) CodeLabel() string { return upper(codeName(m.Channel)) }

// IDField is the hidden field that names the number.
func (m ConfirmPhone) IDField() []Field { return []Field{{"phone_id", m.ID}} }

// Leave goes on to an identity provider. It exists because browsers refuse a
// redirect to another origin as the answer to a form: the page has a link, and
// a script follows it at once. It has no form.
type Leave struct {
	// Label is the name of the provider.
	Label string
	// URL is an absolute https address (http in tests); anything else is an
	// error of rendering.
	URL string
	// Cancel is the path of the link back.
	Cancel string
}

func (Leave) name() string    { return "leave" }
func (m Leave) title() string { return "Continue to " + clip(m.Label, 40) }
