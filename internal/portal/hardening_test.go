package portal

import "testing"

// Nothing that a browser could read as another host, or as something else than a path, is led to.
func TestFlowsEndOnThisHost(t *testing.T) {
	for _, to := range []string{
		"", "x", "https://evil.test/", "javascript:alert(1)", "data:text/html,x", "//evil.test/", "///evil.test", "/\\evil.test", "\\\\evil.test", "\\/evil.test",
		"/\t/evil.test", "\t//evil.test", "/\n/evil.test", "/\r/evil.test", "/a\r\nSet-Cookie: x=y", "/\x00/evil.test", "/\x7f", " //evil.test",
		"/ /evil.test", "@evil.test", "?x", "#x",
	} {
		if got := local(to); got != "/" {
			t.Errorf("%q leads to %q", to, got)
		}
	}
	for _, to := range []string{"/", "/a?b=//evil.test&c", "/@evil.test", "/a//b", "/ä", "/.stepgate/account"} {
		if got := local(to); got != to {
			t.Errorf("%q leads to %q", to, got)
		}
	}
}
