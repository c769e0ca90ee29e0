// Command network measures what Blast's network costs, beside plain loopback, two hops
// with NAT, and proxies that are asked to CONNECT: throughput, new connections,
// round trips and CPU; how exact limits of bandwidth are; and what becomes of
// thousands of connections. All of it is in namespaces of its own. Run it with
// `make bench-network`, or a part: bin/network paths, cost, shape, hold, pace or rough;
// load is the last three. It is no test:
// nothing fails when it is slow, and a peer that can't be had is a line that says so.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"blast.example/blast/bench/network/load"
	"blast.example/blast/testfixtures/netlab"
)

// client is the argument that makes this program the client or the server.
const client = "client"

func main() {
	if len(os.Args) > 1 && os.Args[1] == client {
		if err := serveClient(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "network:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(netlab.Main(func() int {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "network:", err)
			return 1
		}
		return 0
	}))
}

func run(parts []string) error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root: it makes network namespaces and sandboxes")
	}
	w, err := newWorld()
	defer w.close()
	if err != nil {
		return err
	}
	for _, p := range []struct {
		names []string
		do    func(*world) error
	}{
		{[]string{"paths"}, paths},
		{[]string{"cost"}, cost},
		{[]string{"shape"}, shape},
		{[]string{"load", "hold"}, hold},
		{[]string{"load", "pace"}, pace},
		{[]string{"load", "rough"}, rough},
	} {
		if len(parts) > 0 && !slices.ContainsFunc(p.names, func(n string) bool { return slices.Contains(parts, n) }) {
			continue
		}
		if err := p.do(w); err != nil {
			return fmt.Errorf("%s: %w", p.names[len(p.names)-1], err)
		}
	}
	return nil
}

// serveClient does one thing and prints what it counted.
func serveClient(args []string) error {
	f := flag.NewFlagSet(client, flag.ContinueOnError)
	t := &load.Target{}
	at := f.String("at", "", "host:port, separated by commas")
	f.StringVar(&t.Proto, "proto", load.TCP, "tcp, tls or http")
	f.StringVar(&t.Proxy, "proxy", "", "host:port")
	n := f.Int("n", 1, "how many")
	d := f.Duration("for", time.Second, "how long")
	if err := f.Parse(args); err != nil {
		return err
	}
	t.At = strings.Split(*at, ",")
	out := json.NewEncoder(os.Stdout)
	say := func(r load.Result) { _ = out.Encode(r) }
	switch f.Arg(0) {
	case "serve":
		return load.Serve(*at, func() { say(load.Result{}) })
	case "bulk":
		say(t.Bulk(*n, *d))
	case "churn":
		say(t.Churn(*n, *d))
	case "trip":
		say(t.Trip(*d))
	case "hold":
		say(t.Hold(*n, say, os.Stdin))
	case "pace":
		say(t.Pace(*n, *d))
	case "slow":
		say(t.Slow(*n, *d))
	case "shut":
		say(t.Shut(*n, *d))
	case "half":
		say(t.Half(*n, *d))
	case "down":
		say(t.Down())
	case "up":
		say(t.Up())
	default:
		return fmt.Errorf("no such client: %q", f.Arg(0))
	}
	return nil
}
