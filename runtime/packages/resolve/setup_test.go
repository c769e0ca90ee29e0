package resolve_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/network"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/runtime/packages/index"
	"blast.example/blast/runtime/packages/interpreter"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/packages/resolve"
	"blast.example/blast/runtime/packages/tags"
)

// python describes a CPython on Linux that need not be there.
func python(t testing.TB, version string, glibcMinor int) *interpreter.Found {
	t.Helper()
	var major, minor, micro int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &micro); n < 2 {
		t.Fatalf("version %q", version)
	}
	full := fmt.Sprintf("%d.%d.%d", major, minor, micro)
	env := pep508.Environment{
		ImplementationName: "cpython", ImplementationVersion: full, OSName: "posix", PlatformMachine: "x86_64", PlatformPythonImplementation: "CPython",
		PlatformSystem: "Linux", PythonFullVersion: full, PythonVersion: fmt.Sprintf("%d.%d", major, minor), SysPlatform: "linux",
	}
	py, err := interpreter.New("/usr/bin/python"+env.PythonVersion, env, tags.Compatible(tags.Python{Major: major, Minor: minor}, tags.Glibc{Major: 2, Minor: glibcMinor}, "x86_64"))
	if err != nil {
		t.Fatal(err)
	}
	return py
}

// setup is an environment that is to be resolved.
type setup struct {
	py       *interpreter.Found
	project  string
	cache    string
	wishes   packages.Wishes
	policy   network.Policy
	recorded []plan.Object
	settled  []plan.Object
	of       string
	upgrade  kinds.Upgrade
	now      time.Time
	stall    time.Duration
	progress []string
}

// newSetup asks indexes on loopback, which a rule allows, for lines of
// requirements.txt. A line "-c flask<3" is a constraint.
func newSetup(t testing.TB, root string, lines ...string) *setup {
	t.Helper()
	s := &setup{py: python(t, "3.12", 39), project: t.TempDir(), cache: t.TempDir(), stall: time.Minute, now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.Local)}
	s.wishes = packages.Wishes{Index: []string{strings.TrimSuffix(root, "/")}, LockPath: "pylock.blast.toml"}
	for i, l := range lines {
		text, constraint := strings.CutPrefix(l, "-c ")
		text, hashes, _ := strings.Cut(text, " --hash=")
		q := packages.Requirement{Text: text, Place: fmt.Sprintf("requirements.txt:%d", i+1), Constraint: constraint}
		if hashes != "" {
			q.Hashes = strings.Split(hashes, " --hash=")
		}
		s.wishes.Requirements = append(s.wishes.Requirements, q)
	}
	s.policy = network.Policy{Default: "deny"}
	if u, err := url.Parse(root); err == nil && root != "" {
		_, port, err := index.HostPort(u)
		if err != nil {
			t.Fatal(err)
		}
		s.policy.Egress = []network.Egress{{Name: "index", CIDRs: []string{"127.0.0.0/8"}, Ports: []uint16{port}, Protocol: "tcp", During: []string{"apply"}}}
	}
	return s
}

// resolve returns what is to be installed.
func (s *setup) resolve(t testing.TB) (packages.Set, hcl.Diagnostics) {
	t.Helper()
	return s.resolveIn(t.Context(), t)
}

func (s *setup) resolveIn(ctx context.Context, t testing.TB) (packages.Set, hcl.Diagnostics) {
	t.Helper()
	objs, diags := s.resolver().Resolve(ctx, s.input())
	var set packages.Set
	if diags.HasErrors() {
		return set, diags
	}
	if err := objs[1].Decode(&set); err != nil {
		t.Fatal(err)
	}
	return set, diags
}

func (s *setup) resolver() resolve.Resolver {
	return resolve.Resolver{
		Find:     func(context.Context, string) (*interpreter.Found, error) { return s.py, nil },
		CacheDir: s.cache,
		Now:      func() time.Time { return s.now },
		Client:   func() *index.Client { return &index.Client{Stall: s.stall, Pause: time.Millisecond} },
	}
}

func (s *setup) input() kinds.ResolveInput {
	return kinds.ResolveInput{Project: s.project, Recorded: s.recorded, Settled: s.settled, Of: s.of, Upgrade: s.upgrade, Progress: func(text string) { s.progress = append(s.progress, text) },
		Objects: []plan.Object{
			plan.NewObject(network.PolicyAddr, s.policy, map[string]string{"": "blast.hcl:7"}),
			plan.NewObject(packages.SetAddr, packages.Set{Wishes: s.wishes, Packages: []packages.Pinned{}}, map[string]string{"": "blast.hcl:1", "python": "blast.hcl:2"}),
		}}
}

// must resolves, and returns "a 1.0, b 2.0".
func (s *setup) must(t testing.TB) string {
	t.Helper()
	set, diags := s.resolve(t)
	if diags.HasErrors() {
		t.Fatal(text(diags))
	}
	return pinned(set)
}

// fails resolves in vain, and returns what a person reads.
func (s *setup) fails(t testing.TB) string {
	t.Helper()
	set, diags := s.resolve(t)
	if !diags.HasErrors() {
		t.Fatalf("resolved: %s", pinned(set))
	}
	return text(diags)
}

// keepLock writes the lock file, as an apply does.
func (s *setup) keepLock(t testing.TB) packages.Set {
	t.Helper()
	set, diags := s.resolve(t)
	if diags.HasErrors() {
		t.Fatal(text(diags))
	}
	s.writeLock(t, set.Lock.Content)
	return set
}

func (s *setup) lockFile() string { return filepath.Join(s.project, s.wishes.LockPath) }

func (s *setup) writeLock(t testing.TB, content string) {
	t.Helper()
	if err := os.WriteFile(s.lockFile(), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pinned(set packages.Set) string {
	var out []string
	for _, p := range set.Packages {
		out = append(out, p.Name+" "+p.Version)
	}
	return strings.Join(out, ", ")
}

// text is the diagnostics as a person reads them.
func text(diags hcl.Diagnostics) string {
	var b strings.Builder
	for _, d := range diags {
		at := ""
		if d.Subject != nil {
			at = fmt.Sprintf("%s:%d: ", d.Subject.Filename, d.Subject.Start.Line)
		}
		fmt.Fprintf(&b, "%s%s\n%s\n", at, d.Summary, d.Detail)
	}
	return b.String()
}
