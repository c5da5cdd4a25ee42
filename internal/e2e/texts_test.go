package e2e

import "testing"

// A telephone number is added and is the second factor after a password. The pages say that it is
// the weaker choice.
func TestTextsInABrowser(t *testing.T) {
	b, ok := openBrowser(t)
	if !ok {
		return
	}
	d := startDemo(t)
	const number = "+447400123456"
	b.join(d)
	b.Open(d.base + "/.stepgate/account")
	b.Press("Add a phone number")
	b.Fill("phone_number", "+44 7400 123456")
	b.Press("Add the number")
	b.Sees("Confirm your phone number")
	b.Sees("they are safer")
	b.Shot("1-confirm")
	b.Fill("code", d.code(number))
	b.Sees("Where you are signed in")
	b.Sees(number)
	b.Open(d.base + "/reports") // wants two factors: the password, and the number just proven
	b.Sees("payments are in the books")

	b.signOut(d)
	b.Open(d.base + "/reports")
	b.Press("Text me a code")
	b.Sees("it is safer")
	b.Press("Sign in another way")
	b.signInByPassword("you@example.com")
	b.Sees("A passkey or an authenticator app is safer")
	b.Shot("2-second")
}
