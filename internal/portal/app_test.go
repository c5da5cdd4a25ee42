package portal_test

import (
	"net/http"

	"github.com/pquerna/otp/totp"
)

// enrolApp sets up an authenticator app for who is signed in. code is what the app shows now,
// which works once; recovery are the recovery codes.
func (b *browser) enrolApp() (code func() string, recovery []string) {
	b.s.t.Helper()
	_, out := b.api(http.MethodPost, "totps", map[string]string{})
	secret, _ := out["secret"].(string)
	code = func() string {
		text, err := totp.GenerateCode(secret, b.s.clock.Now())
		must(b.s.t, err)
		return text
	}
	p, out := b.api(http.MethodPost, "totps/authenticate", map[string]string{"code": code()})
	if p.status != http.StatusOK {
		b.s.t.Fatalf("%d %s", p.status, p.body)
	}
	for _, one := range out["recovery_codes"].([]any) {
		recovery = append(recovery, one.(string))
	}
	return code, recovery
}
