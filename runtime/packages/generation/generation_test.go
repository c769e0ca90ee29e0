//go:build linux

package generation_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"blast.example/blast/testfixtures/conformance"
)

func ownerOf(fi os.FileInfo) [2]uint32 {
	st := fi.Sys().(*syscall.Stat_t)
	return [2]uint32{st.Uid, st.Gid}
}

func do(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestConformance(t *testing.T) {
	w := newWorld(t)
	one := w.pin(t, hello)
	conformance.Run(t, conformance.Case{
		Host: w.host, Env: w.env,
		A:      object(w.set("a = 1\n", one, w.pin(t, greeting))),
		B:      object(w.set("b = 2\n", w.pin(t, hello2))),
		Kernel: func(t *testing.T) string { return w.onDisk(t) },
		Tamper: map[string]func(t *testing.T){
			"file removed": func(t *testing.T) { do(t, os.Remove(w.site("hello/words.py"))) },
			"file changed": func(t *testing.T) { do(t, os.WriteFile(w.site("hello/words.py"), []byte("word = 'bad'\n"), 0o444)) },
			"file added":   func(t *testing.T) { do(t, os.WriteFile(w.site("sitecustomize.py"), nil, 0o444)) },
			"folder added": func(t *testing.T) { do(t, os.Mkdir(w.site("hello/extra"), 0o755)) },
			"file made a link": func(t *testing.T) {
				do(t, os.Remove(w.site("greeting.py")), os.Symlink("hello/words.py", w.site("greeting.py")))
			},
			"folder writable":  func(t *testing.T) { do(t, os.Chmod(w.site("hello"), 0o777)) },
			"top writable":     func(t *testing.T) { do(t, os.Chmod(w.current("."), 0o777)) },
			"file made secret": func(t *testing.T) { do(t, os.Chmod(w.site("greeting.py"), 0o400)) },
			"file given away":  func(t *testing.T) { do(t, os.Chown(w.site("greeting.py"), 1000, 1000)) },
			"another python": func(t *testing.T) {
				do(t, os.Remove(w.current("bin/python")), os.Symlink("/bin/sh", w.current("bin/python")))
			},
			"no attributes": func(t *testing.T) { do(t, os.WriteFile(w.current(".blast.json"), []byte("{}"), 0o600)) },
			"attributes forged": func(t *testing.T) {
				b, err := os.ReadFile(w.current(".blast.json"))
				do(t, err, os.WriteFile(w.current(".blast.json"), bytes.Replace(b, []byte(`"lock_path":"pylock`), []byte(`"lock_path":"forged`), 1), 0o600))
			},
			"current elsewhere": func(t *testing.T) { do(t, os.Remove(w.current()), os.Symlink("/usr", w.current())) },
			"current a folder":  func(t *testing.T) { do(t, os.Remove(w.current()), os.MkdirAll(w.current("bin"), 0o755)) },
			"all gone":          func(t *testing.T) { do(t, os.RemoveAll(filepath.Join(w.env.Dir, "packages"))) },
			"lock file gone":    func(t *testing.T) { do(t, os.Remove(w.lockPath())) },
			"lock file changed": func(t *testing.T) { do(t, os.WriteFile(w.lockPath(), []byte("mine"), 0o644)) },
		},
	})
}
