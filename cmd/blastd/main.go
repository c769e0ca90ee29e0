// Command blastd is Blast's hands: it observes and applies what blast plans, and
// keeps the DNS server and the relays of live environments. blast starts it when
// it is needed; it goes when nothing is up. Its one client is its own user.
package main

import (
	"context"
	"log/slog"
	"os"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/runtime/daemon"
	"blast.example/blast/runtime/hostinfo/probe"
	"blast.example/blast/runtime/kinds/hosts"
	"blast.example/blast/runtime/sandbox"
)

func main() {
	sandbox.Init() // does not return in the child that becomes a container's PID 1
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	all, err := hosts.All(log)
	if err != nil {
		log.Error("blastd can't start", "err", err)
		os.Exit(1)
	}
	s := &daemon.Server{
		Engine:  daemon.NewEngine(all, log),
		Version: release.Version,
		Log:     log,
		Doctor:  func(ctx context.Context, dir string) (any, error) { return probe.Probe(ctx, dir), nil },
	}
	os.Exit(s.Main())
}
