package boltstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/store"
	"github.com/stepgate/stepgate/internal/store/boltstore"
)

const writers = 4

func TestMain(m *testing.M) {
	if path := os.Getenv("STEPGATE_TEST_WRITER"); path != "" {
		if err := writeForEver(path, os.Getenv("STEPGATE_TEST_ROUND")); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// body differs for every key, and takes from one byte to many pages.
func body(key string) string {
	n := 0
	for _, c := range key {
		n = n*31 + int(c)
	}
	return strings.Repeat(key+";", 1+n%500)
}

// writeForEver is a process in which several writers add pairs of records and take every third
// one away again, and which tells what was answered.
func writeForEver(path, round string) error {
	s, err := boltstore.Open(path, time.Now)
	if err != nil {
		return err
	}
	write := func(w int) error {
		ctx := context.Background()
		for i := 0; ; i++ {
			key := fmt.Sprintf("%s/%d/%06d", round, w, i)
			_, err := s.Apply(ctx, []store.Cond{{Key: "left/" + key}}, []store.Op{
				{Key: "left/" + key, Value: []byte(body(key))},
				{Key: "right/" + key, Value: []byte(body(key)), Expires: time.Now().Add(time.Hour)},
				{Key: fmt.Sprintf("last/%d", w), Value: []byte(key)},
			})
			if err != nil {
				return err
			}
			fmt.Println("put", key)
			if i%3 != 0 {
				continue
			}
			if _, err := s.Take(ctx, "right/"+key); err != nil {
				return err
			}
			fmt.Println("take", key)
		}
	}
	failed := make(chan error)
	for w := range writers {
		go func() { failed <- write(w) }()
	}
	return <-failed
}

// kill -9 in the middle of writing loses nothing that was answered, leaves no half of a
// change, and does not damage the file.
func TestKilledWriterLosesNothing(t *testing.T) {
	path := file(t)
	put, taken := map[string]bool{}, map[string]bool{}
	for round, lines := range []int{1, 20, 77, 200, 500} {
		run(t, path, fmt.Sprint(round), lines, put, taken)
		s, err := boltstore.Open(path, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Fatalf("the file is damaged: %v", err)
		}
		get := func(key string) string {
			e, err := s.Get(t.Context(), key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
			return string(e.Value)
		}
		for key := range put {
			if get("left/"+key) != body(key) {
				t.Fatalf("%s was answered and is lost", key)
			}
			switch right := get("right/" + key); {
			case taken[key] && right != "":
				t.Fatalf("%s was taken and is back", key)
			case !third(key) && right != body(key):
				t.Fatalf("the other half of %s is lost", key)
			}
		}
		// Each writer may have been one change ahead of its last answer, and no more.
		ahead := 0
		for after := ""; ; {
			page, err := s.List(t.Context(), "left/", after, 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page {
				after = e.Key
				if key := strings.TrimPrefix(e.Key, "left/"); !put[key] {
					put[key] = true // it is in the file now, and has to stay
					ahead++
					if string(e.Value) != body(key) || get("right/"+key) != body(key) {
						t.Fatalf("%s is there by half", key)
					}
				}
			}
			if len(page) == 0 {
				break
			}
		}
		if ahead > writers {
			t.Fatalf("%d changes took effect without an answer", ahead)
		}
		for w := range writers {
			if last := get(fmt.Sprintf("last/%d", w)); last != "" && !put[last] {
				t.Fatalf("a record tells of %s, which is not there", last)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(put) < 100 || len(taken) == 0 {
		t.Fatalf("%d written, %d taken; too few to tell", len(put), len(taken))
	}
}

// third says whether the writer takes the record away after having written it.
func third(key string) bool {
	var n int
	fmt.Sscanf(key[strings.LastIndexByte(key, '/')+1:], "%d", &n)
	return n%3 == 0
}

// run starts a writer, kills it after so many answers, and adds all its answers to the maps.
func run(t *testing.T, path, round string, lines int, put, taken map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "STEPGATE_TEST_WRITER="+path, "STEPGATE_TEST_ROUND="+round)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill := func() { once.Do(func() { _ = cmd.Process.Kill() }) }
	t.Cleanup(kill)
	n := 0
	for answers := bufio.NewScanner(out); answers.Scan(); {
		what, key, _ := strings.Cut(answers.Text(), " ")
		switch what {
		case "put":
			put[key] = true
		case "take":
			taken[key] = true
		default:
			t.Fatal(answers.Text())
		}
		if n++; n == lines {
			kill()
		}
	}
	if err := cmd.Wait(); err == nil || n < lines {
		t.Fatalf("the writer ended by itself after %d answers: %v", n, err)
	}
}
