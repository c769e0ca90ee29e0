// Command attacker tries probes where it is, and prints what came of each as one JSON
// object a line. Each is tried in a process of its own, so that one that is killed takes no
// other with it.
//
//	attacker inside|outside TOKEN NAME   tries one probe
//	attacker batch inside|outside        tries all that stdin names, "NAME TOKEN" a line
//	attacker flood KIND                  exhausts something, and says how far it got
//	attacker neighbour                   serves and asks as a well-behaved program does
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"blast.example/blast/testfixtures/attack/flood"
	"blast.example/blast/testfixtures/attack/probes"
)

// within is how long one probe may take. Those that are refused take milliseconds.
const within = 30 * time.Second

// atOnce is how many are tried at the same time.
const atOnce = 6

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "attacker:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "batch":
		return batch(args[1])
	case len(args) == 2 && args[0] == "flood":
		return print(flood.Run(args[1]))
	case len(args) == 1 && args[0] == "neighbour":
		return flood.Neighbour(os.Stdin, os.Stdout)
	case len(args) == 3:
		p, ok := probes.Named(args[2])
		if !ok {
			return fmt.Errorf("no probe %q", args[2])
		}
		return print(p.Run(probes.Aim{Token: args[1], Inside: args[0] == "inside"}), nil)
	}
	return fmt.Errorf("unknown arguments %q", args)
}

func print(v any, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(v)
}

func batch(where string) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	turn := make(chan struct{}, atOnce)
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		name, token, _ := strings.Cut(in.Text(), " ")
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			out := one(where, token, name)
			mu.Lock()
			defer mu.Unlock()
			_, _ = os.Stdout.Write(out)
		})
	}
	wg.Wait()
	return in.Err()
}

// one tries a probe in a child. What ends the child is what refused it.
func one(where, token, name string) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	start := time.Now()
	out, err := exec.CommandContext(ctx, "/proc/self/exe", where, token, name).Output()
	if err == nil && bytes.HasSuffix(out, []byte("\n")) {
		return out
	}
	r, _ := json.Marshal(probes.Result{Name: name, Err: fmt.Sprintf("died: %v", err), Took: time.Since(start)})
	return append(r, '\n')
}
