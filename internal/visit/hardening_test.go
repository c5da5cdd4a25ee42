package visit

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Every cookie of ours is out of reach of scripts, of other hosts and of plain text, and is not
// sent along with what another site posts. Only on a plain-http loopback host is none Secure.
func TestCookiesStayHere(t *testing.T) {
	for _, plain := range []bool{false, true} {
		v := &Visit{Plain: plain}
		v.NameBrowser("B")
		w := httptest.NewRecorder()
		v.SetCookie(w, "S")
		v.SetDevice(w, "D", time.Hour)
		v.ClearCookie(w)
		set := (&http.Response{Header: w.Header()}).Cookies()
		names := CookieNames(plain)
		want := []string{names.Session, names.Browser, names.Device, names.Session}
		if len(set) != len(want) {
			t.Fatalf("%v", w.Header())
		}
		for i, c := range set {
			if c.Name != want[i] || !c.HttpOnly || c.Secure == plain || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("plain %v: %s", plain, c.Raw)
			}
			if strings.HasPrefix(c.Name, "__Host-Http-") == plain {
				t.Errorf("plain %v is called %s", plain, c.Name)
			}
		}
		if set[0].MaxAge != 0 || !set[0].Expires.IsZero() || set[3].MaxAge >= 0 || set[3].Value != "" {
			t.Errorf("%s, then %s", set[0].Raw, set[3].Raw)
		}
	}
}
