package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"blast.example/blast/bench/network/load"
	"blast.example/blast/testfixtures/netlab"
)

// Addresses of this internet.
const (
	resolver  = "9.9.9.9"
	far       = "93.184.215.14" // the server's, beyond the host
	near      = "127.0.0.1"     // another one, on the host
	router    = "10.77.0.1"     // the host's, as the client behind the NAT sees it
	clientNet = "bench-client"  // its namespace
)

// A world is a host in a namespace, an internet beyond it, a client behind the host, and
// a project of Blast's.
type world struct {
	dir, bin, project string
	lab               *netlab.Lab
	servers           map[string]int // pids by address
	stop              []func()
}

func newWorld() (*world, error) {
	w := &world{servers: map[string]int{}}
	self, err := os.Executable()
	if err != nil {
		return w, err
	}
	w.bin = filepath.Dir(self)
	if w.dir, err = os.MkdirTemp("", "blast-network-"); err != nil {
		return w, err
	}
	w.later(func() { _ = os.RemoveAll(w.dir) })
	if err := errors.Join(os.Chmod(w.dir, 0o755), unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755")); err != nil {
		return w, err
	}
	if w.lab, err = netlab.New(); err != nil {
		return w, err
	}
	w.later(w.lab.Close)
	names, err := w.lab.ServeNames(resolver + ":53")
	if err != nil {
		return w, err
	}
	names.Set(load.Name, far)
	if err := errors.Join(w.lab.Own(far), w.router(), w.serve(near), w.serve(far)); err != nil {
		return w, err
	}
	return w, w.makeProject()
}

func (w *world) later(f func()) { w.stop = append(w.stop, f) }

func (w *world) close() {
	for _, f := range slices.Backward(w.stop) {
		f()
	}
}

// router gives the host a client that it forwards and hides.
func (w *world) router() error {
	script := `set -e
ip netns add CLIENT
ip link add nat0 type veth peer name eth0 netns CLIENT
ip addr add ROUTER/24 dev nat0
ip link set nat0 up
ip -n CLIENT addr add 10.77.0.2/24 dev eth0
ip -n CLIENT link set eth0 up
ip -n CLIENT link set lo up
ip -n CLIENT route add default via ROUTER
echo 1 > /proc/sys/net/ipv4/ip_forward
ports='echo "10000 65000" > /proc/sys/net/ipv4/ip_local_port_range'
sh -c "$ports"
ip netns exec CLIENT sh -c "$ports"
nft 'add table ip bench; add chain ip bench out { type nat hook postrouting priority srcnat; }; add rule ip bench out ip saddr 10.77.0.0/24 masquerade'
`
	script = strings.NewReplacer("CLIENT", clientNet, "ROUTER", router).Replace(script)
	w.later(func() { _ = exec.Command("ip", "netns", "del", clientNet).Run() })
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		return fmt.Errorf("make a router: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// serve starts a server, and waits until it listens.
func (w *world) serve(host string) error {
	args := []string{filepath.Join(w.bin, "network"), client, "-at", host, "serve"}
	if host == far {
		args = append([]string{"nsenter", fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), w.lab.Namespace())}, args...)
	}
	cmd, out, err := w.background(args...)
	if err != nil {
		return err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("the server at %s doesn't start: %w", host, err)
	}
	w.servers[host] = cmd.Process.Pid
	return nil
}

// background starts what ends with this world.
func (w *world) background(args ...string) (*exec.Cmd, io.Reader, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	w.later(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return cmd, out, nil
}

const policy = `environment %q {
  filesystem {
    workspace {
      source = "."
    }
  }
  network {
    egress "address" {
      cidrs = ["` + far + `/32"]
      ports = [%s]
    }
    egress "name" {
      domains = ["` + load.Name + `"]
      ports   = [80, 443, %s]
    }
    dns {
      servers = ["` + resolver + `"]
    }
%s  }
}
`

// environments are those of the project, and what limits their networks.
func environments() map[string]string {
	return map[string]string{
		"paths":  "",
		"load":   fmt.Sprintf("    connections {\n      max = %d\n    }\n", mostOpen()),
		"10mbit": limited("10mbit"), "100mbit": limited("100mbit"),
	}
}

func limited(rate string) string {
	return fmt.Sprintf("    bandwidth {\n      egress  = %q\n      ingress = %[1]q\n    }\n", rate)
}

func ports(first int) (all []string) {
	for p := first; p < first+load.Ports; p++ {
		all = append(all, strconv.Itoa(p))
	}
	return all
}

func (w *world) makeProject() error {
	w.project = filepath.Join(w.dir, "project")
	var text strings.Builder
	for name, more := range environments() {
		_, _ = fmt.Fprintf(&text, policy, name, strings.Join(ports(load.PortRaw), ", "), strings.Join(ports(load.PortName), ", "), more)
	}
	b, err := os.ReadFile(filepath.Join(w.bin, "network"))
	if err != nil {
		return err
	}
	return errors.Join(os.Mkdir(w.project, 0o755), os.WriteFile(filepath.Join(w.project, "client"), b, 0o755),
		os.WriteFile(filepath.Join(w.project, "blast.hcl"), []byte(text.String()), 0o644))
}

// up applies an environment; the returned function takes it away.
func (w *world) up(env string) (down func(), err error) {
	down = func() {
		if _, err := w.blast("-e", env, "destroy", "--auto-approve"); err != nil {
			fmt.Fprintln(os.Stderr, "network:", err)
		}
	}
	_, err = w.blast("-e", env, "apply", "--auto-approve")
	return down, err
}

func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(w.bin, "blast"), args...)
	cmd.Dir = w.project
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8")
	return cmd
}

// blast returns how long a command took.
func (w *world) blast(args ...string) (time.Duration, error) {
	start := time.Now()
	if out, err := w.command(args...).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("blast %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return time.Since(start), nil
}
