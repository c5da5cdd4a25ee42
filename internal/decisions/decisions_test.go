package decisions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/policy"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 123_456_789, time.UTC)

const house = `
version: 1
rules:
  - {name: open, match: {path: /open/*}, allow: true}
  - {name: never, match: {path: /never}, deny: true}
  - {name: admin, match: {path: /admin/*}, require: {factor: totp, max_age: 5m}}
  - {name: export, match: {path: /export, query: {format: csv}, header: {X-Beta: "on"}}, require: mfa}
  - {name: level, match: {path: /level}, when: "claims.level == 'high' && inNet(request.client_ip, '192.0.2.0/24')", require: mfa}
  - {name: soon, match: {path: /soon}, require: mfa, report_only: true}
minimum:
  - {name: sealed, match: {path: /open/sealed/*}, require: mfa}
default: {require: signed_in}
`

func load(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Load("p", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// alice has proven a password an hour ago and the factors given.
func alice(t testing.TB, proven string) *policy.Subject {
	t.Helper()
	fs, err := policy.ParseFactors("password@1h"+proven, noon)
	if err != nil {
		t.Fatal(err)
	}
	return &policy.Subject{
		ID: "user-1", Email: "alice@example.com", Groups: []string{"staff"}, Factors: fs, StartedAt: noon.Add(-time.Hour),
		CustomClaims: map[string]any{"level": "high", "salary": "secret"},
	}
}

// decided is the event of a request, as a gate makes it.
func decided(p *policy.Policy, s *policy.Subject, method, target string, header map[string][]string) *Event {
	path, query, _ := strings.Cut(target, "?")
	r := policy.Request{Method: method, Host: "a.test", Path: path, RawQuery: query, Header: header, ClientIP: netip.MustParseAddr("192.0.2.1")}
	ev := &Event{
		Time: noon, RequestID: "request-" + path, Asked: p, Policy: "/etc/p.yaml", Decision: p.Decide(&r, s, noon), Method: method, Host: "a.test",
		Targets: []Target{{path, query}}, ClientIP: r.ClientIP, Subject: s, Reports: p.Report(&r, s, noon),
	}
	ev.Headers, ev.HeadersWhole = p.HeaderRead(header)
	return ev
}

// written is what a log makes of events, line by line.
func written(t testing.TB, o Options, events ...*Event) []string {
	t.Helper()
	var file buffer
	o.Dropped, o.Failed = func(n int) { t.Errorf("%d lines are lost", n) }, func(err error) { t.Error(err) }
	l := NewLog(&file, o)
	for _, ev := range events {
		l.offer(ev)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !file.closed {
		t.Error("the file stays open")
	}
	return slices.Collect(strings.Lines(file.String()))
}

// buffer is a file that a test reads when it is closed.
type buffer struct {
	bytes.Buffer
	closed bool
}

func (b *buffer) Close() error { b.closed = true; return nil }

// A line that is read back is judged as the request was, by the same policy and at that time.
func TestALoggedRequestIsJudgedAlike(t *testing.T) {
	p := load(t, house)
	var events []*Event
	for _, s := range []*policy.Subject{nil, alice(t, ""), alice(t, ",totp@5m"), alice(t, ",totp@301s"), alice(t, ",oauth:corp,crypto_wallet:solana@2h,passkey@1m")} {
		for _, target := range []string{"/open/x", "/open/sealed/x", "/never", "/admin/x", "/export?format=csv&token=secret", "/export?format=pdf", "/export?format=csv&format=csv", "/level", "/soon", "/else"} {
			events = append(events, decided(p, s, "POST", target, map[string][]string{"X-Beta": {"on"}, "User-Agent": {"secret"}}))
		}
	}
	lines := written(t, Options{Allowed: 1}, events...)
	if len(lines) != len(events) {
		t.Fatalf("%d lines of %d decisions", len(lines), len(events))
	}
	at, outcomes := 0, make(map[string]int)
	err := Read(strings.NewReader(strings.Join(lines, "")), func(_ int, e Entry) error {
		want := events[at].Decision
		at++
		outcomes[e.Outcome]++
		got, err := e.Judge(p)
		if err != nil || got.Outcome() != want.Outcome() || got.Rule() != want.Rule() || got.Floor() != want.Floor() {
			t.Errorf("%s: %s by %s %s, expected %s by %s %s (%v)", e.Path, got.Outcome(), got.Rule(), got.Floor(), want.Outcome(), want.Rule(), want.Floor(), err)
		}
		why, err := e.Explain(p)
		if err != nil || why.Outcome != e.Outcome || why.Rule != e.Rule || why.Floor != e.Floor {
			t.Errorf("%s: explained as %+v (%v), logged as %s by %s", e.Path, why, err, e.Outcome, e.Rule)
		}
		return nil
	}, func(line int, err error) { t.Errorf("line %d: %v", line, err) })
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []string{"allow", "deny", "sign_in", "step_up", "refused"} {
		if outcomes[o] == 0 {
			t.Errorf("no line with outcome %s: %v", o, outcomes)
		}
	}
}

// A line holds no value that no rule reads.
func TestALineTellsNoSecret(t *testing.T) {
	ev := decided(load(t, house), alice(t, ""), "GET", "/export?format=csv&token=secret&secret=1", map[string][]string{
		"X-Beta": {"on"}, "Authorization": {"Bearer secret"}, "Cookie": {"a=secret"}, "X-Other": {"secret"},
	})
	lines := written(t, Options{}, ev)
	if strings.Contains(lines[0], "secret") {
		t.Error(lines[0])
	}
	for _, part := range []string{`"query":{"format":["csv"]}`, `"headers":{"X-Beta":["on"]}`, `"custom_claims":{"level":"high"}`, `"email":"alice@example.com"`, `"age":3600`} {
		if !strings.Contains(lines[0], part) {
			t.Errorf("%s is not in %s", part, lines[0])
		}
	}
}

// Whatever a client sends, a decision is one line of JSON without control characters.
func TestHostileTextIsOneLine(t *testing.T) {
	const hostile = "\r\n\x1b[2J\u2028\u0085\u009b\u202e\"\\\x00\xff\U000e0041é"
	p := load(t, house)
	ev := decided(p, &policy.Subject{ID: hostile, Email: hostile, Groups: []string{hostile}}, hostile, "/admin/"+hostile+"?format="+hostile, map[string][]string{"X-Beta": {hostile}})
	ev.RequestID, ev.Host = hostile, hostile
	refused := *ev
	refused.Refusal, refused.Asked, refused.Policy = "control_byte", nil, ""
	for _, line := range written(t, Options{}, ev, &refused) {
		body := strings.TrimSuffix(line, "\n")
		if i := strings.IndexFunc(body, func(r rune) bool {
			return r < ' ' || 0x7f <= r && r < 0xa0 || r == 0x2028 || r == 0x202e || r == 0xe0041 || r == 0xfffd
		}); i >= 0 {
			t.Errorf("%q at %d in %s", body[i:i+1], i, body)
		}
		if !strings.Contains(body, "é") {
			t.Errorf("letters are escaped: %s", body)
		}
		var e Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Host != strings.ToValidUTF8(hostile, "\ufffd") {
			t.Errorf("read back as %q: %v", e.Host, err)
		}
	}
}

// Allowed requests that repeat another are left out for a time; refusals never are.
func TestRepeatsAreLeftOut(t *testing.T) {
	p := load(t, house)
	at := func(after time.Duration, s *policy.Subject, target string) *Event {
		ev := decided(p, s, "GET", target, nil)
		ev.Time = noon.Add(after)
		return ev
	}
	a, b := alice(t, ""), alice(t, ",totp")
	lines := written(t, Options{Allowed: 1, Repeats: 10 * time.Minute},
		at(0, a, "/x"), at(time.Minute, a, "/x"), at(2*time.Minute, a, "/y"), at(3*time.Minute, b, "/x"), at(3*time.Minute, nil, "/open/x"),
		at(9*time.Minute+59*time.Second, a, "/x"), at(10*time.Minute, a, "/x"), at(11*time.Minute, a, "/y"), at(12*time.Minute, a, "/y"),
		at(13*time.Minute, a, "/never"), at(13*time.Minute, a, "/never"))
	if len(lines) != 8 {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, ""))
	}
}

// One in so many allowed requests is written, or none; refusals all are.
func TestAllowedRequestsAreSampled(t *testing.T) {
	p := load(t, house)
	var events []*Event
	for i := range 100 {
		events = append(events, decided(p, nil, "GET", fmt.Sprintf("/open/%d", i), nil), decided(p, nil, "GET", "/never", nil))
	}
	for allowed, want := range map[int]int{0: 100, 1: 200, 10: 110} {
		r := &Recorder{Log: &Log{options: Options{Allowed: allowed}}}
		if r.Wants(true) != (allowed > 0) || !r.Wants(false) {
			t.Errorf("allowed %d: wants %v and %v", allowed, r.Wants(true), r.Wants(false))
		}
		kept := slices.DeleteFunc(slices.Clone(events), func(ev *Event) bool { return !r.Wants(!ev.refused()) })
		if n := len(written(t, Options{Allowed: allowed}, kept...)); n != want {
			t.Errorf("allowed %d: %d lines, expected %d", allowed, n, want)
		}
	}
}

// stuck is a file whose first write waits.
type stuck struct {
	buffer
	begun, release chan struct{}
	once           sync.Once
}

func (s *stuck) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.begun); <-s.release })
	return s.buffer.Write(p)
}

