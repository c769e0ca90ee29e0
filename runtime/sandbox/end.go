//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// End kills those processes of the sandbox for which which is true, as the host
// counts them, and returns when there is none any more. Its init is never asked
// about. It is idempotent; an error means that some are left.
func (s *Sandbox) End(ctx context.Context, which func(pid int) bool) error {
	folders, err := leafFolders(s.Env, s.ID)
	if err != nil {
		return fmt.Errorf("end processes: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, killTime)
	defer cancel()
	for until := time.Now().Add(restless); ; {
		hit, missed, err := s.endRound(ctx, folders, which)
		switch {
		case err != nil:
			return fmt.Errorf("end processes: %w", err)
		case hit > 0:
			until = time.Now().Add(moreRestless) // what they started meanwhile is for the next round
		case !missed || time.Now().After(until):
			return nil
		}
	}
}

// How long nothing must be found until that is believed though processes come and go:
// those of others may do so all the time. After a hit they are rather its children.
const (
	restless     = 50 * time.Millisecond
	moreRestless = time.Second
)

// endRound kills those that are there, and waits for them. It reports how many there
// were, and whether one ended before it could be asked about: it may have started
// another one that was not on the list yet.
func (s *Sandbox) endRound(ctx context.Context, folders map[string]string, which func(pid int) bool) (hit int, missed bool, err error) {
	held, err := hold(folders)
	if err != nil {
		return 0, false, err
	}
	defer func() {
		for _, f := range held {
			_ = f.Close()
		}
	}()
	// Who is there now was there when its pidfd was opened: no number is another's.
	now, err := processesIn(folders)
	if err != nil {
		return 0, false, err
	}
	var ended []*os.File
	for _, pid := range now {
		f := held[pid]
		switch {
		case pid == s.pid:
		case f == nil:
			missed = true // it began meanwhile
		case which(pid):
			if err := unix.PidfdSendSignal(int(f.Fd()), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				return 0, false, err
			}
			letDie(folders, pid)
			ended = append(ended, f)
		case over(f):
			missed = true
		}
	}
	for _, f := range ended {
		if err := waitEnd(ctx, int(f.Fd())); err != nil {
			return 0, false, err
		}
	}
	return len(ended), missed, nil
}

// Kill ends every process of the sandbox but its init, and returns how many there were
// at first.
func (s *Sandbox) Kill(ctx context.Context) (int, error) {
	seen := map[int]bool{}
	err := s.End(ctx, func(pid int) bool { seen[pid] = true; return true })
	return len(seen), err
}

// Signal sends a signal to every process of the sandbox but its init, once, and returns
// how many there were.
func (s *Sandbox) Signal(sig unix.Signal) (int, error) {
	folders, err := leafFolders(s.Env, s.ID)
	if err != nil {
		return 0, fmt.Errorf("signal processes: %w", err)
	}
	held, err := hold(folders)
	if err != nil {
		return 0, fmt.Errorf("signal processes: %w", err)
	}
	now, err := processesIn(folders)
	n := 0
	for pid, f := range held {
		if err == nil && pid != s.pid && slices.Contains(now, pid) {
			if e := unix.PidfdSendSignal(int(f.Fd()), sig, nil, 0); e == nil {
				n++
			} else if !errors.Is(e, unix.ESRCH) {
				err = e
			}
		}
		_ = f.Close()
	}
	if err != nil {
		return n, fmt.Errorf("signal processes: %w", err)
	}
	return n, nil
}

// hold opens a pidfd of each process in the folders.
func hold(folders map[string]string) (map[int]*os.File, error) {
	pids, err := processesIn(folders)
	if err != nil {
		return nil, err
	}
	held := map[int]*os.File{}
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err == nil {
			held[pid] = os.NewFile(uintptr(fd), "pidfd")
		} else if !errors.Is(err, unix.ESRCH) {
			for _, f := range held {
				_ = f.Close()
			}
			return nil, err
		}
	}
	return held, nil
}

// over reports whether the process of a pidfd has ended.
func over(pidfd *os.File) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd.Fd()), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}
