package state_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"blast.example/blast/state"
)

func TestKeyIsKept(t *testing.T) {
	env := newEnv(t)
	if key, err := env.Key(); key != nil || err != nil {
		t.Fatalf("before: %x, %v", key, err)
	}
	a, b := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	for range 2 {
		if err := env.KeepKey(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := env.KeepKey(b); !errors.Is(err, state.ErrOtherKey) {
		t.Errorf("another key: %v", err)
	}
	if key, err := env.Key(); !bytes.Equal(key, a) || err != nil {
		t.Errorf("after: %x, %v", key, err)
	}
	if fi, err := os.Stat(filepath.Join(env.Dir, "secrets.key")); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	if err := env.Forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(env.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it outlives the environment: %v", err)
	}
}

// A key that isn't ours alone would make hashes that somebody could read.
func TestKeyOfOthersIsRefused(t *testing.T) {
	for what, swap := range map[string]func(path string) error{
		"short":              func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) },
		"empty":              func(p string) error { return os.Truncate(p, 0) },
		"writable by others": func(p string) error { return os.Chmod(p, 0o622) },
		"readable by others": func(p string) error { return os.Chmod(p, 0o604) },
		"another's":          func(p string) error { return os.Chown(p, 12345, 12345) },
		"a link": func(p string) error {
			return errors.Join(os.Rename(p, p+"2"), os.Symlink(p+"2", p))
		},
		"a pipe": func(p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o600)) },
	} {
		env := newEnv(t)
		if err := env.KeepKey(bytes.Repeat([]byte{1}, 32)); err != nil {
			t.Fatal(err)
		}
		if err := swap(filepath.Join(env.Dir, "secrets.key")); err != nil {
			t.Fatal(err)
		}
		if key, err := env.Key(); err == nil {
			t.Errorf("%s: %x", what, key)
		}
		if err := env.KeepKey(bytes.Repeat([]byte{2}, 32)); err == nil {
			t.Errorf("%s: replaced", what)
		}
	}
}
