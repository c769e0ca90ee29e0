package story

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"blast.example/blast/state"
	"blast.example/blast/testfixtures/leftovers"
)

// idof VAR FOLDER [NAME] sets a variable to the id that an environment gets when it is
// applied first in that folder.
func idof(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: idof VAR FOLDER [NAME]")
	}
	name := "default"
	if len(args) == 3 {
		name = args[2]
	}
	ts.Setenv(args[0], state.NewEnv(ts.MkAbs(args[1]), name, person, person).ID)
}

// gone FOLDER removes a folder, as rm -rf does until nobody puts anything into it.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gone FOLDER")
	}
	dir := ts.MkAbs(args[0])
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := os.RemoveAll(dir)
		if _, serr := os.Lstat(dir); errors.Is(serr, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("remove %s: %v", dir, err)
		}
	}
}

// trace ID prints what there is of an environment on the host.
func trace(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] trace ID")
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		lines, err := leftovers.Find()
		ts.Check(err)
		lines = slices.DeleteFunc(lines, func(l string) bool {
			lost := strings.Contains(l, "loop "+ts.Getenv("WORK")) && strings.Contains(l, "(deleted)")
			return !lost && !strings.Contains(l, args[0])
		})
		if (len(lines) == 0) == neg {
			_, err := fmt.Fprintln(ts.Stdout(), strings.Join(lines, "\n"))
			ts.Check(err)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("of %s there is: %q", args[0], lines)
		}
	}
}

// sweep destroys what a script has left in other folders than its own.
func sweep(e *testscript.Env, bin string) {
	claims, err := state.Claims()
	if err != nil {
		e.T().Log(err)
	}
	for _, c := range claims {
		if !strings.HasPrefix(c.Project+"/", e.WorkDir+"/") {
			continue
		}
		cmd := exec.Command(filepath.Join(bin, "blast"), "destroy", "--id", c.ID, "--auto-approve") //nolint:noctx // whatever became of the script
		cmd.Env = e.Vars
		if out, err := cmd.CombinedOutput(); err != nil {
			e.T().Log(fmt.Sprintf("clean up %s: %v\n%s", c.ID, err, out))
		}
	}
}
