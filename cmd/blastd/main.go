// Command blastd is Blast's hands: it observes and applies what blast plans, and
// keeps the DNS server and the relays of live environments. blast starts it when
// it is needed; it goes when nothing is up. Its one client is its own user.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"blast.example/blast/runtime/daemon"
	"blast.example/blast/runtime/hostinfo/probe"
	"blast.example/blast/runtime/kinds/hosts"
	"blast.example/blast/runtime/sandbox"
)

// version is the released version; set by the Makefile with -ldflags -X.
var version = "0.1.0-dev"

// readyFD is the pipe on which blast waits for "ready" or the reason why not.
const readyFD = 3

func main() {
	sandbox.Init() // does not return in the child that becomes a container's PID 1
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ready := os.NewFile(readyFD, "ready")
	err := serve(log, func() { tell(ready, "ready") })
	if err != nil && !errors.Is(err, daemon.ErrRunning) {
		log.Error("blastd ends", "err", err)
		tell(ready, err.Error())
		os.Exit(1)
	}
	tell(ready, "ready") // another one serves: blast connects to that
}

// tell writes to whoever started this daemon, once.
func tell(f *os.File, message string) {
	if fi, err := f.Stat(); err == nil && fi.Mode()&os.ModeNamedPipe != 0 {
		_, _ = fmt.Fprintln(f, message)
	}
	_ = f.Close()
}

func serve(log *slog.Logger, ready func()) error {
	if os.Geteuid() != 0 {
		return errors.New("blastd needs root")
	}
	syscall.Umask(0o022)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	all, err := hosts.All(hosts.Options{
		InitBinary: filepath.Join(filepath.Dir(self), "blast-init"),
		Log:        log,
		Progress:   daemon.Progress,
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &daemon.Server{
		Engine:  daemon.NewEngine(all, log),
		Version: version,
		Log:     log,
		Doctor:  func(ctx context.Context, dir string) (any, error) { return probe.Probe(ctx, dir), nil },
	}
	return s.Serve(ctx, ready)
}
