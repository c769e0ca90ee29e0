//go:build linux

package mounts_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem"
	"blast.example/blast/runtime/filesystem/mounts"
	"blast.example/blast/runtime/filesystem/mounts/mountns"
	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/runtime/sandbox/sandboxtest"
	"blast.example/blast/state"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == attemptName {
		os.Exit(attempt(os.Args[1:]))
	}
	sandbox.Init()
	if os.Getenv(noImages) != "" {
		mounts.NoImages()
	}
	if job := os.Getenv(asDaemon); job != "" {
		os.Exit(daemon(job))
	}
	os.Exit(sandboxtest.Main(m))
}

// noImages is set for a host without loop devices, here and in what is started.
const noImages = "BLAST_TEST_NO_IMAGES"

// inMemory runs a test as on a host whose layers are in memory.
func inMemory(t *testing.T) {
	t.Helper()
	if err := mounts.MemoryAble(state.Env{UID: person, GID: person}); err != nil {
		t.Skipf("this kernel can't: %v", err)
	}
	t.Setenv(noImages, "1")
	t.Cleanup(mounts.NoImages())
}

// The person on whose behalf all is done.
const person = 1000

// Ids of sandboxes.
const (
	box1 = "0123456789ab"
	box2 = "ba9876543210"
)

// A world is an environment with a project that belongs to the person.
type world struct {
	env  state.Env
	host *mounts.Host
	log  *locked
}

func newWorld(t testing.TB, files map[string]string) *world {
	t.Helper()
	env := sandboxtest.Env(t)
	env.UID, env.GID = person, person
	w := &world{env: env, log: &locked{}}
	w.host = mounts.New(slog.New(slog.NewTextHandler(w.log, nil)))
	for name, content := range files {
		w.put(t, name, content)
	}
	for dir := env.Project; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) { // the person must get through
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(env.Project, person, person); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.host.Close() })
	return w
}

