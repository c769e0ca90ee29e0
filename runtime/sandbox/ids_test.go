//go:build linux

package sandbox_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"blast.example/blast/runtime/sandbox"
	"blast.example/blast/state"
)

// environments are some in one run folder, without anything on the kernel.
func environments(t *testing.T, n int) []state.Env {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("giving a folder to another group takes root")
	}
	root := t.TempDir()
	var envs []state.Env
	for i := range n {
		env := state.NewEnv(fmt.Sprintf("/project/%d", i), "default", 0, 0)
		env.Run = filepath.Join(root, env.ID)
		envs = append(envs, env)
	}
	return envs
}

func TestIDsAreNobodyElses(t *testing.T) {
	envs := environments(t, 200)
	bases := make([]uint32, len(envs))
	var wg sync.WaitGroup
	for i, env := range envs {
		wg.Go(func() {
			ids, err := sandbox.ClaimIDs(env)
			if err != nil {
				t.Error(err)
			}
			bases[i] = ids.Base
		})
	}
	wg.Wait()
	seen := map[uint32]bool{}
	for i, b := range bases {
		if seen[b] || b%(1<<16) != 0 || b < 1<<30 || b >= 1<<31-1<<16 {
			t.Errorf("environment %d has base %d", i, b)
		}
		seen[b] = true
	}
	// The same again, and after a reboot.
	env := envs[7]
	if ids, err := sandbox.ClaimIDs(env); err != nil || ids.Base != bases[7] {
		t.Errorf("%+v %v, want %d", ids, err, bases[7])
	}
	if err := sandbox.ReleaseIDs(env); err != nil {
		t.Error(err)
	}
	if _, ok, err := sandbox.LoadIDs(env); ok || err != nil {
		t.Errorf("after release: %v %v", ok, err)
	}
	if ids, err := sandbox.ClaimIDs(env); err != nil || ids.Base != bases[7] {
		t.Errorf("%+v %v, want %d", ids, err, bases[7])
	}
}

func TestRunFolderIsOpenToItsIDsOnly(t *testing.T) {
	env := environments(t, 1)[0]
	ids, err := sandbox.ClaimIDs(env)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(env.Run)
	if err != nil || st.Mode().Perm() != 0o710 || gid(st) != ids.Base {
		t.Errorf("%v group %d (%v), want group %d", st.Mode(), gid(st), err, ids.Base)
	}
	if err := sandbox.ReleaseIDs(env); err != nil {
		t.Fatal(err)
	}
	if st, err = os.Stat(env.Run); err != nil || st.Mode().Perm() != 0o700 || gid(st) != 0 {
		t.Errorf("released: %v group %d (%v)", st.Mode(), gid(st), err)
	}
}

func TestForgedIDsAreRefused(t *testing.T) {
	env := environments(t, 1)[0]
	for _, ids := range []sandbox.IDs{{Base: 0, Size: 1 << 16}, {Base: 100000, Size: 1 << 16}, {Base: 0x7000_0001, Size: 1 << 16}, {Base: 0x7000_0000, Size: 1 << 20}} {
		if err := env.WriteNote(sandbox.IDsNote, ids); err != nil {
			t.Fatal(err)
		}
		if got, err := sandbox.ClaimIDs(env); err == nil {
			t.Errorf("%+v was taken: %+v", ids, got)
		}
	}
}

func gid(st os.FileInfo) uint32 { return st.Sys().(*syscall.Stat_t).Gid }
