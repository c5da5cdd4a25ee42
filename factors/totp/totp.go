// Package totp enrols authenticator apps and checks their codes (RFC 6238): SHA-1, six
// digits, steps of 30 seconds, one step of skew to either side.
package totp

import (
	"bytes"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"image/png"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/stepgate/stepgate/factors"
)

const (
	period      = 30 // seconds
	skew        = 1  // steps
	digits      = 6
	secretBytes = 20 // RFC 4226, section 4, R6
	pendingLife = 24 * time.Hour
	quietZone   = 4 // modules, ISO/IEC 18004
	imageScale  = 6 // pixels per module of the PNG
)

// Credential is one authenticator app. It counts only once ConfirmedAt is set.
type Credential struct {
	ID     string `cbor:"1,keyasint"`
	Secret []byte `cbor:"2,keyasint"`
	// Step is the last accepted time step. It and all before it are refused for ever.
	Step        int64     `cbor:"3,keyasint"`
	CreatedAt   time.Time `cbor:"4,keyasint"`
	ConfirmedAt time.Time `cbor:"5,keyasint,omitempty"`
}

// New returns an app that waits for its first code.
func New(id string, random io.Reader, now time.Time) (Credential, error) {
	c := Credential{ID: id, Secret: make([]byte, secretBytes), CreatedAt: now}
	if _, err := io.ReadFull(random, c.Secret); err != nil {
		return Credential{}, fmt.Errorf("draw a TOTP secret: %w", err)
	}
	return c, nil
}

// Pending tells whether the app still waits for its first code.
func (c *Credential) Pending() bool { return c.ConfirmedAt.IsZero() }

// Expired tells whether the app waited for its first code too long, which is 24 hours.
func (c *Credential) Expired(now time.Time) bool {
	return c.Pending() && !now.Before(c.CreatedAt.Add(pendingLife))
}

// LastUsed is when a code of the app was last accepted, to the step; zero when none was.
func (c *Credential) LastUsed() time.Time {
	if c.Step == 0 {
		return time.Time{}
	}
	return time.Unix(c.Step*period, 0).UTC()
}

// SpendUntil makes every code used that could have been accepted by now.
func (c *Credential) SpendUntil(now time.Time) { c.Step = max(c.Step, now.Unix()/period+skew) }

// Verify judges a code and returns the time step that it belongs to, which the caller stores
// as Step in the change that makes the proof count. The error is factors.ErrMalformed,
// ErrIncorrect, or ErrUsed for a step that was accepted before (RFC 6238, section 5.2).
func (c *Credential) Verify(code string, now time.Time) (step int64, err error) {
	if !factors.SixDigits(code) {
		return 0, factors.ErrMalformed
	}
	if len(c.Secret) != secretBytes {
		return 0, factors.ErrIncorrect
	}
	current := now.Unix() / period
	var matched int64 = -1
	for s := current - skew; s <= current+skew; s++ {
		want, err := c.at(s)
		if err != nil {
			return 0, err
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			matched = s
		}
	}
	switch {
	case matched < 0:
		return 0, factors.ErrIncorrect
	case matched <= c.Step:
		return 0, factors.ErrUsed
	}
	return matched, nil
}

func (c *Credential) at(step int64) (string, error) {
	if step < 0 {
		return "", factors.ErrIncorrect
	}
	code, err := hotp.GenerateCodeCustom(c.SecretText(), uint64(step), hotp.ValidateOpts{
		Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		return "", fmt.Errorf("compute a TOTP code: %w", err)
	}
	return code, nil
}

// SecretText is the secret in base32, for people who type it.
func (c *Credential) SecretText() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(c.Secret)
}

// URI is the otpauth URI that apps read. issuer is the name of the site, account that of the
// user there.
func (c *Credential) URI(issuer, account string) string {
	issuer, account = label(issuer), label(account)
	q := url.Values{}
	q.Set("secret", c.SecretText())
	q.Set("issuer", issuer)
	q.Set("algorithm", "SHA1")
	q.Set("digits", fmt.Sprint(digits))
	q.Set("period", fmt.Sprint(period))
	// Apps read "+" in a query as itself, not as a space.
	return "otpauth://totp/" + url.PathEscape(issuer+":"+account) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

// label takes the one byte out of a name that would end it early.
func label(s string) string { return strings.ReplaceAll(s, ":", " ") }

// QR draws a URI as a QR code: as an SVG element, and as a PNG in a data URI.
func QR(uri string) (svg, image string, err error) {
	code, err := qr.Encode(uri, qr.M, qr.Auto)
	if err != nil {
		return "", "", fmt.Errorf("draw a QR code: %w", err)
	}
	side := code.Bounds().Dx()
	full := side + 2*quietZone
	var path strings.Builder
	for y := range side {
		for x := range side {
			if r, _, _, _ := code.At(x, y).RGBA(); r == 0 {
				fmt.Fprintf(&path, "M%d %dh1v1h-1z", x+quietZone, y+quietZone)
			}
		}
	}
	svg = fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="%s"/></svg>`,
		full, full, full, full, path.String())
	scaled, err := barcode.Scale(code, side*imageScale, side*imageScale)
	if err != nil {
		return "", "", fmt.Errorf("draw a QR code: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, framed{scaled, quietZone * imageScale}); err != nil {
		return "", "", fmt.Errorf("draw a QR code: %w", err)
	}
	return svg, "data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes()), nil
}
