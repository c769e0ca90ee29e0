package hosts_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"blast.example/blast/apply"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/kinds/hosts"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/interpreter"
	"blast.example/blast/runtime/process"
	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/runtime/resource"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
	"blast.example/blast/testfixtures/alone"
	"blast.example/blast/testfixtures/conformance"
	"blast.example/blast/testfixtures/netlab"
	"blast.example/blast/testfixtures/pypi"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	os.Exit(netlab.Main(m.Run))
}

// world is an environment on the real kernel.
type world struct {
	env   state.Env
	hosts map[string]kinds.Host
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes real sandboxes")
	}
	alone.With(t) // a daemon of another test would look after this environment, too
	init := filepath.Join(t.TempDir(), "blast-init")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", init, "blast.example/blast/cmd/blast-init")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build blast-init: %v\n%s", err, out)
	}
	project := t.TempDir()
	w := &world{state.NewEnv(project, "default", 1000, 1000), hosts.With(init, filepath.Join(t.TempDir(), "wheels"), slog.New(slog.DiscardHandler))}
	if err := w.env.WriteNote("env", w.env); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.destroy(t)
		for _, h := range w.hosts {
			if c, ok := h.(kinds.Watcher); ok {
				_ = c.Close()
			}
		}
		_ = os.RemoveAll(w.env.Run)
		_ = os.Remove(state.RunRoot)
	})
	return w
}

