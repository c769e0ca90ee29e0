package filesystem

import (
	"strings"
	"syscall"
	"testing"

	"blast.example/blast/config/configtest"
	"blast.example/blast/plan"
)

// TestRefusalNamesTheLine that closed a path, and what opens it; the innermost one.
func TestRefusalNamesTheLine(t *testing.T) {
	objs, diags := configtest.Load(t, project(t, `workspace {
  source    = "."
  hide      = ["secrets", "*.pem"]
  read_only = ["Makefile"]
}
mount "/models" {
  source = "src"
}`), Words{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	tree := configtest.Decode[Tree](t, objs, TreeAddr)
	for _, c := range []struct {
		at             string
		errno          syscall.Errno
		path, why, fix string
		place          string
	}{
		{"/workspace/.env", syscall.EACCES, "/workspace/.env", "Blast always hides .env: secrets", `write show = [".env"] in the workspace block of blast.hcl`, "blast.hcl:2"},
		{"/workspace/.blast/x/state.json", syscall.EACCES, "/workspace/.blast", "Blast always hides .blast: it is what Blast knows about the sandbox", "", "blast.hcl:2"},
		{"/workspace/secrets/key", syscall.EACCES, "/workspace/secrets", "the workspace block hides secrets", `remove "secrets" from hide in the workspace block of blast.hcl`, "blast.hcl:4"},
		{"/workspace/a/b.pem", syscall.EACCES, "/workspace/a/b.pem", "the workspace block hides *.pem", `remove "*.pem" from hide`, "blast.hcl:4"},
		{"/workspace/a/c.pem/d", syscall.EPERM, "/workspace/a/c.pem", "the workspace block hides *.pem", "remove", "blast.hcl:4"},
		{"/workspace/Makefile", syscall.EROFS, "/workspace/Makefile", "the workspace block keeps Makefile from being written", `remove "Makefile" from read_only in the workspace block of blast.hcl`, "blast.hcl:5"},
		{"/workspace/Makefile", syscall.EBUSY, "/workspace/Makefile", "keeps Makefile from being written", "remove", "blast.hcl:5"},
		{"/workspace/blast.hcl", syscall.EROFS, "/workspace/blast.hcl", "a sandbox must not change its own rules", "", "blast.hcl:2"},
		{"/workspace/.git/hooks/x", syscall.EROFS, "/workspace/.git/hooks", "git runs them on the host", `write writable = [".git/hooks"]`, "blast.hcl:2"},
		{"/workspace/.git", syscall.EBUSY, "/workspace/.git/commondir", "it holds commondir, and Blast always", "", "blast.hcl:2"},
		{"/models/a/b", syscall.EROFS, "/models", `the mount "/models" shows it read-only`, `write access = "rw" in the mount "/models" of blast.hcl`, "blast.hcl:7"},
		{"/workspace/Makefile", syscall.EACCES, "", "the permissions of the file", "", ""},
		{"/workspace/Makefile2", syscall.EROFS, "", "the sandbox's own system is read-only: write in /home/sandbox, /tmp, /var/tmp, /workspace", "", ""},
		{"/usr/x", syscall.EROFS, "", "the sandbox's own system is read-only", "", ""},
		{"/tmp", syscall.EBUSY, "", "something is mounted there", "", ""},
		{"/workspace/other", syscall.EOVERFLOW, "", "belongs to another user of the host", "", ""},
		{"/proc/1/mem", syscall.EACCES, "", "the kernel shows it to nobody", "", ""},
	} {
		r := tree.Refusal(c.at, c.errno)
		if r.Path != c.path || !strings.Contains(r.Why, c.why) || !strings.Contains(r.Fix, c.fix) || (c.fix == "") != (r.Fix == "") {
			t.Errorf("%s %v: %+v", c.at, c.errno, r)
		}
		for _, o := range objs {
			if o.Addr == TreeAddr && c.place != "" && plan.PlaceOf(o.Src, r.Item) != c.place {
				t.Errorf("%s %v: %s, of %q", c.at, c.errno, plan.PlaceOf(o.Src, r.Item), r.Item)
			}
		}
	}
}
