//go:build linux

package trial_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/check"
	"blast.example/blast/runtime/check/trial"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/process/host"
	"blast.example/blast/runtime/sandbox/sandboxtest"
	"blast.example/blast/state"
	"blast.example/blast/testfixtures/conformance"
)

func TestMain(m *testing.M) { os.Exit(sandboxtest.Main(m)) }

func obj(addr string, attrs any) plan.Object {
	return plan.NewObject(addr, attrs, map[string]string{"": "blast.hcl:7"})
}

// checks makes one of each shell script, in the order of their names.
func checks(scripts map[string]string) []plan.Object {
	var objs []plan.Object
	for name, script := range scripts {
		objs = append(objs, obj(check.Addr(name), check.Check{Command: []string{"sh", "-c", script}, Timeout: 20 * time.Second}))
	}
	slices.SortFunc(objs, func(a, b plan.Object) int { return strings.Compare(a.Addr, b.Addr) })
	return objs
}

func TestConformance(t *testing.T) {
	env := sandboxtest.Env(t)
	one := check.Check{Command: []string{"true"}, Timeout: time.Second}
	two := check.Check{Command: []string{"sh", "-c", "a\nb\x1b"}, Timeout: time.Minute}
	conformance.Run(t, conformance.Case{
		Host: trial.Host{}, Env: env,
		A: []plan.Object{obj("check.a", one), obj("check.b", two)},
		B: []plan.Object{obj("check.a", two), obj("check.b", one)},
		Kernel: func(t *testing.T) string {
			var b strings.Builder
			es, err := os.ReadDir(env.Run)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range es {
				text, _ := os.ReadFile(filepath.Join(env.Run, e.Name()))
				fmt.Fprintf(&b, "%s %s\n", e.Name(), text)
			}
			return b.String()
		},
		Tamper: map[string]func(t *testing.T){
			"gone":    func(t *testing.T) { must(t, os.Remove(filepath.Join(env.Run, "check-a.json"))) },
			"another": func(t *testing.T) { must(t, env.WriteNote("check-a", two)) },
			"more": func(t *testing.T) {
				must(t, env.WriteNote("check-a", map[string]any{"command": one.Command, "timeout": one.Timeout, "x": 1}))
			},
			"one too many": func(t *testing.T) {
				must(t, env.WriteNote("check-c", one))
			},
		},
	})
}

// An address names a file: one that isn't a check's own is refused.
func TestStrangeAddresses(t *testing.T) {
	env := state.Env{Run: filepath.Join(t.TempDir(), "run")}
	must(t, env.WriteNote("victim", 1))
	to := obj("check.x", check.Check{Command: []string{"true"}}).Attrs
	for _, addr := range []string{"check", "check.", "check.../victim", "check.a/b", "process.sandbox", "check." + strings.Repeat("a", 64)} {
		for _, c := range []plan.Change{{Addr: addr, To: to}, {Addr: addr, From: to}} {
			if err := (trial.Host{}).Apply(t.Context(), env, c); err == nil {
				t.Errorf("%q: applied", addr)
			}
		}
	}
	must(t, env.WriteNote("check-..", 1))
	if objs, err := (trial.Host{}).Observe(t.Context(), env); err != nil || len(objs) != 0 {
		t.Errorf("%v %v", objs, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A world is an environment with a sandbox in it.
type world struct {
	env  state.Env
	host *host.Host
	now  []plan.Object // what is applied
}

var variables = process.Environment{Vars: map[string]string{"PATH": "/usr/bin:/bin", "GREETING": "hello"}, Dir: "/tmp"}

func box(hostname string) []plan.Object {
	return []plan.Object{
		obj(process.SandboxAddr, process.Sandbox{Base: "host", User: "nobody", UID: 65534, GID: 65534, OwnerUID: 1000, OwnerGID: 1000, Seccomp: "default", Hostname: hostname}),
		obj(process.EnvironmentAddr, variables),
	}
}

// newWorld has a sandbox that is final: commands go there.
func newWorld(t *testing.T) *world {
	w := freshWorld(t)
	w.commit(t, nil, w.now)
	return w
}

// freshWorld has one that is applied, and not final.
func freshWorld(t *testing.T) *world {
	t.Helper()
	w := &world{env: sandboxtest.Env(t), host: host.New(sandboxtest.Init())}
	w.apply(t, box("one"))
	return w
}

func (w *world) changes(from, to []plan.Object) []plan.Change {
	var cs []plan.Change
	for _, s := range plan.Diff(to, from, from, nil).Steps {
		cs = append(cs, s.Change)
	}
	return cs
}

func (w *world) apply(t *testing.T, to []plan.Object) {
	t.Helper()
	for _, c := range w.changes(w.now, to) {
		must(t, w.host.Apply(t.Context(), w.env, c))
	}
	w.now = to
}

func (w *world) commit(t *testing.T, from, to []plan.Object) {
	t.Helper()
	for _, c := range w.changes(from, to) {
		must(t, w.host.Commit(t.Context(), w.env, c))
	}
}

// gate runs the checks and returns what it says, and which passed.
func (w *world) gate(ctx context.Context, objs []plan.Object) (passed []string, err error) {
	ctx = kinds.WithPassed(ctx, func(addr string, _ time.Duration) { passed = append(passed, addr) })
	return passed, trial.Host{}.Gate(ctx, w.env, append(slices.Clone(w.now), objs...))
}

// others are the processes of all sandboxes of the environment but their inits.
func (w *world) others(t *testing.T) []string {
	t.Helper()
	var names []string
	dirs, err := filepath.Glob("/proc/[0-9]*")
	must(t, err)
	for _, dir := range dirs {
		group, err := os.ReadFile(dir + "/cgroup")
		if err != nil || !strings.Contains(string(group), w.env.Cgroup+"/") {
			continue
		}
		stat, _ := os.ReadFile(dir + "/stat")
		line, _ := os.ReadFile(dir + "/cmdline")
		if text := strings.ReplaceAll(string(line), "\x00", " "); text != "" && !strings.Contains(string(stat), "(blast-init)") {
			names = append(names, strings.TrimSpace(text))
		}
	}
	slices.Sort(names)
	return names
}

// socket is where commands go.
func (w *world) socket(t *testing.T) string {
	t.Helper()
	d, err := command.Load(w.env)
	must(t, err)
	return d.Socket
}

// limit bounds the processes of the environment, as the resource kind does.
func (w *world) limit(t *testing.T, n int) {
	t.Helper()
	found := 0
	for _, pattern := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		file := pattern + w.env.Cgroup + "/pids.max"
		if _, err := os.Stat(file); err == nil {
			must(t, os.WriteFile(file, []byte(strconv.Itoa(n)), 0))
			found++
		}
	}
	if found == 0 {
		t.Skip("this machine can't limit processes")
	}
}

// shortened is a check with less time.
func shortened(t *testing.T, o plan.Object, timeout time.Duration) plan.Object {
	t.Helper()
	var c check.Check
	must(t, o.Decode(&c))
	c.Timeout = timeout
	return obj(o.Addr, c)
}
