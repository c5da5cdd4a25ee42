package delivery

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	// apiTimeout bounds one request, its answer included.
	apiTimeout = 15 * time.Second
	// maxAnswer bounds the bytes of an answer that are read.
	maxAnswer = 64 << 10
)

var (
	// phoneNumber is a number in E.164.
	phoneNumber = regexp.MustCompile(`^\+[1-9][0-9]{4,14}$`)
	// pathPart is an identifier that stands in a path as it is.
	pathPart = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// api is the HTTP interface of a service that takes messages. What it tells about a failure
// has a status and a number of the service, never a word of its answer, which may repeat the
// number of a person or a code.
type api struct {
	name      string
	url       string
	transport *http.Transport
}

// newAPI checks the address of a service. Nothing of the address is in the error, because it
// may hold a secret.
func newAPI(name, address string, plaintext bool, trust *tls.Config) (*api, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("%s: the address is no URL; write it like https://sms.example.com/send", name)
	case u.Scheme != "https" && (u.Scheme != "http" || !plaintext):
		return nil, fmt.Errorf("%s: the address does not begin with https://", name)
	case u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("%s: the address has a login or a fragment", name)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = maxAnswer
	t.TLSClientConfig = trust.Clone()
	return &api{name: name, url: u.String(), transport: t}, nil
}

// post sends a body once. Redirects are answers like others. The answer is what came of it
// until its end, its bound or the timeout.
func (a *api) post(ctx context.Context, header http.Header, body []byte) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("%s: cannot make the request", a.name)
	}
	r.Header = header
	r.Header.Set("User-Agent", "Stepgate")
	// A client would follow redirects, and put the address into its errors.
	response, err := a.transport.RoundTrip(r)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", a.name, err)
	}
	answer, _ = io.ReadAll(io.LimitReader(response.Body, maxAnswer)) // the status counts, even if the rest is lost
	_ = response.Body.Close()
	return response.StatusCode, answer, nil
}

// sent tells whether a status means that a message was taken.
func sent(status int) bool { return status >= 200 && status < 300 }

// refused is the error of a service that answered. number is its own number for the failure,
// 0 for none.
func (a *api) refused(status, number int, rejected bool) error {
	text := fmt.Sprintf("%s answered with status %d", a.name, status)
	if number != 0 {
		text += fmt.Sprintf(", error %d", number)
	}
	if rejected {
		return fmt.Errorf("%w: %s", ErrRejected, text)
	}
	return errors.New(text)
}

// checkText tells why a message cannot go to a phone by one of the channels.
func checkText(m Message, channels ...Channel) error {
	for _, c := range channels {
		if m.Channel != c {
			continue
		}
		if !phoneNumber.MatchString(m.To) {
			return fmt.Errorf("%w: the number is not in E.164", ErrRejected)
		}
		return nil
	}
	return fmt.Errorf("%w: a sender of text messages got one for %q", ErrRejected, m.Channel)
}

// printable tells whether a secret can stand in a header.
func printable(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
