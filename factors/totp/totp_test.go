package totp

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/factors"
)

func at(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

// rfc is the secret of RFC 6238, appendix B.
func rfc() Credential { return Credential{ID: "t", Secret: []byte("12345678901234567890")} }

// RFC 6238, appendix B, the last six of the eight digits that it lists.
func TestVectors(t *testing.T) {
	for unix, code := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		c := rfc()
		if step, err := c.Verify(code, at(unix)); err != nil || step != unix/30 {
			t.Errorf("%d: step %d, %v", unix, step, err)
		}
	}
}

// One step of skew, no step twice, no other form than six ASCII digits.
func TestVerify(t *testing.T) {
	const now = 1234567890
	for skew, want := range map[int64]error{-2: factors.ErrIncorrect, -1: nil, 0: nil, 1: nil, 2: factors.ErrIncorrect} {
		c := rfc()
		if _, err := c.Verify("005924", at(now+30*skew)); !errors.Is(err, want) {
			t.Errorf("skew %d: %v", skew, err)
		}
	}
	for _, used := range []int64{now / 30, now/30 + 1} {
		c := rfc()
		c.Step = used
		if _, err := c.Verify("005924", at(now)); !errors.Is(err, factors.ErrUsed) {
			t.Errorf("step %d: %v", used, err)
		}
	}
	for _, form := range []string{"", "5924", "05924", "0005924", "005924 ", " 005924", "00592４", "+05924", "0x5924", "005924\x00", strings.Repeat("0", 1000)} {
		c := rfc()
		if _, err := c.Verify(form, at(now)); !errors.Is(err, factors.ErrMalformed) {
			t.Errorf("%q: %v", form, err)
		}
	}
	var zero Credential
	if _, err := zero.Verify("755224", at(0)); err == nil {
		t.Error("a credential without a secret was proven")
	}
}

func TestEnrolment(t *testing.T) {
	began := at(1000)
	c, err := New("t", bytes.NewReader(make([]byte, 20)), began)
	if err != nil || len(c.Secret) != 20 || !c.Pending() {
		t.Fatal(c, err)
	}
	if c.Expired(began.Add(24*time.Hour-time.Second)) || !c.Expired(began.Add(24*time.Hour)) {
		t.Error("a pending app lives 24 hours")
	}
	c.ConfirmedAt = began
	if c.Expired(began.Add(1000 * time.Hour)) {
		t.Error("a confirmed app expired")
	}
	if _, err := New("t", bytes.NewReader(nil), began); err == nil {
		t.Error("a secret without randomness")
	}
	u, err := url.Parse(c.URI("Ex:ample & Co", "a b@example.com"))
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Ex ample & Co:a b@example.com" || u.Query().Get("issuer") != "Ex ample & Co" || strings.Contains(u.RawQuery, "+") {
		t.Fatal(u, err)
	}
	svg, image, err := QR(u.String())
	if err != nil || !strings.HasPrefix(svg, "<svg ") || !strings.HasPrefix(image, "data:image/png;base64,") {
		t.Fatal(err)
	}
}
