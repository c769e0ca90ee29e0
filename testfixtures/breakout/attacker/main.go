//go:build linux

// Command attacker tries probes where it is, and prints what came of each as one JSON
// object a line. Each is tried in a process of its own, so that one that is killed takes no
// other with it.
//
//	attacker batch inside|outside   reads a target as JSON from the first line of stdin, then "NAME TOKEN" lines
//	attacker bomb NAME FOLDER       goes on until it is stopped, and says how far it got
//	attacker everywhere             is a fork bomb
//	attacker type                   types on every terminal that it was given
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"blast.example/blast/testfixtures/breakout/bombs"
	"blast.example/blast/testfixtures/breakout/probes"
	"blast.example/blast/testfixtures/pace"
)

// within is how long one probe may take. Those that are refused take milliseconds.
var within = pace.Of(20 * time.Second)

// atOnce is how many are tried at the same time.
const atOnce = 3

// target is the variable by which a child knows what there is to reach.
const target = "BREAKOUT_TARGET"

func main() {
	signal.Ignore(syscall.SIGHUP) // of terminals that go with a probe
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "batch":
		return batch(args[1])
	case len(args) == 3 && args[0] == "bomb":
		return bomb(args[1], args[2])
	case len(args) == 1 && args[0] == "everywhere":
		return bombs.Everywhere()
	case len(args) == 1 && args[0] == "type":
		return typeOn()
	case len(args) == 2 && args[0] == "step":
		return probes.Step(args[1])
	case len(args) == 3 && (args[0] == "inside" || args[0] == "outside"):
		return one(args[0], args[1], args[2])
	}
	return fmt.Errorf("unknown arguments %q", args)
}

// one tries one probe.
func one(where, token, name string) error {
	p, ok := probes.Named(name)
	if !ok {
		return fmt.Errorf("no probe %q", name)
	}
	a := probes.Aim{Token: token, Inside: where == "inside"}
	if err := json.Unmarshal([]byte(os.Getenv(target)), &a.Target); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(p.Run(&a))
}

// bomb prints how far it got, as "REACHED ERROR".
func bomb(name, dir string) error {
	b, ok := bombs.Named(name)
	if !ok {
		return fmt.Errorf("no bomb %q", name)
	}
	n, err := b.Go(dir, b.Size)
	_, err = fmt.Printf("%d %s\n", n, bombs.Short(err))
	return err
}

// typeOn types a line where this program's input comes from, its output goes to, and on its
// session's terminal.
func typeOn() error {
	tty, err := unix.Open("/dev/tty", unix.O_RDWR, 0)
	if err != nil {
		tty = 0
	}
	n := 0
	for _, fd := range []int{0, 1, 2, tty} {
		for _, c := range []byte("typed\n") {
			_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSTI, uintptr(unsafe.Pointer(&c)))
			if errno == 0 {
				n++
			}
		}
	}
	_, err = fmt.Printf("typed %d\n", n)
	return err
}

func batch(where string) error {
	in := bufio.NewScanner(os.Stdin)
	if !in.Scan() {
		return errors.Join(in.Err(), errors.New("no target"))
	}
	if err := os.Setenv(target, in.Text()); err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	turn := make(chan struct{}, atOnce)
	for in.Scan() {
		name, token, _ := strings.Cut(in.Text(), " ")
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			out := child(where, token, name)
			mu.Lock()
			defer mu.Unlock()
			_, _ = os.Stdout.Write(out)
		})
	}
	wg.Wait()
	return in.Err()
}

// child tries a probe in a process of its own: outside in namespaces in which what it does goes with it. What
// ends the process is what refused it.
func child(where, token, name string) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", where, token, name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if where == "outside" {
		cmd.SysProcAttr.Unshareflags = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWNET
	}
	start := time.Now()
	out, err := cmd.Output()
	if err == nil && bytes.HasSuffix(out, []byte("\n")) {
		return out
	}
	r, _ := json.Marshal(probes.Result{Name: name, Err: fmt.Sprintf("died: %v", err), Took: time.Since(start)})
	return append(r, '\n')
}
