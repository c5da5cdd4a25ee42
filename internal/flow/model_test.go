package flow

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stepgate/stepgate/factors"
	"github.com/stepgate/stepgate/internal/account"
)

// person is what the model knows of one user, and person.visits of their browsers: which session
// each has, and what was earned in it.
type person struct {
	email, id string
	secret    string // the password
	app       string // the secret of the authenticator app; empty without one
	usedStep  int64
	recovery  []string
	locked    bool
	visits    [2]*visit
}

type visit struct {
	result Result
	earned map[factors.Product][]time.Time
}

// world runs calls against an engine and tells, after each, that no session holds a proof that
// was not earned in it.
type world struct {
	h      *house
	t      *rapid.T
	people []*person
	mail   map[string][2]string // method id and code of the last e-mail code, by address
}

func (w *world) anyone() *person { return rapid.SampledFrom(w.people).Draw(w.t, "person") }

func (w *world) browser() int { return rapid.IntRange(0, 1).Draw(w.t, "browser") }

// visitor is a browser as it comes: with the session that it has, or without one.
func (w *world) visitor(p *person, n int) Visitor {
	v := anon()
	if p.visits[n] == nil {
		return v
	}
	s, err := w.h.sessions.Lookup(w.h.t.Context(), p.visits[n].result.Cookie)
	if err != nil {
		p.visits[n] = nil // it has ended
		return v
	}
	v.Session = s
	return v
}

// earn takes the result of a call that proved something.
func (w *world) earn(p *person, n int, product factors.Product, right bool, r Result, err error) {
	v := p.visits[n]
	switch {
	case err == nil && !right:
		w.t.Fatalf("%s: accepted what is wrong", product)
	case err == nil && v == nil && !product.MayStart():
		w.t.Fatalf("%s started a session", product)
	case err == nil && p.locked:
		w.t.Fatalf("%s: a locked account", product)
	case err == nil:
		earned := map[factors.Product][]time.Time{}
		if v != nil {
			maps.Copy(earned, v.earned)
		}
		times := []time.Time{w.h.clock.Now()}
		if product == factors.RecoveryCode { // each code is a credential of its own
			times = append(times, earned[product]...)
		}
		earned[product] = times
		p.visits[n] = &visit{result: r, earned: earned}
	}
	w.check()
}

// check compares every session with what was earned in it.
func (w *world) check() {
	for _, p := range w.people {
		for n, v := range p.visits {
			if v == nil {
				continue
			}
			s, err := w.h.sessions.Lookup(w.h.t.Context(), v.result.Cookie)
			if err != nil {
				p.visits[n] = nil // it has ended, which takes nothing wrong into the world
				continue
			}
			if s.UserID != p.id {
				w.t.Fatalf("the session of %s belongs to %s", p.email, s.UserID)
			}
			for _, f := range s.Factors {
				if !slices.ContainsFunc(v.earned[f.Product], f.LastAuthenticatedAt.Equal) {
					w.t.Fatalf("%s holds %s at %v, earned %v", p.email, f.Product, f.LastAuthenticatedAt, v.earned)
				}
			}
		}
	}
}

func (w *world) password() {
	p, n := w.anyone(), w.browser()
	secret, right := p.secret, true
	if rapid.IntRange(0, 3).Draw(w.t, "wrong") == 0 {
		secret, right = secret+"x", false
	}
	r, err := w.h.AuthenticatePassword(w.h.t.Context(), w.visitor(p, n), p.email, secret)
	w.earn(p, n, factors.Password, right, r, err)
}

func (w *world) send() {
	p, n := w.anyone(), w.browser()
	id, err := w.h.SendEmailCode(w.h.t.Context(), w.visitor(p, n), p.email)
	if err != nil || p.locked {
		return
	}
	w.h.queue.Deliver(w.h.t.Context())
	for _, m := range w.h.outbox.List() {
		if m.To == p.email && m.Code != "" {
			w.mail[p.email] = [2]string{id, m.Code}
			return
		}
	}
}

// code types the last code that somebody got, right or wrong, in any browser of anybody.
func (w *world) code() {
	p, n := w.anyone(), w.browser()
	sent := w.mail[p.email]
	code, right := sent[1], sent[1] != ""
	if code == "" {
		code = "000000"
	}
	if rapid.IntRange(0, 3).Draw(w.t, "wrong") == 0 {
		code, right = wrong(code), false
	}
	typist := p
	if rapid.IntRange(0, 5).Draw(w.t, "another's browser") == 0 {
		typist = w.anyone()
	}
	if typist != p && typist.visits[n] != nil {
		if _, err := w.h.AuthenticateCode(w.h.t.Context(), w.visitor(typist, n), sent[0], code); err == nil {
			w.t.Fatalf("the code of %s counts for %s", p.email, typist.email)
		}
		w.check()
		return
	}
	r, err := w.h.AuthenticateCode(w.h.t.Context(), w.visitor(p, n), sent[0], code)
	if err == nil {
		delete(w.mail, p.email)
	}
	w.earn(p, n, factors.EmailOTP, right, r, err)
}

