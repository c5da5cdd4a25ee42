package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/stepgate/stepgate/internal/browsertest"
)

// paid counts the payments to somebody that the application shows.
func paid(b tab, to string) int {
	b.T.Helper()
	return browsertest.Eval[int](b.Tab, `[...document.querySelectorAll('td')].filter(td => td.textContent.trim() === '`+to+`').length`)
}

// newcomer opens a browser in which the invitation was accepted.
func newcomer(t *testing.T) (tab, *demo, bool) {
	t.Helper()
	b, ok := openBrowser(t)
	if !ok {
		return b, nil, false
	}
	d := startDemo(t)
	b.Open(d.invite)
	b.Fill("password", goodPassword)
	b.Press("Create the account")
	b.Sees("Welcome to Acme Office")
	return b, d, true
}

// fill fills the form of a payment in and sends it.
func (b tab) pay(d *demo, to, amount string) {
	b.T.Helper()
	b.Open(d.base + "/payments")
	b.Fill("to", to)
	b.Fill("amount", amount)
	b.Press("Make the payment")
}

// types enters the mailed code into the page, once its script waits for the last digit.
func (b tab) types(d *demo) {
	b.T.Helper()
	b.Sees("The form is sent as soon as all 6 digits are there.")
	b.Fill("code", d.code("you@example.com"))
}

// What was entered before a challenge is sent after it, once, as it was, and the application
// answers at its own address.
func TestHeldPayment(t *testing.T) {
	b, d, ok := newcomer(t)
	if !ok {
		return
	}
	b.pay(d, "Büro & Söhne <GmbH> 100%", "99.10")
	b.Sees("What you entered is kept for 10 minutes")
	b.Shot("1-challenge")
	b.Viewport(360, 740)
	b.Scheme("dark")
	b.Shot("1-challenge-phone-dark")
	if html := browsertest.Eval[string](b.Tab, `document.documentElement.outerHTML`); strings.Contains(html, "99.10") || strings.Contains(b.Location(), "99.10") {
		t.Fatal("the page of the challenge holds what was entered")
	}
	b.Press("Send the e-mail code")
	b.Sees("Six digits are on their way")
	b.types(d)
	b.Sees("The payment was made.")
	if b.Location() != d.base+"/payments?paid=1" || paid(b, "Büro & Söhne <GmbH> 100%") != 1 {
		t.Fatalf("at %s: %s", b.Location(), b.Text())
	}
	if sees := browsertest.Eval[string](b.Tab, `document.referrer`); strings.Contains(sees, "flow=") {
		t.Errorf("the application learns the id of the flow: %s", sees)
	}
	// Going back sends nothing again.
	b.Do(chromedp.NavigateBack())
	b.Sees("There is nothing left to send")
	b.Shot("2-back-phone-dark")
	b.Open(d.base + "/payments")
	if n := paid(b, "Büro & Söhne <GmbH> 100%"); n != 1 {
		t.Errorf("paid %d times", n)
	}
}

// Without JavaScript a button sends what was entered.
func TestHeldPaymentWithoutScripts(t *testing.T) {
	b, d, ok := newcomer(t)
	if !ok {
		return
	}
	if _, err := chromedp.Call(b.Ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.pay(d, "Slow Post", "12.00")
	b.Sees("What you entered is kept")
	b.Press("Send the e-mail code")
	b.Sees("Six digits are on their way")
	b.Fill("code", d.code("you@example.com"))
	b.Press("Confirm")
	b.Sees("Thank you, confirmed")
	b.Shot("1-repeat")
	b.Viewport(360, 740)
	b.Scheme("dark")
	b.Shot("1-repeat-phone-dark")
	b.Press("Send it now")
	b.Sees("The payment was made.")
	if n := strings.Count(b.Text(), "Slow Post"); n != 1 || b.Location() != d.base+"/payments?paid=1" {
		t.Errorf("paid %d times, at %s", n, b.Location())
	}
}

// Two tabs that are asked at once each finish their own payment.
func TestHeldPaymentsInTwoTabs(t *testing.T) {
	first, d, ok := newcomer(t)
	if !ok {
		return
	}
	second := tab{first.Beside("second")}
	first.pay(d, "First Tab", "1.00")
	first.Sees("What you entered is kept")
	second.pay(d, "Second Tab", "2.00")
	second.Sees("What you entered is kept")
	second.Press("Send the e-mail code")
	second.Sees("Six digits are on their way")
	second.types(d)
	second.Sees("The payment was made.")
	first.Press("Send the e-mail code") // proven in the other tab already
	first.Sees("The payment was made.")
	if paid(first, "First Tab") != 1 || paid(first, "Second Tab") != 1 {
		t.Error(first.Text())
	}
}

// What is too large to be kept is said before anybody confirms anything, and is not lost.
func TestPaymentTooLargeToHold(t *testing.T) {
	b, d, ok := newcomer(t)
	if !ok {
		return
	}
	b.Open(d.base + "/payments")
	browsertest.Eval[bool](b.Tab, `(() => {
		const t = document.createElement('textarea');
		t.name = 'note';
		t.value = 'x'.repeat(3 << 20);
		document.querySelector('form.pay').append(t);
		return true;
	})()`)
	b.Press("Make the payment")
	b.Sees("Nothing was sent, and your browser still has it.")
	b.Shot("1-too-large")
	b.Viewport(360, 740)
	b.Scheme("dark")
	b.Shot("1-too-large-phone-dark")
	b.Open(browsertest.Eval[string](b.Tab, `document.querySelector('a.primary').href`))
	b.Sees("Confirm it’s you")
	b.Press("Send the e-mail code")
	b.Sees("Six digits are on their way")
	b.types(d)
	b.Sees("Coffee Roasters")
}
