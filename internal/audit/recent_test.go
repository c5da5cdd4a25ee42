package audit

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// The latest events are kept, the newest first, and found by whom they are about or who did
// them. Refused tries push nothing else out.
func TestRecent(t *testing.T) {
	r := NewRecent(5)
	start := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	for i := range 12 {
		r.Record(Event{Time: start.Add(time.Duration(i) * time.Second), Kind: Kind(strconv.Itoa(i)), UserID: "user-" + strconv.Itoa(i%2), ActorID: "user-2"})
	}
	for range 100 {
		r.Record(Event{Time: start.Add(time.Hour), Kind: FactorRefused, UserID: "user-3"})
	}
	for _, c := range []struct {
		user  string
		limit int
		want  []string
	}{
		{"user-0", 10, []string{"10", "8"}}, {"user-2", 10, []string{"11", "10", "9", "8", "7"}}, {"user-2", 2, []string{"11", "10"}},
		{"user-3", 1, []string{"factor_refused"}}, {"nobody", 10, nil}, {"", 0, nil},
	} {
		var got []string
		for _, ev := range r.List(c.user, c.limit) {
			got = append(got, string(ev.Kind))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q, %d: %v, expected %v", c.user, c.limit, got, c.want)
		}
	}
	if got := r.List("", 100); len(got) != 10 || got[0].Kind != FactorRefused {
		t.Errorf("all: %v", got)
	}
	var none Recent
	none.Record(Event{})
	if got := none.List("", 10); len(got) != 0 {
		t.Errorf("the zero value keeps %v", got)
	}
}

// Sign-ins push neither alarms out nor what administrators did, and those push no sign-ins out.
func TestSignInsPushNoAlarmsOut(t *testing.T) {
	r := NewRecent(3)
	start := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	at := 0
	record := func(ev Event) {
		ev.Time = start.Add(time.Duration(at) * time.Second)
		at++
		r.Record(ev)
	}
	record(Event{Kind: FactorProven, UserID: "first"})
	for _, ev := range []Event{{Kind: BreakGlassUsed}, {Kind: KeyCloned}, {Kind: AccountLocked, ByAdmin: true}} {
		record(ev)
	}
	for range 7 {
		record(Event{Kind: SessionStarted})
		record(Event{Kind: FactorRefused})
		record(Event{Kind: BreakGlassRefused})
	}
	var got []Kind
	for _, ev := range r.List("", 100) {
		got = append(got, ev.Kind)
	}
	want := []Kind{
		BreakGlassRefused, FactorRefused, SessionStarted, BreakGlassRefused, SessionStarted, SessionStarted, AccountLocked, KeyCloned, BreakGlassUsed,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, expected %v", got, want)
	}
}
