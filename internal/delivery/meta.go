package delivery

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Meta is how WhatsApp messages leave by the Cloud API of Meta.
type Meta struct {
	// PhoneNumberID is the sender, as Meta numbers it; it is no phone number.
	PhoneNumberID string
	// AccessToken of a system user who may send.
	AccessToken string
	// Template is the name of an approved template of the category authentication, with a
	// button that copies or fills in the code.
	Template string
	// Language of the template. Default: en_US
	Language string
	// GraphVersion of the API. Default: v23.0
	GraphVersion string
	// BaseURL of the API. Default: https://graph.facebook.com
	BaseURL string
	// InsecurePlaintext allows a BaseURL with http. It is for test servers on the same host.
	InsecurePlaintext bool
	// TLS overrides the trust in the server's certificate; nil means the system's.
	TLS *tls.Config
}

const (
	metaAPI     = "https://graph.facebook.com"
	metaVersion = "v23.0"
	// metaMaxCode is how long the code in a template may be.
	metaMaxCode = 15
)

// metaRejects are the errors that mean that a number cannot get messages from this account:
// https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes.
var metaRejects = []int{
	130497, // a country that the account may not write to
	131021, // the sender itself
	131026, // not on WhatsApp, or not reachable there
	131030, // a number that a test account did not list
}

var (
	metaNumber   = regexp.MustCompile(`^[0-9]{1,32}$`)
	metaTemplate = regexp.MustCompile(`^[a-z0-9_]{1,512}$`)
	metaLanguage = regexp.MustCompile(`^[a-z]{2,3}(_[A-Za-z]{2,4})?$`)
	graphVersion = regexp.MustCompile(`^v[0-9]{1,3}\.[0-9]{1,2}$`)
)

type metaSender struct {
	api    *api
	config Meta
}

// NewMeta returns a Sender of WhatsApp messages. It sends the code in a template; the text of a
// message is not used, because WhatsApp lets codes go in templates only. It does not connect.
//
// A message is rejected when Meta says that the number cannot get it; any other failure is
// tried again. Meta knows no key for that, so a message whose answer is lost may come twice.
func NewMeta(c Meta) (Sender, error) {
	c.Language, c.GraphVersion = cmp.Or(c.Language, "en_US"), cmp.Or(c.GraphVersion, metaVersion)
	switch {
	case !metaNumber.MatchString(c.PhoneNumberID):
		return nil, errors.New("meta: the phone number ID is missing, or is none; it has digits only and is not the phone number")
	case !printable(c.AccessToken):
		return nil, errors.New("meta: the access token is missing or has white space")
	case !metaTemplate.MatchString(c.Template):
		return nil, errors.New("meta: the template is missing, or is none; its name has lower-case letters, digits and _")
	case !metaLanguage.MatchString(c.Language):
		return nil, fmt.Errorf("meta: %q is no language of a template; write one like en or en_US", c.Language)
	case !graphVersion.MatchString(c.GraphVersion):
		return nil, fmt.Errorf("meta: %q is no version of the API; write one like %s", c.GraphVersion, metaVersion)
	}
	a, err := newAPI("meta", cmp.Or(c.BaseURL, metaAPI), c.InsecurePlaintext, c.TLS)
	if err != nil {
		return nil, err
	}
	if strings.Contains(a.url, "?") {
		return nil, errors.New("meta: the address of the API has a query")
	}
	a.url = strings.TrimSuffix(a.url, "/") + "/" + c.GraphVersion + "/" + c.PhoneNumberID + "/messages"
	return &metaSender{api: a, config: c}, nil
}

// The body of a request.
type (
	metaMessage struct {
		Product       string       `json:"messaging_product"`
		RecipientType string       `json:"recipient_type"`
		To            string       `json:"to"`
		Type          string       `json:"type"`
		Template      metaContents `json:"template"`
	}
	metaContents struct {
		Name     string `json:"name"`
		Language struct {
			Code string `json:"code"`
		} `json:"language"`
		Components []metaComponent `json:"components"`
	}
	metaComponent struct {
		Type       string          `json:"type"`
		SubType    string          `json:"sub_type,omitempty"`
		Index      string          `json:"index,omitempty"`
		Parameters []metaParameter `json:"parameters"`
	}
	metaParameter struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
)

// Send implements Sender.
func (s *metaSender) Send(ctx context.Context, m Message) error {
	if err := checkText(m, WhatsApp); err != nil {
		return err
	}
	if m.Code == "" || len(m.Code) > metaMaxCode {
		return fmt.Errorf("%w: a template needs a code of 1 to %d characters", ErrRejected, metaMaxCode)
	}
	code := []metaParameter{{Type: "text", Text: m.Code}}
	contents := metaContents{Name: s.config.Template, Components: []metaComponent{
		{Type: "body", Parameters: code},
		{Type: "button", SubType: "url", Index: "0", Parameters: code},
	}}
	contents.Language.Code = s.config.Language
	body, err := json.Marshal(metaMessage{Product: "whatsapp", RecipientType: "individual", To: m.To, Type: "template", Template: contents})
	if err != nil {
		return errors.New("meta: cannot write the message as JSON")
	}
	status, answer, err := s.api.post(ctx, http.Header{
		"Content-Type": {"application/json"}, "Authorization": {"Bearer " + s.config.AccessToken},
	}, body)
	if err != nil || sent(status) {
		return err
	}
	var failure struct {
		Error struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(answer, &failure) // an answer that is no JSON has no number
	return s.api.refused(status, failure.Error.Code, slices.Contains(metaRejects, failure.Error.Code))
}