// enrol sets an authenticator app up, if the session may.
func (w *world) enrol() {
	p, n := w.anyone(), w.browser()
	started, err := w.h.StartTOTP(w.h.t.Context(), w.visitor(p, n))
	if err != nil {
		return
	}
	w.h.clock.Advance(31 * time.Second)
	r, err := w.h.AuthenticateTOTP(w.h.t.Context(), w.visitor(p, n), codeFor(w.h.t, started.Secret, w.h.clock.Now()))
	if err == nil {
		p.app, p.usedStep, p.recovery = started.Secret, w.h.clock.Now().Unix()/30, r.RecoveryCodes
		for i := range p.visits { // proofs with the app before are gone
			if v := p.visits[i]; v != nil {
				delete(v.earned, factors.TOTP)
			}
		}
	}
	w.earn(p, n, factors.TOTP, true, r, err)
}

func (w *world) totp() {
	p, n := w.anyone(), w.browser()
	if p.app == "" {
		return
	}
	at := w.h.clock.Now().Add(time.Duration(rapid.IntRange(-3, 3).Draw(w.t, "step")) * 30 * time.Second)
	step, now := at.Unix()/30, w.h.clock.Now().Unix()/30
	right := step >= now-1 && step <= now+1 && step > p.usedStep
	r, err := w.h.AuthenticateTOTP(w.h.t.Context(), w.visitor(p, n), codeFor(w.h.t, p.app, at))
	if err == nil {
		p.usedStep = step
	}
	w.earn(p, n, factors.TOTP, right, r, err)
}

func (w *world) recover() {
	p, n := w.anyone(), w.browser()
	code, right := "0000-0000-0000-0000", false
	if len(p.recovery) > 0 && rapid.Bool().Draw(w.t, "right") {
		code, right = p.recovery[0], true
	}
	r, err := w.h.AuthenticateRecoveryCode(w.h.t.Context(), w.visitor(p, n), code)
	if err == nil {
		p.recovery = append(slices.Clone(p.recovery[1:]), r.RecoveryCodes...)
	}
	w.earn(p, n, factors.RecoveryCode, right, r, err)
}

func (w *world) signOut() {
	p, n := w.anyone(), w.browser()
	v := w.visitor(p, n)
	if v.Session == nil {
		return
	}
	cookie := p.visits[n].result.Cookie
	if err := w.h.SignOut(w.h.t.Context(), v); err != nil {
		return
	}
	p.visits[n] = nil
	if _, err := w.h.sessions.Lookup(w.h.t.Context(), cookie); err == nil {
		w.t.Fatal("a session outlives its end")
	}
}

func (w *world) lock() {
	p := w.anyone()
	do := w.h.Operator(false).Lock
	if p.locked {
		do = w.h.Operator(false).Unlock
	}
	if err := do(w.h.t.Context(), p.id); err != nil {
		w.t.Fatal(err)
	}
	if p.locked = !p.locked; p.locked {
		for _, v := range p.visits {
			if v == nil {
				continue
			}
			if _, err := w.h.sessions.Lookup(w.h.t.Context(), v.result.Cookie); err == nil {
				w.t.Fatal("a session outlives a lock")
			}
		}
		p.visits = [2]*visit{}
	}
	w.check()
}

func (w *world) remove() {
	p, n := w.anyone(), w.browser()
	v := w.visitor(p, n)
	if v.Session == nil || p.app == "" {
		return
	}
	u, _, err := w.h.accounts.Get(w.h.t.Context(), p.id)
	if err != nil {
		w.t.Fatal(err)
	}
	if u.TOTP == nil {
		return
	}
	combined := account.CanCombine(&u)
	held := p.visits[n].earned
	_, app := held[factors.TOTP]
	_, code := held[factors.RecoveryCode]
	if err := w.h.RemoveFactor(w.h.t.Context(), v, u.TOTP.ID, true); err != nil {
		return
	}
	if combined && !app && !code {
		w.t.Fatal("an authenticator app was removed without a second factor")
	}
	p.app, p.recovery = "", nil
	w.check()
}

// In random sequences of calls, right and wrong, by two people in two browsers each, no session
// ever holds a proof that was not earned in it. More of them: -rapid.checks=10000
func TestNoProofAppearsUnearned(t *testing.T) {
	h := newHouse(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		w := &world{h: h, t: rt, mail: make(map[string][2]string)}
		for i := range 2 {
			email := fmt.Sprintf("person-%d-%d@example.com", round, i)
			u, err := h.Operator(false).Create(t.Context(), account.NewUser{Email: email, Verified: true}, secret)
			if err != nil {
				rt.Fatal(err)
			}
			w.people = append(w.people, &person{email: email, id: u.ID, secret: secret, usedStep: -1})
		}
		rt.Repeat(map[string]func(*rapid.T){
			"password": func(*rapid.T) { w.password() }, "send": func(*rapid.T) { w.send() }, "code": func(*rapid.T) { w.code() },
			"enrol": func(*rapid.T) { w.enrol() }, "totp": func(*rapid.T) { w.totp() }, "recover": func(*rapid.T) { w.recover() },
			"sign out": func(*rapid.T) { w.signOut() }, "lock": func(*rapid.T) { w.lock() }, "remove": func(*rapid.T) { w.remove() },
			"wait": func(rt *rapid.T) {
				h.clock.Advance(time.Duration(rapid.IntRange(1, 4000).Draw(rt, "seconds")) * time.Second)
			},
		})
	})
}
