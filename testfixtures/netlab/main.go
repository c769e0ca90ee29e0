package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// isolated marks the process that Main started.
const isolated = "BLAST_NETLAB_ISOLATED"

// Main runs the tests of a package in a network and a mount namespace of their
// own, and returns the exit code: func TestMain(m *testing.M) { os.Exit(netlab.Main(m.Run)) }.
// Without root it runs them where they are; they skip what they can't do.
func Main(run func() int) int {
	if os.Geteuid() != 0 {
		return run()
	}
	if os.Getenv(isolated) != "" {
		if err := loUp(); err != nil {
			fmt.Fprintln(os.Stderr, "netlab:", err)
			return 1
		}
		return run()
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), isolated+"=1")
	cmd.SysProcAttr = &unix.SysProcAttr{
		Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, // Go makes the mounts private
		Pdeathsig:    unix.SIGKILL,
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(1, exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "netlab: start in own namespaces:", err)
		return 1
	}
	return 0
}

func loUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	return netlink.LinkSetUp(lo)
}
