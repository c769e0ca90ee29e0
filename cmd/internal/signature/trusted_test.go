package signature

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// place is a folder that only this user may write to, with a list in it.
func place(t *testing.T) (dir, list string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	list = filepath.Join(dir, "allowed_signers")
	if err := os.WriteFile(list, []byte(line(t, alice, "", newKey(t, "-t", "ed25519"))), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, list
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) string {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Who may write to the list may sign.
func TestAllowedSignersOfOthersAreRefused(t *testing.T) {
	noAgent(t)
	me := os.Geteuid()
	for name, c := range map[string]struct {
		change func(dir, list string) string // returns the path to read
		want   string                        // of the error; empty is none
	}{
		"as it should be":   {func(_, list string) string { return list }, ""},
		"a link":            {func(dir, list string) string { return link(t, list, filepath.Join(dir, "l")) }, ""},
		"links upwards":     {func(dir, list string) string { return link(t, "../b/./allowed_signers", filepath.Join(dir, "l")) }, ""},
		"in a sticky place": {func(dir, list string) string { chmod(t, dir, 0o777|os.ModeSticky); return list }, ""},
		"group may write":   {func(dir, list string) string { chmod(t, list, 0o664); return list }, "others may write to"},
		"others may write":  {func(dir, list string) string { chmod(t, list, 0o646); return list }, "others may write to"},
		"its folder":        {func(dir, list string) string { chmod(t, dir, 0o775); return list }, "others may write to"},
		"the folder above":  {func(dir, list string) string { chmod(t, filepath.Dir(dir), 0o757); return list }, "others may write to"},
		"a link where others may put one": {func(dir, list string) string {
			open := t.TempDir()
			chmod(t, open, 0o777)
			return link(t, list, filepath.Join(open, "l"))
		}, "others may write to"},
		"a folder by a link that others may put": {func(dir, list string) string {
			open := t.TempDir()
			chmod(t, open, 0o777)
			return filepath.Join(link(t, link(t, dir, filepath.Join(open, "l")), filepath.Join(dir, "l")), "allowed_signers")
		}, "others may write to"},
		"a ring of links": {func(dir, list string) string { return link(t, "l", filepath.Join(dir, "l")) }, "too many levels"},
		"no file":         {func(dir, list string) string { return dir }, "not a regular file"},
		"missing":         {func(dir, list string) string { return list + "x" }, "no such file"},
		"in a sandbox":    {func(dir, list string) string { return link(t, dir+"/sandboxed/x", filepath.Join(dir, "l")) }, "code in the sandbox may change"},
		"with a mistake": {func(dir, list string) string {
			if err := os.WriteFile(list, []byte("x\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			return list
		}, "line 1"},
	} {
		dir, list := place(t)
		sandboxed := filepath.Join(dir, "sandboxed")
		if err := os.Mkdir(sandboxed, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(sandboxed, "x"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		a, err := ReadAllowedSigners(c.change(dir, list), me, sandboxed)
		switch {
		case c.want == "" && (err != nil || len(a.lines) != 1):
			t.Errorf("%s: %d lines, %v", name, len(a.lines), err)
		case c.want != "" && (err == nil || len(a.lines) > 0 || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The person whom root acts for may have a list of their own; nobody else's counts.
func TestOwnersOfAllowedSigners(t *testing.T) {
	noAgent(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root: it gives files away")
	}
	const person, stranger = 1000, 1001
	for _, c := range []struct {
		list, folder int
		want         bool
	}{{0, 0, true}, {person, 0, true}, {person, person, true}, {stranger, 0, false}, {0, stranger, false}} {
		dir, list := place(t)
		if err := os.Chown(list, c.list, -1); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, c.folder, -1); err != nil {
			t.Fatal(err)
		}
		_, err := ReadAllowedSigners(list, person)
		if (err == nil) != c.want || err != nil && !strings.Contains(err.Error(), "belongs to somebody else") {
			t.Errorf("list of %d in a folder of %d: %v", c.list, c.folder, err)
		}
	}
}
