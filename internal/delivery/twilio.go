package delivery

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Twilio is how messages leave by Twilio, or by a service with the same API.
type Twilio struct {
	// AccountSID is the account that pays.
	AccountSID string
	// AuthToken of the account. Empty with an API key.
	AuthToken string
	// APIKey and APISecret log in instead of AuthToken.
	APIKey, APISecret string
	// From is the sender: a number in E.164, or for SMS a short code or a name of up to 11
	// letters and digits.
	From string
	// MessagingService chooses the sender instead of From.
	MessagingService string
	// ContentSID is the template of WhatsApp messages. Its variable 1 is the code. Empty
	// means that the text is sent as it is, which WhatsApp delivers only to people who
	// wrote first.
	ContentSID string
	// BaseURL of the API. Default: https://api.twilio.com
	BaseURL string
	// InsecurePlaintext allows a BaseURL with http. It is for test servers on the same host.
	InsecurePlaintext bool
	// TLS overrides the trust in the server's certificate; nil means the system's.
	TLS *tls.Config
}

const twilioAPI = "https://api.twilio.com"

// twilioRejects are the errors that mean that a number cannot get messages from this account:
// https://www.twilio.com/docs/api/errors.
var twilioRejects = []int{
	21211, // invalid number
	21214, // cannot be reached
	21217, // no valid number
	21265, // a short code
	21408, // a country that the account does not send to
	21608, // a number that a trial account did not verify
	21610, // the person opted out
	21612, // not reachable from this sender
	21614, // no mobile number
	21635, // a landline
	63003, // no such address in the channel
	63014, // blocked by the person
	63024, // invalid recipient
	63033, // blocked by the person
}

// senderName is a short code, or a name with at least one letter.
var senderName = regexp.MustCompile(`^([0-9]{3,8}|[A-Za-z0-9 ]{0,10}[A-Za-z][A-Za-z0-9 ]{0,10})$`)

type twilioSender struct {
	api    *api
	config Twilio
	login  string
}

// NewTwilio returns a Sender of text messages and WhatsApp messages. It does not connect.
//
// A message is rejected when Twilio says that the number cannot get it; any other failure is
// tried again. Twilio knows no key for that, so a message whose answer is lost may come twice.
func NewTwilio(c Twilio) (Sender, error) {
	user, secret := c.AccountSID, c.AuthToken
	if c.APIKey != "" || c.APISecret != "" {
		if c.AuthToken != "" {
			return nil, errors.New("twilio: an auth token and an API key are given; one of them is enough")
		}
		user, secret = c.APIKey, c.APISecret
	}
	switch {
	case !pathPart.MatchString(c.AccountSID):
		return nil, errors.New("twilio: the account SID is missing, or is none; it begins with AC")
	case !pathPart.MatchString(user) || !printable(secret):
		return nil, errors.New("twilio: the auth token, or the API key with its secret, is missing or has white space")
	case (c.From == "") == (c.MessagingService == ""):
		return nil, errors.New("twilio: either a sender or a messaging service is needed")
	case c.From != "" && !phoneNumber.MatchString(c.From) && (!senderName.MatchString(c.From) || len(c.From) > 11):
		return nil, errors.New("twilio: the sender is neither a number like +12125550100, nor a short code, nor a name of up to 11 letters and digits")
	case c.MessagingService != "" && !pathPart.MatchString(c.MessagingService):
		return nil, errors.New("twilio: the SID of the messaging service is none; it begins with MG")
	case c.ContentSID != "" && !pathPart.MatchString(c.ContentSID):
		return nil, errors.New("twilio: the SID of the content is none; it begins with HX")
	}
	a, err := newAPI("twilio", cmp.Or(c.BaseURL, twilioAPI), c.InsecurePlaintext, c.TLS)
	if err != nil {
		return nil, err
	}
	if strings.Contains(a.url, "?") {
		return nil, errors.New("twilio: the address of the API has a query")
	}
	a.url = strings.TrimSuffix(a.url, "/") + "/2010-04-01/Accounts/" + c.AccountSID + "/Messages.json"
	return &twilioSender{api: a, config: c, login: "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))}, nil
}

// Carries tells whether the sender that is configured can send by a channel: a short code and a
// name cannot send WhatsApp messages.
func (c Twilio) Carries(channel Channel) bool {
	return channel == SMS || channel == WhatsApp && (c.From == "" || phoneNumber.MatchString(c.From))
}

// Send implements Sender.
func (s *twilioSender) Send(ctx context.Context, m Message) error {
	if err := checkText(m, SMS, WhatsApp); err != nil {
		return err
	}
	prefix := ""
	if m.Channel == WhatsApp {
		prefix = "whatsapp:"
	}
	form := url.Values{"To": {prefix + m.To}}
	if s.config.MessagingService != "" {
		form.Set("MessagingServiceSid", s.config.MessagingService)
	} else {
		form.Set("From", prefix+s.config.From)
	}
	if m.Channel == WhatsApp && s.config.ContentSID != "" {
		variables, err := json.Marshal(map[string]string{"1": m.Code})
		if err != nil {
			return errors.New("twilio: cannot write the variables as JSON")
		}
		form.Set("ContentSid", s.config.ContentSID)
		form.Set("ContentVariables", string(variables))
	} else {
		form.Set("Body", m.Text)
	}
	status, answer, err := s.api.post(ctx, http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}, "Authorization": {s.login},
	}, []byte(form.Encode()))
	if err != nil || sent(status) {
		return err
	}
	var failure struct {
		Code int `json:"code"`
	}
	_ = json.Unmarshal(answer, &failure) // an answer that is no JSON has no number
	return s.api.refused(status, failure.Code, slices.Contains(twilioRejects, failure.Code))
}
