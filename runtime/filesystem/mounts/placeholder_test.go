//go:build linux

package mounts_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"blast.example/blast/runtime/filesystem"
)

// tree lists the project, as a person sees it.
func (w *world) project(t testing.TB) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(w.env.Project, func(p string, d os.DirEntry, err error) error {
		if d != nil && d.Name() == ".blast" {
			return filepath.SkipDir
		}
		all = append(all, strings.TrimPrefix(p, w.env.Project))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What is protected while it is absent gets a placeholder of the person's, which goes with
// the environment, unless somebody made something of it.
func TestPlaceholders(t *testing.T) {
	for name, c := range map[string]struct {
		script string   // what the person does while it is up
		left   []string // what is there after, beside what was before
	}{
		"untouched":      {"true", nil},
		"used":           {"echo x >.env; mkdir .git/hooks/d", []string{"/.env", "/.git", "/.git/hooks", "/.git/hooks/d"}},
		"made anew":      {"rm .env; : >.env", []string{"/.env"}},
		"replaced":       {": >n; mv n .env", []string{"/.env"}},
		"removed":        {"rm -r .env .git", nil},
		"moved":          {"mv .git git", []string{"/git", "/git/commondir", "/git/config", "/git/hooks"}},
		"written":        {"echo ../elsewhere >.git/commondir", []string{"/.git", "/.git/commondir"}},
		"written alike":  {"echo .. >.git/commondir", []string{"/.git", "/.git/commondir"}}, // of the same length
		"emptied":        {": >.git/commondir", []string{"/.git", "/.git/commondir"}},
		"same in a new":  {"rm .git/commondir; echo ./ >.git/commondir", []string{"/.git", "/.git/commondir"}},
		"grown":          {"echo >>.git/commondir", []string{"/.git", "/.git/commondir"}},
		"linked":         {"ln .env e", []string{"/.env", "/e"}},
		"other in there": {": >.git/HEAD", []string{"/.git", "/.git/HEAD"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, map[string]string{"blast.hcl": "#\n"})
			before := w.project(t)
			w.start(t, box1)
			a := w.usual(box1)
			w.create(t, a)
			for p, mode := range map[string]string{".env": "-rw-r--r--", ".git/config": "-rw-r--r--", ".git/commondir": "-rw-r--r--", ".git/hooks": "drwxr-xr-x", ".git": "drwxr-xr-x"} {
				fi, err := os.Lstat(w.path(p))
				if err != nil || owner(fi) != [2]uint32{person, person} || fi.Mode().String() != mode {
					t.Errorf("%s: %v %v", p, fi, err)
				}
			}
			if b, err := os.ReadFile(w.path(".git/commondir")); err != nil || string(b) != "./\n" {
				t.Errorf("%q %v", b, err)
			}
			if fi, err := os.Stat(filepath.Join(w.env.Dir, "placeholders.json")); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", fi, err)
			}
			w.shell(t, c.script)
			w.commit(t, w.apply(t, &a, nil))
			if _, err := os.Lstat(w.path(".git")); err != nil && name == "untouched" {
				t.Error("a placeholder goes while somebody may have its folder open")
			}
			w.end(t, box1)
			w.sync(t)
			want := slices.Concat(before, c.left)
			slices.Sort(want)
			got := w.project(t)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("there is %q, want %q", got, want)
			}
			w.nothingLeft(t)
		})
	}
}

// The list of a process that died, or had no room, while it wrote the list goes, too,
// whether there is one or not.
func TestPlaceholderListIsBegun(t *testing.T) {
	for _, made := range []bool{true, false} {
		w := newWorld(t, map[string]string{"blast.hcl": "#\n"})
		if made {
			w.start(t, box1)
			a := w.usual(box1)
			w.create(t, a)
			defer w.end(t, box1)
		}
		draft := filepath.Join(w.env.Dir, "placeholders.json.new")
		if err := os.WriteFile(draft, []byte("["), 0o600); err != nil {
			t.Fatal(err)
		}
		if w.sync(t); made {
			a := w.usual(box1)
			w.commit(t, w.apply(t, &a, &a))
		}
		if _, err := os.Lstat(draft); err == nil {
			t.Errorf("made: %t: %s is left", made, draft)
		}
	}
}

// A path that a line opens loses its placeholder at once, and no other does.
func TestPlaceholderOpened(t *testing.T) {
	w := newWorld(t, map[string]string{"blast.hcl": "#\n"})
	w.start(t, box1)
	a := w.usual(box1)
	w.create(t, a)
	b := w.usual(box1)
	b.Mounts = slices.DeleteFunc(b.Mounts, func(m filesystem.Mount) bool { return m.Target == "/workspace/.git/hooks" })
	w.commit(t, w.apply(t, &a, &b))
	if _, err := os.Lstat(w.path(".git/hooks")); err == nil {
		t.Error(".git/hooks is still there")
	}
	if _, err := os.Lstat(w.path(".git/config")); err != nil {
		t.Error(err)
	}
	w.must(t, box1, "mkdir /workspace/.git/hooks")
}
