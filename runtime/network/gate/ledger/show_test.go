package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"blast.example/blast/runtime/ndjson"
	"blast.example/blast/runtime/network/denial"
	"blast.example/blast/runtime/network/traffic"
)

// TestReaderThatDoesntRead: the gate goes on; the reader is told what it missed, and
// another one misses nothing.
func TestReaderThatDoesntRead(t *testing.T) {
	l := open(t, t.TempDir())
	l.connections = rate.NewLimiter(rate.Inf, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stuck, go1 := make(chan struct{}, 1), make(chan struct{})
	seen, missed := 0, uint64(0)
	done := make(chan error, 1)
	enough := errors.New("enough")
	const n = 3 * ndjson.MaxQueue
	go func() {
		done <- l.Show(ctx, true, func(b json.RawMessage) error {
			line, err := traffic.Decode(b)
			switch {
			case err != nil:
				return err
			case line.Totals != nil:
				stuck <- struct{}{}
				<-go1
			case line.Missed != nil:
				missed += line.Missed.Lines
			case line.Connection != nil:
				seen++
			}
			if seen+int(missed) == n {
				return enough
			}
			return nil
		})
	}()
	<-stuck
	start := time.Now()
	for i := range n {
		l.begin(fmt.Sprintf("%d.example", i)).End(traffic.ByClient, "")
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("the gate took %v", d)
	}
	close(go1)
	if err := <-done; !errors.Is(err, enough) || missed == 0 || seen > ndjson.MaxQueue+1 {
		t.Errorf("%v: %d seen, %d missed", err, seen, missed)
	}
	if all, _ := shown(t, l); len(connections(all)) != n {
		t.Errorf("another reader sees %d", len(connections(all)))
	}
	if l.readers.Len() != 0 {
		t.Error("the reader is still there")
	}
}

// TestFollowersSeeEverythingOnce, in order: the end of the past, and what comes.
func TestFollowersSeeEverythingOnce(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	log, err := denial.Open(filepath.Join(dir, denial.File))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	log.Tell = l.Denied
	deny := func(host string) {
		if err := log.Add(denial.Denial{Op: denial.Resolve, Host: host}); err != nil {
			t.Fatal(err)
		}
	}
	deny("before.example")
	live := l.begin("live.example")
	live.Led(far)
	<-live.looked
	var got []string
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		done <- l.Show(context.Background(), true, func(b json.RawMessage) error {
			switch line, _ := traffic.Decode(b); {
			case line.Totals != nil:
				close(ready)
			case line.Denial != nil:
				got = append(got, line.Denial.Host)
			case line.Connection != nil:
				got = append(got, line.Connection.Host+" "+line.Connection.State)
			}
			return nil
		})
	}()
	<-ready
	deny("after.example")
	live.End(traffic.ByClient, "")
	next := l.begin("next.example")
	next.Led(far)
	<-next.looked
	if err := l.Close(); err != nil { // the gate goes, and the follower with it
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want := "before.example, live.example open, after.example, live.example closed, next.example open, next.example closed"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}
