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
	b.open(d.base + "/.stepgate/account")
	b.press("Add a phone number")
	b.fill("phone_number", "+44 7400 123456")
	b.press("Add the number")
	b.sees("Confirm your phone number")
	b.sees("they are safer")
	b.shot("1-confirm")
	b.fill("code", d.code(number))
	b.sees("Where you are signed in")
	b.sees(number)
	b.open(d.base + "/reports") // wants two factors: the password, and the number just proven
	b.sees("payments are in the books")

	b.signOut(d)
	b.open(d.base + "/reports")
	b.press("Send me a code by text message")
	b.sees("it is safer")
	b.press("Sign in another way")
	b.signInByPassword("you@example.com")
	b.sees("A passkey or an authenticator app is safer")
	b.shot("2-second")
}
