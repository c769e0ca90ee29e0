//go:build linux

package command

import (
	"net"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"blast.example/blast/runtime/process/command/wire"
)

// signals are those that this process gets while a command runs.
type signals struct {
	c     chan os.Signal
	early []os.Signal // came before there was a command to pass them on to
}

func catchSignals() *signals {
	s := &signals{c: make(chan os.Signal, 16)}
	for sig := range wire.Forwarded {
		if !signal.Ignored(sig) { // nohup(1) and shells' background jobs stay as they are
			signal.Notify(s.c, sig)
		}
	}
	signal.Notify(s.c, unix.SIGWINCH)
	return s
}

// stop gives the signals back. It doesn't wait for it: the Go runtime changes the
// masks of signals one by one on a thread of its own, which takes as long as a
// short command, and most callers end now.
func (s *signals) stop() { go signal.Stop(s.c) }

// ends reports whether a signal asks for the end of the command.
func ends(sig os.Signal) bool {
	switch sig {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP:
		return true
	}
	return false
}

// handle does what one signal asks for.
func (s *signals) handle(c *net.UnixConn, t *terminal, sig os.Signal) {
	switch sig {
	case unix.SIGWINCH:
		t.resize()
	case unix.SIGTSTP:
		// The command stops first, then we do, with the terminal as we found it.
		forward(c, unix.SIGTSTP)
		t.suspend()
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	case unix.SIGCONT:
		t.resume()
		forward(c, unix.SIGCONT)
	default:
		forward(c, sig.(unix.Signal))
	}
}

func forward(c *net.UnixConn, sig unix.Signal) {
	// A failure means that the command has ended: attend is about to hear it.
	_, _ = c.Write(wire.Frame(wire.Signal, []byte{byte(sig)}))
}
