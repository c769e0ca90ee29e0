//go:build linux

package sandbox

import (
	"os"
	"path/filepath"
	"testing"
)

// Names of processes stand in the kernel's log, too, and are no victims.
func TestVictimsInTheLog(t *testing.T) {
	for line, want := range map[string]string{
		"3,1,5,-;Memory cgroup out of memory: Killed process 77 (blast-init) total-vm:1kB": "77",
		"3,1,5,-,caller=T1;Out of memory: Killed process 7 (x) total-vm:1kB":               "7",
		"4,1,5,-;x: Memory cgroup out of memory: Killed process 77 (x)":                    "",
		"4,1,5,-;oom-kill:task=Out of memory: Killed process 77 (,pid=1":                   "",
		"3,1,5,-;Memory cgroup out of memory: Killed process 78 (: Killed process 77 () x": "78",
		"11,1,5,-;Memory cgroup out of memory: Killed process 77 (x)":                      "", // of a process
		"6,1,5,-;Killed process 77 (x)":                                                    "",
	} {
		got := ""
		if m := victim.FindStringSubmatch(line); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestVictimsAreCounted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events")
	for text, want := range map[string]int{
		"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n": 2, // memory.events
		"oom_kill_disable 0\nunder_oom 0\noom_kill 5\n":                5, // memory.oom_control
		"": 0, "oom_kill many\n": 0, "oom_kill 7": 7,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := (&oomLog{counter: file}).victims(); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := (&oomLog{counter: file + ".absent"}).victims(); got != 0 {
		t.Errorf("no file: %d", got)
	}
}

// Without the kernel's log it may have been one of the victims.
func TestKilledWithoutALog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events")
	if err := os.WriteFile(file, []byte("oom_kill 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for before, want := range map[int]string{2: "killed by signal 9", 1: "killed by signal 9, perhaps as it was out of memory"} {
		if got := (&oomLog{counter: file, before: before}).killed(1); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
