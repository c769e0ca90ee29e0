package tags_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"blast.example/blast/runtime/packages/tags"
)

// TestCompatibleEqualsPip compares the list, order included, with what the pip
// of this machine's Python says of itself.
func TestCompatibleEqualsPip(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 to compare with")
	}
	wheels, err := filepath.Glob("/usr/share/python-wheels/pip-*.whl")
	if err != nil || len(wheels) == 0 {
		t.Skip("no pip wheel to compare with: it comes with Debian's python3-venv")
	}
	const ask = `import sys, os, platform
sys.path.insert(0, sys.argv[1])
from pip._vendor.packaging.tags import sys_tags
print(sys.version_info.major, sys.version_info.minor, os.confstr("CS_GNU_LIBC_VERSION").split()[1].replace(".", " "), platform.machine())
for t in sys_tags(): print(t)`
	out, err := exec.CommandContext(t.Context(), python, "-c", ask, wheels[0]).Output()
	if err != nil {
		t.Fatal(err)
	}
	head, want, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	var p tags.Python
	var g tags.Glibc
	var arch string
	if _, err := fmt.Sscan(head, &p.Major, &p.Minor, &g.Major, &g.Minor, &arch); err != nil {
		t.Fatal(err)
	}
	var got []string
	pure := fmt.Sprintf("cp%d%d-none-any", p.Major, p.Minor)
	for _, tag := range tags.Compatible(p, g, arch) {
		if s := tag.String(); s != pure || strings.Contains(want, pure) { // pip before 23.2 forgot this one
			got = append(got, s)
		}
	}
	if d := cmp.Diff(strings.Split(want, "\n"), got); d != "" {
		t.Errorf("tags of Python %d.%d on glibc %d.%d (-pip +got):\n%s", p.Major, p.Minor, g.Major, g.Minor, d)
	}
	if len(got) < 100 {
		t.Errorf("only %d tags", len(got))
	}
}

func TestCompatible(t *testing.T) {
	py311 := tags.Python{Major: 3, Minor: 11}
	bookworm := tags.Glibc{Major: 2, Minor: 36}
	for _, c := range []struct {
		name   string
		python tags.Python
		glibc  tags.Glibc
		arch   string
		yes    []string
		no     []string
	}{
		{"x86_64", py311, bookworm, "x86_64",
			[]string{"cp311-cp311-manylinux_2_36_x86_64", "cp311-cp311-manylinux1_x86_64", "cp38-abi3-manylinux2014_x86_64", "py3-none-any", "py30-none-any", "cp311-cp311-linux_x86_64", "py2.py3-none-any"},
			[]string{"cp311-cp311-manylinux_2_37_x86_64", "cp310-cp310-manylinux_2_17_x86_64", "cp312-abi3-manylinux2014_x86_64", "py2-none-any", "cp311-cp311-musllinux_1_2_x86_64", "cp311-cp311-manylinux_2_17_aarch64", "cp311-cp311-win_amd64", "cp311-cp311t-linux_x86_64"}},
		{"aarch64 begins with 2.17", py311, bookworm, "aarch64",
			[]string{"cp311-cp311-manylinux2014_aarch64", "cp311-cp311-manylinux_2_17_aarch64"},
			[]string{"cp311-cp311-manylinux_2_16_aarch64", "cp311-cp311-manylinux1_aarch64"}},
		{"free-threaded has its own ABI", tags.Python{Major: 3, Minor: 13, FreeThreaded: true}, bookworm, "x86_64",
			[]string{"cp313-cp313t-manylinux_2_17_x86_64", "py3-none-any"},
			[]string{"cp313-cp313-manylinux_2_17_x86_64", "cp38-abi3-manylinux_2_17_x86_64"}},
		{"3.7 has the pymalloc flag", tags.Python{Major: 3, Minor: 7}, bookworm, "x86_64",
			[]string{"cp37-cp37m-manylinux1_x86_64"}, []string{"cp37-cp37-manylinux1_x86_64"}},
		{"an unknown C library runs only linux_*", py311, tags.Glibc{}, "x86_64",
			[]string{"cp311-cp311-linux_x86_64", "py3-none-any"}, []string{"cp311-cp311-manylinux1_x86_64"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := tags.NewRanking(tags.Compatible(c.python, c.glibc, c.arch))
			for _, w := range c.yes {
				if _, ok := r.Rank(wheel(t, w)); !ok {
					t.Errorf("%s doesn't fit", w)
				}
			}
			for _, w := range c.no {
				if _, ok := r.Rank(wheel(t, w)); ok {
					t.Errorf("%s fits", w)
				}
			}
		})
	}
}

func TestRankPrefersTheCloser(t *testing.T) {
	r := tags.NewRanking(tags.Compatible(tags.Python{Major: 3, Minor: 11}, tags.Glibc{Major: 2, Minor: 36}, "x86_64"))
	last := -1
	for _, w := range []string{
		"cp311-cp311-manylinux_2_34_x86_64",
		"cp311-cp311-manylinux2014_x86_64",
		"cp311-cp311-linux_x86_64",
		"cp311-abi3-manylinux2014_x86_64",
		"cp37-abi3-manylinux2014_x86_64",
		"py3-none-manylinux2014_x86_64",
		"py311-none-any",
		"py2.py3-none-any",
	} {
		rank, ok := r.Rank(wheel(t, w))
		if !ok || rank <= last {
			t.Errorf("%s has rank %d, %v; the one before has %d", w, rank, ok, last)
		}
		last = rank
	}
	if _, ok := (tags.Ranking{}).Rank(wheel(t, "py3-none-any")); ok {
		t.Error("the empty ranking takes a wheel")
	}
}

func wheel(t *testing.T, tag string) []tags.Tag {
	t.Helper()
	w, err := tags.ParseWheelName("name-1.0-" + tag + ".whl")
	if err != nil {
		t.Fatal(err)
	}
	return w.Tags
}
