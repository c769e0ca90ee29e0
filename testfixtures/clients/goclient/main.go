// Command goclient is a client with Go's net/http as it is, for the tests of clients.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const big = 10 << 20

func main() {
	verbs := map[string]func(...string) error{"all": all, "idle": idle, "hold": hold, "get": get}
	if err := verbs[os.Args[1]](os.Args[2:]...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// wrong is whether anything was.
var wrong bool

func done(name string, ok bool, got any, err error) {
	if ok && err == nil {
		fmt.Println("ok", name)
		return
	}
	wrong = true
	fmt.Printf("WRONG %s %.200q %v\n", name, fmt.Sprint(got), err)
}

func fetch(url string) (string, error) {
	r, err := http.Get(url) //nolint:gosec,noctx // that is what it is for
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

func all(bases ...string) error {
	for i, name := range []string{"https", "http", "both", "six"} {
		got, err := fetch(bases[i] + "/hello")
		done(name, got == "hello from "+strings.Split(bases[i], "/")[2], got, err)
	}
	for i, name := range []string{"", "http-"} {
		tasks(name, bases[i])
	}
	got, err := fetch(bases[0] + "/version")
	done("http2", got == "HTTP/2.0", got, err)
	if wrong {
		return errors.New("not all of it works")
	}
	return nil
}

func tasks(name, base string) {
	for task, want := range map[string]string{
		"redirect": "hello from other.example", "gzip": "small", "big": string(make([]byte, big)),
		"chunks": "chunk 0\nchunk 1\nchunk 2\nchunk 3\nchunk 4\n", "query?a=1;b=%zz&c": "/query?a=1;b=%zz&c",
	} {
		got, err := fetch(base + "/" + task)
		task, _, _ = strings.Cut(strings.ReplaceAll(task, "big", "down"), "?")
		done(name+task, got == want, got, err)
	}
	got, err := fetch(base + "/events")
	done(name+"events", strings.Count(got, "data: ") == 5, got, err)
	got, err = post(base+"/take", http.Header{})
	done(name+"up", got == "took "+strconv.Itoa(big), got, err)
	got, err = post(base+"/take", http.Header{"Expect": {"100-continue"}})
	done(name+"expect", got == "took "+strconv.Itoa(big), got, err)
	done(name+"fifty", fifty(base) == 50, "", nil)
}

func post(url string, head http.Header) (string, error) {
	r, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(make([]byte, big))) //nolint:noctx // see fetch
	if err != nil {
		return "", err
	}
	r.Header = head
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return string(b), err
}

func fifty(base string) (n int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 50 {
		wg.Go(func() {
			if got, err := fetch(base + "/hello"); err == nil && strings.HasPrefix(got, "hello from ") {
				mu.Lock()
				n++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return n
}

// idle is what long-lived services do: a pool that is silent between two requests.
func idle(args ...string) error {
	http.DefaultTransport.(*http.Transport).IdleConnTimeout = time.Hour
	seconds, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var before, after []string
	for _, base := range args[1:] {
		got, err := fetch(base + "/connection")
		if err != nil {
			return err
		}
		before = append(before, got)
	}
	<-time.After(time.Duration(seconds) * time.Second)
	for _, base := range args[1:] {
		got, err := fetch(base + "/connection")
		if err != nil {
			return err
		}
		after = append(after, got)
	}
	done("idle", fmt.Sprint(before) == fmt.Sprint(after), fmt.Sprint(before, after), nil)
	return nil
}

func hold(args ...string) error {
	r, err := http.Get(args[0]) //nolint:gosec,noctx // see fetch
	if err != nil {
		return err
	}
	defer r.Body.Close()
	s := bufio.NewScanner(r.Body)
	for s.Scan() {
		fmt.Println("holds")
	}
	return s.Err()
}

func get(args ...string) error {
	got, err := fetch(args[0])
	fmt.Println(got)
	return err
}
