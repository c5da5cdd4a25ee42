package held

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/storetest"
)

var ada = Owner{UserID: "user-ada", Family: "family", Browser: "browser", Host: "a.test"}

func newRequests(t *testing.T) *Requests {
	t.Helper()
	return New(storetest.Open(t, storetest.NewClock().Now), rand.Reader)
}

func (r *Requests) mustHold(t *testing.T, owner Owner, body []byte) string {
	t.Helper()
	id, err := r.Hold(t.Context(), Head{Owner: owner, Method: "POST", Target: "/"}, body)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// left counts the records that are in the store.
func (r *Requests) left(t *testing.T) int {
	t.Helper()
	n := 0
	for _, prefix := range []string{"hr/", "hb/"} {
		entries, err := r.db.Store().List(t.Context(), prefix, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		n += len(entries)
		for _, e := range entries {
			if bytes.Contains(e.Value, []byte("plain secret")) || strings.Contains(e.Key, "user-ada") {
				t.Errorf("%s shows what is held", e.Key)
			}
		}
	}
	return n
}

// Bodies of any size come back as they were, and nothing is left of them.
func TestBodies(t *testing.T) {
	r := newRequests(t)
	for _, size := range []int{0, 1, partSize - 1, partSize, partSize + 1, partSize * partsAtOnce, 8 << 20} {
		body := bytes.Repeat([]byte("plain secret "), size/13+1)[:size]
		id := r.mustHold(t, ada, body)
		if r.left(t) == 0 {
			t.Fatal("nothing was held")
		}
		h, got, err := r.Take(t.Context(), id, ada)
		if err != nil || !bytes.Equal(got, body) || h.Size != size {
			t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
		}
		if n := r.left(t); n != 0 {
			t.Errorf("%d bytes: %d records are left", size, n)
		}
	}
}

// Only its owner sees, takes or drops a request.
func TestOwner(t *testing.T) {
	r := newRequests(t)
	id := r.mustHold(t, ada, []byte("x"))
	for _, other := range []Owner{
		{UserID: "user-b", Family: ada.Family, Browser: ada.Browser, Host: ada.Host}, {UserID: ada.UserID, Family: "f", Browser: ada.Browser, Host: ada.Host},
		{UserID: ada.UserID, Family: ada.Family, Browser: "b", Host: ada.Host}, {UserID: ada.UserID, Family: ada.Family, Browser: ada.Browser, Host: "b.test"}, {},
	} {
		_, peeked := r.Peek(t.Context(), id, other)
		_, _, taken := r.Take(t.Context(), id, other)
		if dropped := r.Drop(t.Context(), id, other); !errors.Is(peeked, ErrGone) || !errors.Is(taken, ErrGone) || !errors.Is(dropped, ErrGone) {
			t.Errorf("%+v: %v, %v, %v", other, peeked, taken, dropped)
		}
	}
	for _, text := range []string{"", "x", id + "A", id[1:], strings.Repeat("A", 4000)} {
		if _, err := r.Peek(t.Context(), text, ada); !errors.Is(err, ErrGone) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := r.Drop(t.Context(), id, ada); err != nil || r.left(t) != 0 {
		t.Error(err)
	}
	if _, _, err := r.Take(t.Context(), id, ada); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}

// The oldest of a user's requests gives way, also when many come at once; those of others stay.
func TestFewForEachUser(t *testing.T) {
	r := newRequests(t)
	other := r.mustHold(t, Owner{UserID: "user-b"}, []byte("x"))
	first := r.mustHold(t, ada, []byte("x"))
	sent := r.mustHold(t, ada, []byte("x"))
	if _, _, err := r.Take(t.Context(), sent, ada); err != nil { // takes no room any more
		t.Fatal(err)
	}
	for range MaxPerUser - 1 {
		r.mustHold(t, ada, []byte("x"))
	}
	if _, err := r.Peek(t.Context(), first, ada); err != nil {
		t.Error("the first gave way too early")
	}
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() { _, _ = r.Hold(t.Context(), Head{Owner: ada}, []byte("x")) })
	}
	all.Wait()
	if _, err := r.Peek(t.Context(), first, ada); !errors.Is(err, ErrGone) {
		t.Error("the first is still there")
	}
	if _, err := r.Peek(t.Context(), other, Owner{UserID: "user-b"}); err != nil {
		t.Error(err)
	}
	if n := r.left(t); n != 2*(MaxPerUser+1) {
		t.Errorf("%d records", n)
	}
}

// Few requests are received at a time, in all and of one user.
func TestReceivedAtOnce(t *testing.T) {
	r := newRequests(t)
	var readers []*io.PipeWriter
	var all sync.WaitGroup
	read := func(user string) {
		in, out := io.Pipe()
		readers = append(readers, out)
		started := make(chan struct{})
		all.Go(func() {
			if _, err := r.Receive(t.Context(), Head{Owner: Owner{UserID: user}}, &announced{in, started, sync.Once{}}, -1, 10); err != nil {
				t.Error(err)
			}
		})
		<-started
	}
	one := func(user, family string) error {
		_, err := r.Receive(t.Context(), Head{Owner: Owner{UserID: user, Family: family}}, strings.NewReader("x"), 1, 10)
		return err
	}
	for n := range maxReceived {
		read(string(rune('a' + n/maxReceivedOfUser)))
		if n == maxReceivedOfUser-1 {
			if err := one("a", "another session"); !errors.Is(err, ErrBusy) {
				t.Errorf("one user sends %d: %v", n+2, err)
			}
		}
	}
	if err := one("z", ""); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	for _, w := range readers {
		_ = w.Close()
	}
	all.Wait()
}

// hooked is a store that does something before each change.
type hooked struct {
	store.Store
	before func()
}

func (h hooked) Apply(ctx context.Context, conds []store.Cond, ops []store.Op) (store.Rev, error) {
	h.before()
	return h.Store.Apply(ctx, conds, ops)
}

// A request counts until it is in the store: while the store is slow its body is in memory.
func TestSlowStoreBoundsWhatIsReceived(t *testing.T) {
	clock := storetest.NewClock()
	entered, goOn := make(chan struct{}), make(chan struct{})
	db := storetest.DB(t, hooked{storetest.Open(t, clock.Now).Store(), func() { entered <- struct{}{}; <-goOn }}, clock.Now)
	r := New(db, rand.Reader)
	var all sync.WaitGroup
	for range maxReceivedOfUser {
		all.Go(func() { _, _ = r.Receive(t.Context(), Head{Owner: ada}, strings.NewReader("x"), 1, 10) })
		<-entered
	}
	refused := make(chan error)
	all.Go(func() {
		_, err := r.Receive(t.Context(), Head{Owner: ada}, strings.NewReader("x"), 1, 10)
		refused <- err
	})
	select {
	case err := <-refused:
		if !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
	case <-entered:
		t.Error("one more was received")
		go func() { <-refused }()
	}
	close(goOn)
	go func() {
		for range entered { // until all are through
			continue
		}
	}()
	all.Wait()
	close(entered)
}

// Of a request whose sender hangs up while it is written nothing is left, and no room is taken.
func TestNothingIsLeftOfWhoHangsUp(t *testing.T) {
	clock := storetest.NewClock()
	whole := storetest.Open(t, clock.Now).Store()
	body := make([]byte, 2*partSize*partsAtOnce) // two changes, and one for the head
	for n := range 3 {
		ctx, hangUp := context.WithCancel(t.Context())
		changes := 0
		r := New(storetest.DB(t, hooked{whole, func() {
			if changes++; changes == n+1 {
				hangUp()
			}
		}}, clock.Now), rand.Reader)
		if id, err := r.Hold(ctx, Head{Owner: ada}, body); err == nil {
			t.Errorf("hung up in change %d: held as %q", n+1, id)
		}
		if left := r.left(t); left != 0 {
			t.Errorf("hung up in change %d: %d records are left", n+1, left)
		}
	}
}

// announced tells when somebody begins to read.
type announced struct {
	io.Reader
	started chan struct{}
	once    sync.Once
}

func (a *announced) Read(b []byte) (int, error) {
	a.once.Do(func() { close(a.started) })
	return a.Reader.Read(b)
}

// Of many who take a request one gets it, also when its shelf is gone.
func TestTakenOnce(t *testing.T) {
	r := newRequests(t)
	id := r.mustHold(t, ada, []byte("x"))
	if _, err := r.db.Store().Take(t.Context(), "hs/"+shelfOf(ada.UserID)); err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			switch _, _, err := r.Take(t.Context(), id, ada); {
			case err == nil:
				taken.Add(1)
			case !errors.Is(err, ErrGone):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if taken.Load() != 1 {
		t.Errorf("taken %d times", taken.Load())
	}
}