// put writes a file of the project as the person would; a name that ends in / is a folder.
func (w *world) put(t testing.TB, name, content string) {
	t.Helper()
	full := filepath.Join(w.env.Project, name)
	folder := full
	if !strings.HasSuffix(name, "/") {
		folder = filepath.Dir(full)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if folder != full {
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for p := full; p != w.env.Project; p = filepath.Dir(p) {
		if err := os.Chown(p, person, person); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) path(name string) string { return filepath.Join(w.env.Project, name) }

// start makes a sandbox, as the process kind does.
func (w *world) start(t testing.TB, id string, change ...func(*sandbox.Spec)) *sandbox.Sandbox {
	t.Helper()
	s := sandboxtest.Spec(t, w.env)
	s.ID = id
	for _, c := range change {
		c(&s)
	}
	box, err := sandbox.Create(context.WithoutCancel(t.Context()), s)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func (w *world) end(t testing.TB, id string) {
	t.Helper()
	if err := sandbox.Destroy(context.WithoutCancel(t.Context()), w.env, id); err != nil {
		t.Fatal(err)
	}
}

const mib = 1 << 20

// usual is a tree as the words make it, in sandbox id.
func (w *world) usual(id string, more ...filesystem.Mount) filesystem.Tree {
	return filesystem.Tree{Sandbox: id, LayerSize: 64 * mib, Mounts: append([]filesystem.Mount{
		{Name: "home", Target: "/home/sandbox", Type: filesystem.Layer, Exec: true},
		{Name: "var-tmp", Target: "/var/tmp", Type: filesystem.Layer},
		{Name: "tmp", Target: "/tmp", Type: filesystem.Tmpfs, Size: 32 * mib, Exec: true},
		{Name: "workspace", Target: "/workspace", Type: filesystem.Bind, Source: w.env.Project, Access: "rw", Exec: true},
		{Name: "workspace.hide", Target: "/workspace/.blast", Type: filesystem.Hide, Dir: true},
		{Name: "workspace.hide", Target: "/workspace/.env", Type: filesystem.Hide},
		{Name: "workspace.read_only", Target: "/workspace/.git/commondir", Type: filesystem.ReadOnly, Content: "./\n"},
		{Name: "workspace.read_only", Target: "/workspace/.git/config", Type: filesystem.ReadOnly},
		{Name: "workspace.read_only", Target: "/workspace/.git/hooks", Type: filesystem.ReadOnly, Dir: true},
		{Name: "workspace.read_only", Target: "/workspace/blast.hcl", Type: filesystem.ReadOnly},
	}, more...)}
}

func attrs(v any) json.RawMessage { return plan.NewObject(filesystem.TreeAddr, v, nil).Attrs }

// change leads from one tree to another; nil is none.
func change(from, to *filesystem.Tree) plan.Change {
	c := plan.Change{Addr: filesystem.TreeAddr}
	if from != nil {
		c.From = attrs(*from)
	}
	if to != nil {
		c.To = attrs(*to)
	}
	return c
}

func (w *world) apply(t testing.TB, from, to *filesystem.Tree) plan.Change {
	t.Helper()
	c := change(from, to)
	if err := w.host.Apply(t.Context(), w.env, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) commit(t testing.TB, c plan.Change) {
	t.Helper()
	if err := w.host.Commit(t.Context(), w.env, c); err != nil {
		t.Fatal(err)
	}
}

func (w *world) sync(t testing.TB) {
	t.Helper()
	if err := w.host.Sync(t.Context(), w.env); err != nil {
		t.Fatal(err)
	}
}

// create applies a tree for good.
func (w *world) create(t testing.TB, to filesystem.Tree) {
	t.Helper()
	w.commit(t, w.apply(t, nil, &to))
}

// observed is the tree that Observe sees; nil if there is none.
func (w *world) observed(t testing.TB) *filesystem.Tree {
	t.Helper()
	objs, err := w.host.Observe(t.Context(), w.env)
	if err != nil {
		t.Fatal(err)
	}
	if len(objs) == 0 {
		return nil
	}
	var tree filesystem.Tree
	if err := objs[0].Decode(&tree); err != nil {
		t.Fatal(err)
	}
	return &tree
}

func (w *world) sees(t testing.TB, want filesystem.Tree) {
	t.Helper()
	if got := w.observed(t); got == nil || string(attrs(*got)) != string(attrs(want)) {
		t.Fatalf("Observe sees %+v, want %+v", got, want)
	}
}

// run runs a shell command in a sandbox and returns its exit code and all that it says.
func (w *world) run(t testing.TB, id, script string) (int, string) {
	t.Helper()
	return w.exec(t, id, "/bin/sh", "-c", script)
}

func (w *world) exec(t testing.TB, id string, args ...string) (int, string) {
	t.Helper()
	return w.spawn(context.WithoutCancel(t.Context()), id, args...)()
}

// spawn starts a program in a sandbox, and returns what waits for its end.
func (w *world) spawn(ctx context.Context, id string, args ...string) func() (int, string) {
	type result struct {
		code int
		text string
	}
	ended := make(chan result, 1)
	go func() {
		r, wr, err := os.Pipe()
		if err != nil {
			ended <- result{-1, err.Error()}
			return
		}
		defer func() { _ = r.Close() }()
		text := make(chan string)
		go func() { b, _ := io.ReadAll(r); text <- string(b) }()
		code, err := command.Run(ctx, sandbox.SocketPath(w.env, id), command.Request{
			Args: args, Env: []string{"PATH=/usr/bin:/bin", "HOME=/home/sandbox", "LC_ALL=C"}, Dir: "/", Stdout: wr, Stderr: wr,
		})
		_ = wr.Close()
		out := <-text
		if err != nil {
			out += err.Error()
		}
		ended <- result{code, out}
	}()
	return func() (int, string) { r := <-ended; return r.code, r.text }
}

func (w *world) must(t testing.TB, id, script string) string {
	t.Helper()
	code, out := w.run(t, id, script)
	if code != 0 {
		t.Fatalf("%s: exit %d: %s", script, code, out)
	}
	return out
}

// mountinfo is the mount table of a sandbox, as init sees it.
func (w *world) mountinfo(t testing.TB, id string) string {
	t.Helper()
	s, err := sandbox.Load(t.Context(), w.env, id)
	if err != nil {
		return "not running\n"
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	numbers = regexp.MustCompile(`^(\d+) (\d+) (\d+:\d+) `)
	loopDev = regexp.MustCompile(`/dev/loop\d+`)
)

// kernel reads the kind's part of the host, without its help: mounts without
// their numbers, sorted; loop devices; files in the state and run folders and in the project.
func (w *world) kernel(t testing.TB, ids ...string) string {
	t.Helper()
	var lines []string
	for _, id := range ids {
		for line := range strings.Lines(w.mountinfo(t, id)) {
			lines = append(lines, id+" "+loopDev.ReplaceAllString(numbers.ReplaceAllString(line, ""), "LOOP"))
		}
		for _, dir := range []string{"", "/opt", "/srv"} {
			es, _ := os.ReadDir(sandbox.SkeletonDir(w.env, id) + dir)
			for _, e := range es {
				lines = append(lines, id+" skeleton "+dir+"/"+e.Name()+"\n")
			}
		}
	}
	for _, dir := range []string{w.env.Dir, w.env.Run} {
		es, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			if n := e.Name(); strings.HasPrefix(n, "layer") || strings.HasPrefix(n, "hidden") || strings.HasPrefix(n, "filesystem") || strings.HasPrefix(n, "command") {
				lines = append(lines, n+"\n")
			}
		}
	}
	lines = append(lines, w.loops(t)...)
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// loops are the loop devices over files of the environment.
func (w *world) loops(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), w.env.Dir) {
			all = append(all, "loop "+string(b))
		}
	}
	return all
}

// inside runs a program of the host's in the mount namespace of a sandbox, as root.
func (w *world) inside(t testing.TB, id string, args ...string) {
	t.Helper()
	s, err := sandbox.Load(t.Context(), w.env, id)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "nsenter", append([]string{"-t", fmt.Sprint(s.PID()), "-m", "--"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// detach takes away what is mounted at a path of a sandbox, as umount -l does.
func (w *world) detach(t testing.TB, id, path string) {
	t.Helper()
	s, err := sandbox.Load(t.Context(), w.env, id)
	if err != nil {
		t.Fatal(err)
	}
	in, err := mountns.Enter(s.PID())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	f, err := in.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := in.Detach(f); err != nil {
		t.Fatal(err)
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

// nothingLeft checks that a destroyed tree has left nothing.
func (w *world) nothingLeft(t testing.TB) {
	t.Helper()
	eventually(t, "a loop device is left", func() bool { return len(w.loops(t)) == 0 })
	for _, dir := range []string{w.env.Dir, w.env.Run} {
		for _, pattern := range []string{"layer*", "hidden*", "placeholders*", "filesystem*", "command*"} {
			if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
				t.Errorf("left: %v", found)
			}
		}
	}
}

// pid is the number of init of a sandbox.
func (w *world) pid(t testing.TB, id string) int {
	t.Helper()
	s, err := sandbox.Load(t.Context(), w.env, id)
	if err != nil {
		t.Fatal(err)
	}
	return s.PID()
}
