package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is USER_HZ, in which proc_pid_stat(5) counts.
const tick = 10 * time.Millisecond

// cpuOf is the time that processes have used: fields 14 and 15 of proc_pid_stat(5). What
// the kernel does for them in an interrupt is in nobody's account.
func cpuOf(pids ...int) (sum time.Duration) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		for _, i := range []int{11, 12} {
			n, _ := strconv.Atoi(f[i])
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// daemon finds this project's blastd: the one of this mount namespace.
func (w *world) daemon() (int, error) {
	exes, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0, err
	}
	for _, exe := range exes {
		to, err := os.Readlink(exe)
		if err != nil || to != filepath.Join(w.bin, "blastd") {
			continue
		}
		theirs, err1 := os.Readlink(filepath.Join(filepath.Dir(exe), "ns/mnt"))
		ours, err2 := os.Readlink("/proc/self/ns/mnt")
		if err := errors.Join(err1, err2); err == nil && theirs == ours {
			return strconv.Atoi(strings.Split(exe, "/")[2])
		}
	}
	return 0, errors.New("no blastd runs")
}

// footprint is what a process has.
type footprint struct{ rss, files, threads int64 } // bytes, descriptors

func footprintOf(pid int) (f footprint) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		var n int64
		_, _ = fmt.Sscan(rest, &n)
		switch name {
		case "VmRSS":
			f.rss = n << 10
		case "Threads":
			f.threads = n
		}
	}
	es, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	f.files = int64(len(es))
	return f
}

// most is how many connections are tried.
const most = 10_000

// mostOpen is how many connections blastd can have open on this machine, of those: it
// says so when it is asked for more.
func mostOpen() int {
	const each, rest = 2, 512
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return most
	}
	return min(most, (int(min(l.Max, 1<<20))-rest)/each)
}
