package crash

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/plan"
	"blast.example/blast/testfixtures/leftovers"
)

// inventory is all that Blast has on the host and on record, without the numbers that
// differ from one process, container or generation to the next.
func (w *world) inventory(t *testing.T) []string {
	t.Helper()
	lines, err := leftovers.Find(w.project)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	files := map[string]int{} // of each set of packages
	for _, l := range lines {
		if set := packages.FindString(l); set != "" {
			files[set]++
			continue
		}
		if !besides.MatchString(l) {
			out = append(out, plain(l))
		}
	}
	for set, n := range files {
		out = append(out, fmt.Sprintf("packages %s, %d files", filepath.Base(set), n))
	}
	out = slices.Concat(out, w.limits(t), w.tree(t), w.rules(t), w.records(t), w.snapshots(t))
	slices.Sort(out)
	return out
}

// besides is what may differ: the daemon itself; what was refused, which limits were reached, what went before and who changed the
// packet filter, which only explain; room that a full disk takes; and folders that all
// environments share.
var besides = regexp.MustCompile(`blastd|/(denied\.ndjson|filter\.json|resource-record\.json|phases\.json|reserve)$|^file /run/blast$|^cgroup .*/blast$`)

var (
	packages = regexp.MustCompile(`/\.blast/default/packages/[0-9a-f]{12}`)
	sums     = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	numbers  = regexp.MustCompile(`(^process )?\b[0-9]+\b`)
)

func plain(line string) string {
	return numbers.ReplaceAllString(sums.ReplaceAllString(line, "SUM"), "N")
}

// limits are what the kernel enforces on the environment's group, and whether that stands
// still.
func (w *world) limits(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		for _, name := range []string{"pids.max", "cgroup.freeze", "freezer.state"} {
			files, err := filepath.Glob(top + w.env.Cgroup + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, "limit "+filepath.Base(f)+" "+strings.TrimSpace(string(b)))
			}
		}
	}
	return out
}

var mountNumbers = regexp.MustCompile(`^\d+ \d+ \d+:\d+ |/dev/loop\d+|(shared|master):\d+`)

// tree are the mounts that the sandbox sees.
func (w *world) tree(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pid := range w.inits(t) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%s/mountinfo", pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			out = append(out, "tree "+plain(strings.TrimSpace(mountNumbers.ReplaceAllString(line, ""))))
		}
	}
	return out
}

// inits are the pids of the sandbox's PID 1: one or none.
func (w *world) inits(t *testing.T) []string {
	t.Helper()
	lines, err := leftovers.Find(w.project)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range lines {
		if f := strings.Fields(l); f[0] == "process" && strings.HasPrefix(f[2], "blast-init") && strings.Contains(l, w.env.Cgroup) {
			out = append(out, f[1])
		}
	}
	return out
}

var counters = regexp.MustCompile(`(packets|bytes) \d+|# handle \d+`)

// rules are the packet filter of the environment's network, in order.
func (w *world) rules(t *testing.T) []string {
	t.Helper()
	nft, err := exec.LookPath("nft")
	if err != nil {
		return nil // nobody to ask
	}
	net := filepath.Join(w.env.Run, "net")
	if fi, err := os.Lstat(net); err != nil || !fi.Mode().IsRegular() {
		return nil
	}
	out, err := exec.CommandContext(t.Context(), "nsenter", "--net="+net, nft, "list", "ruleset").CombinedOutput()
	if err != nil {
		return []string{"rules: " + err.Error()}
	}
	sum := sha256.Sum256([]byte(counters.ReplaceAllString(string(out), "")))
	return []string{fmt.Sprintf("rules %d bytes, %s", len(out), hex.EncodeToString(sum[:6]))}
}

// layers are made up by each load.
var layers = regexp.MustCompile(`"layer":\s*\{[^}]*\}`)

// records are the generations on record, the current one last.
func (w *world) records(t *testing.T) []string {
	t.Helper()
	gens, err := w.env.History()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i, g := range gens {
		for _, o := range g.Objects {
			attrs := layers.ReplaceAll(o.Attrs, []byte(`"layer":{}`))
			out = append(out, fmt.Sprintf("record %s %s, %d generations ago", o.Addr, plan.Digest(attrs), len(gens)-1-i))
		}
	}
	return out
}

// snapshots are those that can be named, and each file of theirs that is not what its
// name says.
func (w *world) snapshots(t *testing.T) []string {
	t.Helper()
	dir := filepath.Join(w.project, ".blast", "snapshots.oci")
	if _, err := os.Lstat(dir); err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(w.must(t, 0, "snapshots")) {
		if name := strings.Fields(line)[0]; name != "NAME" && name != "No" {
			out = append(out, "snapshot "+name)
		}
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range blobs {
		if strings.HasPrefix(filepath.Base(path), ".") {
			continue // one that is being made: nothing refers to it
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != filepath.Base(path) {
			out = append(out, "torn "+path)
		}
	}
	return out
}

// difference lists what is there and should not be (+), and the other way round (-).
func difference(got, want []string) string {
	out := []string{fmt.Sprintf("%d things, want %d", len(got), len(want))}
	for _, l := range minus(got, want) {
		out = append(out, "+ "+l)
	}
	for _, l := range minus(want, got) {
		out = append(out, "- "+l)
	}
	return strings.Join(out, "\n")
}

// minus is a without what b has, as often as b has it.
func minus(a, b []string) []string {
	n := map[string]int{}
	for _, l := range b {
		n[l]++
	}
	var out []string
	for _, l := range a {
		if n[l]--; n[l] < 0 {
			out = append(out, l)
		}
	}
	return out
}
