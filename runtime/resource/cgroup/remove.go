package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// removeWithin bounds how long the end of a group's processes is waited for. One
// that hangs in the kernel is reported; the next command tries again.
const removeWithin = 10 * time.Second

// removeGroup kills what is left in group, in all hierarchies, and removes it,
// and its parents as far as they are empty.
func removeGroup(ctx context.Context, hs []hierarchy, group string) error {
	ctx, cancel := context.WithTimeout(ctx, removeWithin)
	defer cancel()
	var errs []error
	for _, h := range hs {
		stopForks(h, group)
	}
	if err := killAll(ctx, hs, group); err != nil {
		return err
	}
	for _, h := range hs {
		if err := removeTree(ctx, filepath.Join(h.root, group)); err != nil {
			errs = append(errs, err)
			continue
		}
		for parent := filepath.Dir(group); parent != "/"; parent = filepath.Dir(parent) {
			if os.Remove(filepath.Join(h.root, parent)) != nil {
				break // another environment lives there
			}
		}
	}
	return errors.Join(errs...)
}

// stopForks lets the group have no new process, so that killing has an end.
func stopForks(h hierarchy, group string) {
	_ = writeFile(filepath.Join(h.root, group), "pids.max", "0") // there is one where the controller is
}

// killAll ends every process in group. A round kills those that it sees and
// waits for their end; the group is empty when a round sees none.
func killAll(ctx context.Context, hs []hierarchy, group string) error {
	for {
		victims, err := processes(hs, group)
		if err != nil || len(victims) == 0 {
			return err
		}
		if slices.Contains(victims, 0) {
			return errors.New("it has processes of an outer PID namespace, which can't be ended from here")
		}
		fds := make([]unix.PollFd, 0, len(victims))
		for _, pid := range victims {
			if fd, err := unix.PidfdOpen(pid, 0); err == nil {
				fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
			} else if !errors.Is(err, unix.ESRCH) {
				closeAll(fds)
				return fmt.Errorf("open process %d: %w", pid, err)
			}
		}
		err = killSeen(ctx, hs, group, victims, fds)
		closeAll(fds)
		if err != nil {
			return err
		}
	}
}

// killSeen signals the processes behind fds. They are looked up a second time,
// now that their numbers can't be given to others unnoticed: only if all are
// still of the group is it certain that the descriptors are theirs.
func killSeen(ctx context.Context, hs []hierarchy, group string, victims []int, fds []unix.PollFd) error {
	again, err := processes(hs, group)
	if err != nil {
		return err
	}
	for _, pid := range victims {
		if !slices.Contains(again, pid) {
			return nil // one ended in between: start again
		}
	}
	for _, fd := range fds {
		if err := unix.PidfdSendSignal(int(fd.Fd), unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end process: %w", err)
		}
	}
	for _, h := range hs {
		thaw(filepath.Join(h.root, group)) // a frozen process of v1 does not even die
	}
	return awaitEnd(ctx, fds)
}

// awaitEnd waits until all pidfds say that their process has ended.
func awaitEnd(ctx context.Context, fds []unix.PollFd) error {
	deadline, _ := ctx.Deadline()
	for len(fds) > 0 {
		left := time.Until(deadline)
		if ctx.Err() != nil || left <= 0 {
			return fmt.Errorf("%d processes do not end: %w", len(fds), context.DeadlineExceeded)
		}
		_, err := unix.Poll(fds[:1], int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for processes: %w", err)
		}
		if fds[0].Revents != 0 {
			fds = fds[1:]
		}
	}
	return nil
}

func closeAll(fds []unix.PollFd) {
	for _, fd := range fds {
		_ = unix.Close(int(fd.Fd))
	}
}

// processes lists those in group and below it, in every hierarchy. 0 stands for
// one that this PID namespace can't see.
func processes(hs []hierarchy, group string) ([]int, error) {
	var all []int
	for _, h := range hs {
		err := walk(filepath.Join(h.root, group), func(dir string) error {
			text, err := readFile(dir, "cgroup.procs")
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) {
				return nil // gone, or a threaded group of v2, whose processes its domain lists
			}
			if err != nil {
				return err
			}
			for line := range strings.FieldsSeq(text) {
				pid, err := strconv.Atoi(line)
				if err != nil {
					return fmt.Errorf("cgroup.procs: %w", err)
				}
				if !slices.Contains(all, pid) {
					all = append(all, pid)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// thaw lets frozen processes go on, in both versions.
func thaw(dir string) {
	_ = walk(dir, func(dir string) error {
		_ = writeFile(dir, "freezer.state", "THAWED")
		_ = writeFile(dir, "cgroup.freeze", "0")
		return nil
	})
}

// walk calls f for dir and every group below it, a parent before its children.
// What does not exist has nothing to walk.
func walk(dir string, f func(dir string) error) error {
	es, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f(dir); err != nil {
		return err
	}
	for _, e := range es {
		if e.IsDir() {
			if err := walk(filepath.Join(dir, e.Name()), f); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeTree removes empty groups, the deepest first. A process that has ended
// leaves its group only when the kernel has switched away from it for the last
// time, and v1 tells nobody when that is: hence the short ticks.
func removeTree(ctx context.Context, dir string) error {
	var dirs []string
	if err := walk(dir, func(dir string) error { dirs = append(dirs, dir); return nil }); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, d := range slices.Backward(dirs) {
		for {
			err := unix.Rmdir(d)
			if err == nil || errors.Is(err, unix.ENOENT) {
				break
			}
			if !errors.Is(err, unix.EBUSY) || ctx.Err() != nil {
				return &fs.PathError{Op: "rmdir", Path: d, Err: err}
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}
	return nil
}
