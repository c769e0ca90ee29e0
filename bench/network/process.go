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

// footprint is what a process has, and the kernel for sockets of TCP.
type footprint struct{ rss, files, threads, kernel int64 } // bytes, descriptors

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
	f.kernel = slabs("TCP") + slabs("TCPv6") + slabs("request_sock_TCP") + slabs("sock_inode_cache")
	return f
}

// slabs is what the kernel keeps of one kind of object, in bytes; see slabinfo(5).
func slabs(name string) int64 {
	b, _ := os.ReadFile("/proc/slabinfo")
	for line := range strings.Lines(string(b)) {
		var active, all, size int64
		var is string
		if n, _ := fmt.Sscan(line, &is, &active, &all, &size); n == 4 && is == name {
			return active * size
		}
	}
	return 0
}

// A machine is what its processors did until now, by the first line of /proc/stat: see
// proc_stat(5).
type machine struct{ busy, idle int64 }

func machineOf() (m machine) {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	for i, word := range strings.Fields(line) {
		n, _ := strconv.ParseInt(word, 10, 64)
		switch i {
		case 4, 5: // idle, iowait
			m.idle += n
		case 1, 2, 3, 6, 7, 8:
			m.busy += n
		}
	}
	return m
}

// since says how busy they all were.
func (m machine) since(o machine) string {
	busy, idle := m.busy-o.busy, m.idle-o.idle
	return fmt.Sprintf("%d %% busy, with all that runs on it", 100*busy/max(busy+idle, 1))
}

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