// A disk that hangs holds no request up: what does not fit the queue is dropped and counted, and
// what is offered after the end too.
func TestAFullQueueDrops(t *testing.T) {
	p := load(t, house)
	ev := decided(p, nil, "GET", "/never", nil)
	file := &stuck{begun: make(chan struct{}), release: make(chan struct{})}
	dropped := 0
	l := NewLog(file, Options{Dropped: func(n int) { dropped += n }})
	l.offer(ev)
	<-file.begun
	for range maxQueue + 7 {
		l.offer(ev)
	}
	if dropped != 7 {
		t.Errorf("%d decisions dropped, expected 7", dropped)
	}
	close(file.release)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(file.String(), "\n"); n != maxQueue+1 {
		t.Errorf("%d lines, expected %d", n, maxQueue+1)
	}
	if l.offer(ev); dropped != 8 {
		t.Errorf("%d decisions dropped after the end", dropped)
	}
}

// full is a disk without space.
type full struct{ buffer }

var errFull = errors.New("no space left")

func (*full) Write([]byte) (int, error) { return 0, errFull }

// Lines that cannot be written are counted, and told once a minute.
func TestAFullDiskIsTold(t *testing.T) {
	p := load(t, house)
	dropped, told := 0, 0
	l := NewLog(&full{}, Options{Dropped: func(n int) { dropped += n }, Failed: func(err error) {
		if told++; !errors.Is(err, errFull) {
			t.Error(err)
		}
	}})
	for i := range 4 {
		ev := decided(p, nil, "GET", "/never", nil)
		ev.Time = noon.Add(time.Duration(i) * 40 * time.Second)
		l.offer(ev)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if dropped != 4 || told == 0 {
		t.Errorf("%d dropped, told %d times", dropped, told)
	}
	told, l.complained = 0, time.Time{}
	for i := range 4 {
		l.lose(1, errFull, noon.Add(time.Duration(i)*40*time.Second))
	}
	if told != 2 {
		t.Errorf("told %d times in two minutes", told)
	}
}

// The latest refusals are found by the reference that the answer carried. Strangers cannot push
// those of people out.
func TestRefusalsAreFound(t *testing.T) {
	p := load(t, house)
	recent := NewRecent(3)
	r := &Recorder{Recent: recent}
	record := func(id string, after time.Duration, s *policy.Subject, target string) {
		ev := decided(p, s, "GET", target, nil)
		ev.RequestID, ev.Time = id, noon.Add(after)
		if r.Wants(!ev.refused()) {
			r.Record(ev)
		}
	}
	record("a", 0, alice(t, ""), "/admin/x")
	for i := range 10 {
		record(fmt.Sprint("stranger ", i), time.Duration(i)*time.Second, nil, "/admin/x")
	}
	record("fine", 20*time.Second, alice(t, ""), "/page")
	record("b", 30*time.Second, alice(t, ""), "/never")
	var ids []string
	for _, e := range recent.Recent(10) {
		ids = append(ids, e.RequestID)
	}
	if got := strings.Join(ids, ", "); got != "b, stranger 9, stranger 8, stranger 7, a" {
		t.Errorf("kept: %s", got)
	}
	if two := recent.Recent(2); len(two) != 2 || two[1].RequestID != "stranger 9" {
		t.Errorf("the latest two: %+v", two)
	}
	e, ok := recent.Find("a")
	if !ok || e.Rule != "admin" || e.Visitor.Email != "alice@example.com" || len(e.Missing) == 0 {
		t.Errorf("found %v %+v", ok, e)
	}
	if _, ok := recent.Find("stranger 1"); ok {
		t.Error("an old refusal is still kept")
	}
	var none *Recorder
	if none.Record(decided(p, nil, "GET", "/never", nil)); none.Wants(false) {
		t.Error("nothing wants a decision")
	}
}

// Lines that are none are named and passed over, however long they are.
func TestBadLinesAreNamed(t *testing.T) {
	good := written(t, Options{}, decided(load(t, house), nil, "GET", "/never", nil))[0]
	text := good + "nonsense\n" + "\n" + good + `{"time":"2026-01-01T00:00:00Z"}` + "\n" + strings.Repeat("x", maxLine+1) + "\n" + good + strings.Repeat("y", 2*maxLine)
	n := 0
	var bad []int
	err := Read(strings.NewReader(text), func(int, Entry) error { n++; return nil }, func(line int, _ error) { bad = append(bad, line) })
	if err != nil || n != 3 || !slices.Equal(bad, []int{2, 5, 6, 8}) {
		t.Errorf("%d entries, bad lines %v: %v", n, bad, err)
	}
	errStop := errors.New("stop")
	if err := Read(strings.NewReader(good), func(int, Entry) error { return errStop }, nil); !errors.Is(err, errStop) {
		t.Errorf("the caller's error: %v", err)
	}
}
