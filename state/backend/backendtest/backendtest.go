// Package backendtest is the suite that every backend.Store passes.
package backendtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"blast.example/blast/state/backend"
)

// Run runs the suite. open returns a Store for the same records each time, as
// another process would have it; nothing is there at first.
func Run(t *testing.T, open func(t *testing.T) backend.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, backend.Store, backend.Store){
		"records":   records,
		"versions":  versions,
		"names":     names,
		"listing":   listing,
		"whole":     whole,
		"exclusion": exclusion,
		"holders":   holders,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t), open(t)) })
	}
}

func put(t *testing.T, s backend.Store, name, text string, was backend.Version) backend.Version {
	t.Helper()
	if err := s.Put(name, []byte(text), was); err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
	b, v, err := s.Get(name)
	if err != nil || string(b) != text || v == "" {
		t.Fatalf("get %s: %q, %q, %v; want %q", name, b, v, err, text)
	}
	return v
}

func records(t *testing.T, a, b backend.Store) {
	if _, v, err := a.Get("records/x.json"); !errors.Is(err, backend.ErrNotFound) || v != "" {
		t.Fatalf("what is not there: %q, %v", v, err)
	}
	put(t, a, "records/x.json", "one", "")
	got, _, err := b.Get("records/x.json")
	if err != nil || string(got) != "one" {
		t.Fatalf("another process reads %q, %v", got, err)
	}
	put(t, a, "records/empty", "", "")
	put(t, a, "records/binary", "\x00\xff\n", "")
	for range 2 {
		if err := b.Delete("records/x.json"); err != nil {
			t.Fatal("delete:", err)
		}
	}
	if _, _, err := a.Get("records/x.json"); !errors.Is(err, backend.ErrNotFound) {
		t.Fatalf("deleted, and there: %v", err)
	}
}

func versions(t *testing.T, a, b backend.Store) {
	one := put(t, a, "versions.json", "one", "")
	two := put(t, b, "versions.json", "two", one)
	if one == two {
		t.Fatal("two contents have one version")
	}
	for _, was := range []backend.Version{"", one, "no version"} {
		if err := a.Put("versions.json", []byte("three"), was); !errors.Is(err, backend.ErrConflict) {
			t.Errorf("replaced, though %q is not the version: %v", was, err)
		}
	}
	if err := a.Put("versions-absent.json", []byte("x"), one); !errors.Is(err, backend.ErrConflict) {
		t.Errorf("replaced what was not there: %v", err)
	}
	if b, v, err := b.Get("versions.json"); err != nil || string(b) != "two" || v != two {
		t.Errorf("a refused write left %q, %q, %v", b, v, err)
	}
}

func names(t *testing.T, a, _ backend.Store) {
	for _, name := range []string{"", ".", "..", "../x", "/x", "x/../../y", "x//y", "x/"} {
		if err := a.Put(name, []byte("x"), ""); err == nil {
			t.Errorf("%q is a name", name)
		}
	}
}

func listing(t *testing.T, a, b backend.Store) {
	if got, err := a.List("list"); err != nil || len(got) != 0 {
		t.Fatalf("nothing is %v, %v", got, err)
	}
	for _, name := range []string{"list/10.json", "list/9.json", "other/1.json"} {
		put(t, a, name, name, "")
	}
	got, err := b.List("list")
	if want := []string{"list/10.json", "list/9.json"}; err != nil || !slices.Equal(got, want) {
		t.Fatalf("%v, %v; want %v", got, err, want)
	}
}

// whole reads while others write: there is no moment at which a part can be read.
func whole(t *testing.T, a, b backend.Store) {
	contents := [][]byte{bytes.Repeat([]byte("a"), 1<<20), bytes.Repeat([]byte("b"), 1<<18)}
	if err := a.Put("whole.json", contents[0], ""); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		defer close(stop)
		for i := range 50 {
			_, v, err := a.Get("whole.json")
			if err == nil {
				err = a.Put("whole.json", contents[i%2], v)
			}
			if err != nil {
				t.Error("put:", err)
				return
			}
		}
	})
	reads := 0
	for done := false; !done; reads++ {
		select {
		case <-stop:
			done = true
		default:
		}
		got, _, err := b.Get("whole.json")
		if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Fatalf("read %d bytes, %v", len(got), err)
		}
	}
	wg.Wait()
	t.Logf("%d reads beside 50 writes", reads)
}

func exclusion(t *testing.T, a, b backend.Store) {
	who := backend.Myself("first", "test one", 0)
	unlock, err := a.Lock(who)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Lock(backend.Myself("second", "test two", 0))
	var locked *backend.LockedError
	if !errors.As(err, &locked) || !errors.Is(err, backend.ErrLocked) || locked.Holder.ID != "first" {
		t.Fatalf("a second lock: %v", err)
	}
	h, err := b.Holder()
	if err != nil || h == nil || *h != who {
		t.Fatalf("holder is %+v, %v; want %+v", h, err, who)
	}
	if err := b.Break("first"); err == nil {
		t.Fatal("a live holder's lock was broken")
	}
	unlock()
	if h, err := b.Holder(); err != nil || h != nil {
		t.Fatalf("unlocked, and held by %+v, %v", h, err)
	}
	if err := b.Break("first"); err == nil {
		t.Error("a lock that nobody holds was broken")
	}
	again, err := b.Lock(who)
	if err != nil {
		t.Fatal("after unlock:", err)
	}
	again()
	count(t, a, b)
}

// count lets many take the lock at once: no two ever have it together.
func count(t *testing.T, stores ...backend.Store) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	inside, held := 0, 0
	for i := range 16 {
		wg.Go(func() {
			for range 20 {
				unlock, err := stores[i%len(stores)].Lock(backend.Myself(fmt.Sprint(i), "test", 0))
				if errors.Is(err, backend.ErrLocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				inside++
				held++
				if inside > 1 {
					t.Error("two have the lock")
				}
				mu.Unlock()
				mu.Lock()
				inside--
				mu.Unlock()
				unlock()
			}
		})
	}
	wg.Wait()
	if held == 0 {
		t.Error("nobody ever had the lock")
	}
}

// holders knows the living from the dead.
func holders(t *testing.T, _, _ backend.Store) {
	if me := backend.Myself("x", "test", os.Getppid()); !me.Alive() || me.Boot == "" || me.Start == 0 {
		t.Errorf("this process is not alive: %+v", me)
	}
	for name, spoil := range map[string]func(*backend.Holder){
		"another boot":   func(h *backend.Holder) { h.Boot = "another" },
		"a pid reused":   func(h *backend.Holder) { h.Start++ },
		"nobody":         func(h *backend.Holder) { *h = backend.Holder{} },
		"an ended child": func(h *backend.Holder) { h.PID = ended(t) },
	} {
		h := backend.Myself("x", "test", 0)
		if spoil(&h); h.Alive() {
			t.Errorf("%s is alive: %+v", name, h)
		}
	}
}

func ended(t *testing.T) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}
