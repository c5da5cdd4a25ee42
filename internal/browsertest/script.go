package browsertest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Script runs a script in every page to come, before those of the page.
func (b *Tab) Script(source string) {
	b.T.Helper()
	if _, err := chromedp.Call(b.Ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: source}); err != nil {
		b.T.Fatal(err)
	}
}

// asking is a function of a page whose answers come from the test.
const asking = `globalThis.NAME = ((ask) => {
	const waiting = [];
	const asking = (question) => new Promise((done) => ask(JSON.stringify({id: waiting.push(done) - 1, question})));
	asking.answered = (id, answer) => { waiting[id](answer); };
	return asking;
})(globalThis.NAMEOfTheTest);`

// Answer gives every page to come a function of a name, which takes a text and returns the
// promise of another.
func (b *Tab) Answer(name string, answer func(question string) string) {
	b.T.Helper()
	binding := name + "OfTheTest"
	err := chromedp.Listen(b.Ctx, func(event any) {
		called, ok := event.(*runtime.EventBindingCalled)
		if !ok || called.Name != binding {
			return
		}
		var in struct {
			ID       int
			Question string
		}
		if err := json.Unmarshal([]byte(called.Payload), &in); err != nil {
			b.T.Error(err)
			return
		}
		go func() { // events are handled in order: an answer has to wait for none
			text, err := json.Marshal(answer(in.Question))
			if err != nil {
				b.T.Error(err)
				return
			}
			if _, err := chromedp.Run(b.Ctx, chromedp.Evaluate[any](fmt.Sprintf("%s.answered(%d, %s)", name, in.ID, text))); err != nil {
				b.T.Log(err)
			}
		}()
	})
	if err != nil {
		b.T.Fatal(err)
	}
	if _, err := chromedp.Call(b.Ctx, runtime.AddBinding, runtime.AddBindingParams{Name: binding}); err != nil {
		b.T.Fatal(err)
	}
	b.Script(strings.ReplaceAll(asking, "NAME", name))
}
