// Command blastd, of the crash suite, is the daemon with one difference: it kills
// itself with SIGKILL before or after the nth thing that it has a kind do to the host.
// BLAST_CRASH says when: "3:before". Each such thing is noted in the file BLAST_CRASH_NOTE,
// and what it was killed at. It is built beside the real blast under the name of the daemon; the
// real one has no such hook.
package main

import (
	"log/slog"
	"os"

	"blast.example/blast/runtime/daemon"
	"blast.example/blast/runtime/kinds/hosts"
	"blast.example/blast/runtime/sandbox"
)

func main() {
	sandbox.Init()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	all, err := hosts.All(log)
	if err != nil {
		log.Error("can't start", "err", err)
		os.Exit(1)
	}
	if when := os.Getenv("BLAST_CRASH"); when != "" {
		c, err := newCrasher(when, os.Getenv("BLAST_CRASH_NOTE"))
		if err != nil {
			log.Error("BLAST_CRASH", "err", err)
			os.Exit(1)
		}
		for name, h := range all {
			all[name] = wrap(h, c.named(name))
		}
	}
	s := &daemon.Server{Engine: daemon.NewEngine(all, log), Version: "crash", Log: log}
	os.Exit(s.Main())
}
