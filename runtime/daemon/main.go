package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"blast.example/blast/runtime/daemon/wire"
)

// readyFD is the pipe on which blast waits for "ready" or the reason why not.
const readyFD = 3

// Main serves until nothing is up or a signal ends it, and returns the exit
// code. It tells whoever started the process when it is ready.
func (s *Server) Main() int {
	ready := os.NewFile(readyFD, "ready")
	err := s.main(func() { tell(ready, "ready") })
	switch {
	case errors.Is(err, ErrRunning):
		tell(ready, "ready") // the other one serves
	case err != nil:
		s.Log.Error("blastd ends", "err", err)
		tell(ready, err.Error())
		return 1
	}
	return 0
}

func (s *Server) main(ready func()) error {
	if os.Geteuid() != 0 {
		return errors.New("blastd needs root")
	}
	s.Program = wire.Program("/proc/self/exe")
	syscall.Umask(0o022) // what is secret says so itself
	hush()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return s.Serve(ctx, ready)
}

// hush keeps libraries from writing the daemon's log, which is in memory: net/http
// repeats there what a server sends unasked, so others would decide how much it is.
func hush() { log.SetOutput(io.Discard) }

// tell writes to the pipe, once. Started by hand, descriptor 3 is something else.
func tell(f *os.File, message string) {
	if fi, err := f.Stat(); err == nil && fi.Mode()&os.ModeNamedPipe != 0 {
		_, _ = fmt.Fprintln(f, message)
		_ = f.Close()
	}
}
