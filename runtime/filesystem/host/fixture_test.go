//go:build linux

package host_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/runtime/filesystem/host"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/resource/cgroup"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
	"blast.example/blast/state"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	_ = exec.Command("modprobe", "loop").Run() // where it is a module
	os.Exit(sandboxtest.Main(m))
}

const (
	person = 1000 // on whose behalf all is done
	box    = sandboxtest.ID
	mib    = 1 << 20
)

// A world is an environment with a sandbox and a project that belongs to the person.
type world struct {
	env  state.Env
	host *host.Host
	box  *sandbox.Sandbox
}

// newWorld makes a sandbox with its mounts, before anything is tracked.
func newWorld(t testing.TB, more ...filesystem.Mount) *world {
	t.Helper()
	w := &world{env: sandboxtest.Env(t)}
	w.env.UID, w.env.GID = person, person
	for dir := w.env.Project; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) { // the person must get through
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.mkdir(t, ".")
	w.begin(t)
	w.box = sandboxtest.Start(t, w.env)
	w.apply(t, w.tree(more...))
	return w
}

// begin starts a daemon's host.
func (w *world) begin(t testing.TB) {
	t.Helper()
	h := host.New(slog.New(slog.DiscardHandler), cgroup.Host{})
	w.host = h
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// mkdir makes folders of the project, for the person.
func (w *world) mkdir(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.MkdirAll(w.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
		for p := w.path(name); len(p) >= len(w.env.Project); p = filepath.Dir(p) {
			if err := os.Chown(p, person, person); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (w *world) path(name string) string { return filepath.Join(w.env.Project, name) }

// tree is what is mounted.
func (w *world) tree(more ...filesystem.Mount) plan.Object {
	return plan.NewObject(filesystem.TreeAddr, filesystem.Tree{Sandbox: box, LayerSize: 64 * mib, Mounts: append([]filesystem.Mount{
		{Name: "home", Target: "/home/sandbox", Type: filesystem.Layer, Exec: true},
		{Name: "var-tmp", Target: "/var/tmp", Type: filesystem.Layer},
		{Name: "tmp", Target: "/tmp", Type: filesystem.Tmpfs, Size: 32 * mib, Exec: true},
		{Name: "workspace", Target: "/workspace", Type: filesystem.Bind, Source: w.env.Project, Access: "rw", Exec: true},
		{Name: "workspace.hide", Target: "/workspace/.blast", Type: filesystem.Hide, Dir: true},
		{Name: "workspace.hide", Target: "/workspace/.env", Type: filesystem.Hide},
		{Name: "workspace.read_only", Target: "/workspace/.git/hooks", Type: filesystem.ReadOnly, Dir: true},
	}, more...)}, nil)
}

var places = []string{"/home/sandbox", "/tmp", "/var/tmp", "/workspace"}

// track is what is to be tracked.
func track(level string, alerts ...filesystem.Alert) plan.Object {
	return plan.NewObject(filesystem.TrackAddr, filesystem.Track{Level: level, Paths: places, Alerts: alerts}, nil)
}

// apply brings an object into place, and lets the watchers follow.
func (w *world) apply(t testing.TB, o plan.Object) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := w.host.Apply(ctx, w.env, plan.Change{Addr: o.Addr, To: o.Attrs}); err != nil {
		t.Fatal(err)
	}
	w.sync(t)
}

func (w *world) sync(t testing.TB) {
	t.Helper()
	if err := w.host.Sync(context.WithoutCancel(t.Context()), w.env); err != nil {
		t.Fatal(err)
	}
}

// flush returns when all that happened is on record.
func (w *world) flush(t testing.TB) {
	t.Helper()
	if err := w.host.Flush(context.WithoutCancel(t.Context()), w.env); err != nil {
		t.Fatal(err)
	}
}

// must runs a shell command in the sandbox, which has to succeed.
func (w *world) must(t testing.TB, script string) string {
	t.Helper()
	code, out := w.run(t, "/bin/sh", "-c", script)
	if code != 0 {
		t.Fatalf("%s: exit %d: %s", script, code, out)
	}
	return out
}

func (w *world) run(t testing.TB, args ...string) (int, string) {
	t.Helper()
	r, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	text := make(chan string, 1)
	go func() { b, _ := io.ReadAll(r); text <- string(b) }()
	code, err := command.Run(context.WithoutCancel(t.Context()), sandbox.SocketPath(w.env, box), command.Request{
		Args: args, Env: []string{"PATH=/usr/bin:/bin", "HOME=/home/sandbox", "LC_ALL=C"}, Dir: "/workspace", Stdout: wr, Stderr: wr,
	})
	_ = wr.Close()
	out := <-text
	if err != nil {
		out += err.Error()
	}
	return code, out
}

// lines are all of the record.
func (w *world) lines(t testing.TB) []any {
	t.Helper()
	var all []any
	err := w.host.Monitor(context.WithoutCancel(t.Context()), w.env, kinds.Asking{Record: access.Record}, func(line json.RawMessage) error {
		v, err := access.Decode(line)
		all = append(all, v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// of are the lines of a type.
func of[T any](all []any) []T {
	var out []T
	for _, v := range all {
		if x, ok := v.(*T); ok {
			out = append(out, *x)
		}
	}
	return out
}

// times are the gaps in time: of what this kernel never tells there is a line, too.
func times(all []any) []access.Gap {
	return slices.DeleteFunc(of[access.Gap](all), func(g access.Gap) bool { return g.To.IsZero() })
}

func (w *world) accesses(t testing.TB) []access.Access {
	t.Helper()
	return of[access.Access](w.lines(t))
}

// deeds are the accesses as "write /workspace/a", in order.
func (w *world) deeds(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, x := range w.accesses(t) {
		s := x.Op + " " + x.Path
		if x.To != "" {
			s += " " + x.To
		}
		all = append(all, s)
	}
	return all
}

// has checks that each deed is on record.
func (w *world) has(t testing.TB, want ...string) {
	t.Helper()
	got := w.deeds(t)
	for _, d := range want {
		if !slices.Contains(got, d) {
			t.Errorf("%q is not on record: %q", d, got)
		}
	}
}

// eventually waits until ok, or fails.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func endSandbox(t testing.TB, w *world) {
	t.Helper()
	if err := sandbox.Destroy(context.WithoutCancel(t.Context()), w.env, box); err != nil {
		t.Fatal(err)
	}
}

// drop takes an object away.
func (w *world) drop(t testing.TB, o plan.Object) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := w.host.Apply(ctx, w.env, plan.Change{Addr: o.Addr, From: o.Attrs}); err != nil {
		t.Fatal(err)
	}
	w.sync(t)
}

// drift is what Observe says of tracking that is not as it was applied.
func (w *world) drift(t testing.TB) []string {
	t.Helper()
	objs, err := w.host.Observe(context.WithoutCancel(t.Context()), w.env)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objs {
		if o.Addr == filesystem.TrackAddr {
			var got filesystem.Track
			if err := o.Decode(&got); err != nil {
				t.Fatal(err)
			}
			return got.Drift
		}
	}
	t.Fatal("nothing is tracked")
	return nil
}