// apply brings objects of lower kinds into place.
func (w *world) apply(t *testing.T, objs []plan.Object) {
	t.Helper()
	st, err := w.env.Load()
	if err != nil {
		t.Fatal(err)
	}
	owners := apply.Owners{}
	for name, h := range w.hosts {
		owners[name] = h
	}
	ctx := context.WithoutCancel(t.Context()) // cleanups run with a canceled one
	now, err := apply.Observe(ctx, w.env, owners)
	if err != nil {
		t.Fatal(err)
	}
	p := plan.Diff(objs, st.Objects, now, nil)
	p.Env, p.Lineage, p.Serial = w.env.Name, st.Lineage, st.Serial
	if err := apply.Run(ctx, w.env, p, owners, apply.Options{}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) destroy(t *testing.T) { t.Helper(); w.apply(t, nil) }

func ptr[T any](v T) *T { return &v }

func obj(addr string, attrs any) plan.Object { return plan.NewObject(addr, attrs, nil) }

var (
	limitsA = []plan.Object{
		obj(resource.LimitsAddr, resource.Limits{CPU: &resource.CPU{QuotaUS: ptr(int64(200000)), PeriodUS: ptr(uint64(100000))}, Memory: &resource.Memory{Max: ptr(int64(1 << 30))}, PIDs: ptr(int64(100))}),
		obj(resource.RlimitsAddr, resource.Rlimits{"nofile": {Soft: 256, Hard: 512}}),
	}
	limitsB = []plan.Object{
		obj(resource.LimitsAddr, resource.Limits{CPU: &resource.CPU{Weight: ptr(uint64(50))}, Memory: &resource.Memory{Max: ptr(int64(512 << 20))}, PIDs: ptr(int64(50))}),
		obj(resource.RlimitsAddr, resource.Rlimits{"nofile": {Soft: 128, Hard: 512}, "core": {}}),
	}
	networkA = []plan.Object{
		obj(network.NamespaceAddr, network.Namespace{}),
		obj(network.PolicyAddr, network.Policy{Default: "deny", DNS: []string{"system"}, Egress: []network.Egress{
			{Name: "web", Domains: []string{"example.com"}, Ports: []uint16{443}, Protocol: "tcp", During: []string{"apply", "run"}}}}),
	}
	networkB = []plan.Object{
		obj(network.NamespaceAddr, network.Namespace{}),
		obj(network.PolicyAddr, network.Policy{Default: "deny", DNS: []string{"system"}, Egress: []network.Egress{
			{Name: "db", CIDRs: []string{"192.0.2.0/24"}, Ports: []uint16{5432}, Protocol: "tcp", During: []string{"run"}}},
			Ingress: []network.Ingress{{Name: "web", Port: 8000, Publish: "127.0.0.1:18000"}}}),
	}
	sandboxA = []plan.Object{
		obj(process.SandboxAddr, process.Sandbox{Base: "host", User: "nobody", UID: 65534, GID: 65534, OwnerUID: 1000, OwnerGID: 1000, Seccomp: "default", Hostname: "a"}),
		obj(process.EnvironmentAddr, process.Environment{Vars: map[string]string{"A": "1"}, Dir: "/"}),
	}
	sandboxB = []plan.Object{
		obj(process.SandboxAddr, process.Sandbox{Base: "host", User: "app", UID: 1000, GID: 1000, OwnerUID: 1000, OwnerGID: 1000, Seccomp: "default", Hostname: "b"}),
		obj(process.EnvironmentAddr, process.Environment{Vars: map[string]string{"B": "2"}, Dir: "/tmp", Secrets: []secret.Reference{{Name: "S", From: "env:S", Hash: "1"}}}),
	}
)

func TestResource(t *testing.T) {
	w := newWorld(t)
	conformance.Run(t, conformance.Case{
		Host: w.hosts["resource"], Env: w.env, A: limitsA, B: limitsB,
		Kernel: func(t *testing.T) string { return w.cgroups(t) + w.files(t, "command-resource") },
		Tamper: map[string]func(t *testing.T){
			"pids.max": func(t *testing.T) { w.write(t, "pids.max", "77") },
			"memory":   func(t *testing.T) { w.write(t, "memory.limit_in_bytes", "268435456", "memory.max") },
		},
	})
}

func TestNetwork(t *testing.T) {
	w := newWorld(t)
	conformance.Run(t, conformance.Case{
		Host: w.hosts["network"], Env: w.env, A: networkA, B: networkB,
		Kernel: func(t *testing.T) string { return w.netns(t) + w.files(t, "net") + listening(t) },
		Tamper: map[string]func(t *testing.T){
			"table gone":   func(t *testing.T) { w.inNet(t, "nft", "flush", "ruleset") },
			"route gone":   func(t *testing.T) { w.inNet(t, "ip", "route", "del", "default") },
			"address more": func(t *testing.T) { w.inNet(t, "ip", "addr", "add", "203.0.113.9/32", "dev", "lo") },
		},
	})
}

func TestPackages(t *testing.T) {
	w := newWorld(t)
	w.apply(t, limitsA) // makes the environment's folder
	setA, setB := w.packages(t)
	venv := filepath.Join(w.env.Dir, "packages", "current")
	conformance.Run(t, conformance.Case{
		Host: w.hosts["packages"], Env: w.env, A: setA, B: setB,
		Kernel: func(t *testing.T) string { return w.imported(t) },
		Tamper: map[string]func(t *testing.T){
			"module gone":      func(t *testing.T) { w.run(t, "sh", "-c", "rm "+venv+"/lib/python3*/site-packages/hello.py") },
			"interpreter gone": func(t *testing.T) { w.run(t, "rm", venv+"/bin/python") },
			"lock file gone":   func(t *testing.T) { w.run(t, "rm", filepath.Join(w.env.Project, "pylock.blast.toml")) },
		},
	})
}

func TestFilesystem(t *testing.T) {
	w := newWorld(t)
	w.apply(t, slices.Concat(limitsA, networkA, sandboxA))
	treeA, treeB := w.trees(t)
	conformance.Run(t, conformance.Case{
		Host: w.hosts["filesystem"], Env: w.env, A: treeA, B: treeB,
		Kernel: func(t *testing.T) string {
			return w.mounts(t) + w.files(t, "filesystem", "command-filesystem", "track") + watched(t)
		},
		Tamper: map[string]func(t *testing.T){
			"saved anew": func(t *testing.T) {
				w.run(t, "sh", "-c", "cd "+w.env.Project+" && echo 2 >new && mv new .env")
			},
			"mounted on top": func(t *testing.T) {
				w.run(t, "nsenter", "-m", "-t", w.init(t), "mount", "-t", "tmpfs", "x", "/workspace")
			},
			"writable": func(t *testing.T) {
				w.run(t, "nsenter", "-m", "-t", w.init(t), "mount", "-o", "remount,bind,rw", "/workspace/blast.hcl")
			},
			"note changed": func(t *testing.T) {
				w.run(t, "sed", "-i", "s/67108864/67108865/", filepath.Join(w.env.Run, "filesystem.json"))
			},
			"tracked otherwise": func(t *testing.T) {
				w.run(t, "sed", "-i", "s/writes/all/", filepath.Join(w.env.Run, "track.json"))
			},
		},
	})
}

// trees are two states of the same sandbox's mounts.
func (w *world) trees(t *testing.T) (a, b []plan.Object) {
	t.Helper()
	for _, name := range []string{".env", "blast.hcl"} {
		if err := os.WriteFile(filepath.Join(w.env.Project, name), []byte("1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tree := filesystem.Tree{Sandbox: sandboxA[0].Digest(), LayerSize: 64 << 20, Mounts: []filesystem.Mount{
		{Name: "home", Target: filesystem.HomeDir, Type: filesystem.Layer, Exec: true},
		{Name: "tmp", Target: filesystem.TempDir, Type: filesystem.Tmpfs, Size: 32 << 20, Exec: true},
		{Name: "workspace", Target: filesystem.WorkspaceDir, Type: filesystem.Bind, Source: w.env.Project, Access: "rw", Exec: true},
		{Name: "workspace.hide", Target: "/workspace/.blast", Type: filesystem.Hide, Dir: true},
		{Name: "workspace.hide", Target: "/workspace/.env", Type: filesystem.Hide},
		{Name: "workspace.read_only", Target: "/workspace/.git/hooks", Type: filesystem.ReadOnly, Dir: true},
		{Name: "workspace.read_only", Target: "/workspace/blast.hcl", Type: filesystem.ReadOnly},
	}}
	track := filesystem.Track{Level: filesystem.Writes, Paths: []string{"/tmp", "/workspace"}}
	a = []plan.Object{obj(filesystem.TreeAddr, tree), obj(filesystem.TrackAddr, track)}
	tree.Mounts = slices.Clone(tree.Mounts)
	tree.Mounts[1].Size = 16 << 20
	tree.Mounts[2].Access = "ro"
	tree.MaxFileSize = 1 << 20
	track.Level = filesystem.All
	track.Alerts = []filesystem.Alert{{Name: "many", Event: filesystem.Read, Threshold: 9, Window: time.Second, Action: filesystem.Log}}
	return a, []plan.Object{obj(filesystem.TreeAddr, tree), obj(filesystem.TrackAddr, track)}
}

// watched are the masks of the marks that this process has on mounts, proc_pid_fdinfo(5),
// and how many of each.
func watched(t *testing.T) string {
	t.Helper()
	infos, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, info := range infos {
		b, _ := os.ReadFile(info) // it may be closed by now
		for line := range strings.Lines(string(b)) {
			if mark := marks.FindStringSubmatch(line); mark != nil {
				n[mark[1]+" "+mark[2]]++
			}
		}
	}
	return fmt.Sprintln(n)
}

var marks = regexp.MustCompile(`fanotify (mnt_id|sdev|ino).* mask:([0-9a-f]+)`)

var mountNumbers = regexp.MustCompile(`(?m)^\d+ \d+ \d+:\d+ |/dev/loop\d+`)

// mounts are those of the sandbox, and what there is of the layer.
func (w *world) mounts(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + w.init(t) + "/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(mountNumbers.ReplaceAllString(string(b), ""), "\n")
	slices.Sort(lines)
	layers, err := filepath.Glob(filepath.Join(w.env.Dir, "layer*"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(slices.Concat(lines, layers), "")
}

// init is the process id of the sandbox's init.
func (w *world) init(t *testing.T) string {
	t.Helper()
	for _, pid := range w.pids(t) {
		if comm, err := os.ReadFile("/proc/" + pid + "/comm"); err == nil && strings.Contains(string(comm), "blast-init") {
			return pid
		}
	}
	t.Fatal("no init runs")
	return ""
}

// packages are two sets: one with a project, one with another version of it.
func (w *world) packages(t *testing.T) (a, b []plan.Object) {
	t.Helper()
	python, err := interpreter.Find(t.Context(), "")
	if err != nil {
		t.Skip(err)
	}
	x := pypi.New()
	files := strings.TrimSuffix(pypi.Serve(t, x), "simple/") + "files/"
	set := func(version string) []plan.Object {
		wheel := pypi.Wheel{Name: "hello", Version: version, Files: map[string]string{"hello.py": "version = '" + version + "'\n"}}
		if err := x.Add(wheel); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(wheel.Bytes())
		return []plan.Object{obj(packages.SetAddr, packages.Set{
			Python:   python.Interpreter,
			Packages: []packages.Pinned{{Name: "hello", Version: version, File: wheel.Filename(), URL: files + wheel.Filename(), SHA256: hex.EncodeToString(sum[:]), Direct: true}},
			Lock:     packages.Lock{Path: filepath.Join(w.env.Project, "pylock.blast.toml"), Content: "# " + version + "\n"},
		})}
	}
	return set("1"), set("2")
}

// imported is what the environment's Python finds, with the lock file beside it.
func (w *world) imported(t *testing.T) string {
	t.Helper()
	python := filepath.Join(w.env.Dir, "packages", "current", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		return "no python"
	}
	lock, err := os.ReadFile(filepath.Join(w.env.Project, "pylock.blast.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return w.run(t, python, "-c", "import hello, sys; print(hello.version, hello.__file__, sys.prefix)") + string(lock)
}

func (w *world) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestProcess(t *testing.T) {
	w := newWorld(t)
	w.apply(t, slices.Concat(limitsA, networkA))
	conformance.Run(t, conformance.Case{
		Host: w.hosts["process"], Env: w.env, A: sandboxA, B: sandboxB,
		Kernel: func(t *testing.T) string { return w.processes(t) + w.files(t, "root-", "init-", "command-process") },
		Tamper: map[string]func(t *testing.T){
			"sandbox killed": func(t *testing.T) { w.killAll(t) },
		},
	})
}

// cgroups are the environment's groups with the limits in them.
func (w *world) cgroups(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range w.cgroupDirs(t) {
		for _, name := range []string{"cpu.cfs_quota_us", "cpu.shares", "cpu.max", "cpu.weight", "memory.limit_in_bytes", "memory.max", "pids.max"} {
			if v, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				fmt.Fprintf(&b, "%s/%s %s", dir, name, v)
			}
		}
	}
	return b.String()
}

func (w *world) cgroupDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		ds, err := filepath.Glob(top + w.env.Cgroup)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, ds...)
	}
	return dirs
}

// write changes a limit by hand, under whichever of its names is there.
func (w *world) write(t *testing.T, name, value string, otherNames ...string) {
	t.Helper()
	for _, dir := range w.cgroupDirs(t) {
		for _, n := range append([]string{name}, otherNames...) {
			path := filepath.Join(dir, n)
			if _, err := os.Stat(path); err == nil {
				if err := os.WriteFile(path, []byte(value), 0); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	t.Fatalf("no %s anywhere", name)
}

// files lists what is in the run folder, by prefix, with the content of notes.
func (w *world) files(t *testing.T, prefixes ...string) string {
	t.Helper()
	es, err := os.ReadDir(w.env.Run)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range es {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.Name(), p) }) {
			continue
		}
		fmt.Fprintln(&b, e.Name())
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), "command-") {
			text, err := os.ReadFile(filepath.Join(w.env.Run, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "  %s\n", text)
		}
	}
	return b.String()
}

var counters = regexp.MustCompile(`(packets|bytes) \d+|# handle \d+`)

// netns is all of the namespace that tools can see.
func (w *world) netns(t *testing.T) string {
	t.Helper()
	if fi, err := os.Stat(filepath.Join(w.env.Run, "net")); err != nil || !fi.Mode().IsRegular() {
		return ""
	}
	var b strings.Builder
	for _, args := range [][]string{{"nft", "list", "ruleset"}, {"ip", "-o", "addr"}, {"ip", "route", "show", "table", "all"}, {"ip", "rule"}} {
		b.WriteString(counters.ReplaceAllString(w.inNet(t, args...), ""))
	}
	return b.String()
}

func (w *world) inNet(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "nsenter", append([]string{"--net=" + filepath.Join(w.env.Run, "net")}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// listening are the host's TCP listeners.
func listening(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ss", "-Hltn").Output()
	if err != nil {
		t.Fatal(err)
	}
	var ports []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 3 {
			ports = append(ports, f[3])
		}
	}
	slices.Sort(ports)
	return strings.Join(ports, " ")
}

// processes are what runs in the environment's cgroups, without pids.
func (w *world) processes(t *testing.T) string {
	t.Helper()
	var names []string
	for _, pid := range w.pids(t) {
		b, err := os.ReadFile("/proc/" + pid + "/comm")
		if err == nil {
			names = append(names, strings.TrimSpace(string(b)))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ") + "\n"
}

func (w *world) pids(t *testing.T) []string {
	t.Helper()
	var pids []string
	for _, dir := range w.cgroupDirs(t) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return err
			}
			b, err := os.ReadFile(path)
			pids = append(pids, strings.Fields(string(b))...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

func (w *world) killAll(t *testing.T) {
	t.Helper()
	for _, pid := range w.pids(t) {
		if out, err := exec.CommandContext(t.Context(), "kill", "-KILL", pid).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
}
