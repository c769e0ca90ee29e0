package hostinfo

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCheapProbesOfThisHost(t *testing.T) {
	f := Probe(t.Context(), t.TempDir())
	if f.System.Kernel == "" || f.System.EUID != os.Geteuid() || f.Disk.Free == 0 || f.Seccomp.State == Untried || f.Namespaces.State == Untried {
		t.Errorf("facts = %+v", f)
	}
	if f.Namespaces.State == Fails && f.Namespaces.Why == "" {
		t.Error("no reason why namespaces fail")
	}
	if len(f.Unfinished) > 0 {
		t.Errorf("unfinished: %v", f.Unfinished)
	}
	// The filter and no_new_privs went with their thread.
	if again := system(t.Context()); again.Seccomp != f.System.Seccomp || again.NoNewPrivs != f.System.NoNewPrivs {
		t.Errorf("the probe changed its process: %+v", again)
	}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var back Facts
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, back); diff != "" {
		t.Errorf("JSON changes the facts: %s", diff)
	}
}

// A probe that hangs costs its own answer only.
func TestGatherDoesNotWaitForEver(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	release := make(chan struct{})
	defer close(release)
	f := Gather(ctx, "/", Probes{
		Landlock: func(context.Context) int { return 7 },
		Loop:     func(context.Context, string) Outcome { <-release; return Outcome{State: Works} },
	})
	if diff := cmp.Diff([]string{"loop"}, f.Unfinished); diff != "" {
		t.Error(diff)
	}
	if f.Loop.State != Untried || f.Landlock != 7 {
		t.Errorf("loop = %+v, landlock = %d", f.Loop, f.Landlock)
	}
	if got := f.Report(); !strings.Contains(got[len(got)-1].Detail, "in time") {
		t.Errorf("the report does not tell: %+v", got)
	}
}

func TestCountSubIDs(t *testing.T) {
	text := "root:0:1\nann:100000:65536\n1000:300000:10\nann:1:-5\nbroken\nbob:1:x\n"
	if got := countSubIDs(text, "ann", "1000"); got != 65546 {
		t.Errorf("count = %d", got)
	}
}

// The command line links this package: nothing heavy may hide in it.
func TestLinksLittle(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("go list does not run here (%v): a test binary away from its source", err)
	}
	if !strings.Contains(string(out), "golang.org/x/sys/unix") {
		t.Fatal("control: x/sys is not among the dependencies")
	}
	for _, heavy := range []string{"nftables", "netlink", "opencontainers", "runtime/resource", "hashicorp"} {
		if strings.Contains(string(out), heavy) {
			t.Errorf("hostinfo links %s", heavy)
		}
	}
}

func TestCountsProjects(t *testing.T) {
	const text = `36 35 98:0 / /mnt rw,noatime master:1 - ext4 /dev/sda1 rw,prjquota
37 35 98:1 / /srv rw,prjquota - xfs /dev/sdb1 rw,attr2,usrquota
38 35 98:2 / /data rw - xfs /dev/sdc1 rw,pquota
broken
`
	for device, want := range map[string]bool{"98:0": true, "98:1": false, "98:2": true, "98:3": false} {
		if countsProjects(text, device) != want {
			t.Errorf("%s: %v", device, !want)
		}
	}
}
