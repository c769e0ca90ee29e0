package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A lab is where cases are played, each in a folder of its own.
type lab struct {
	bin, root string
	n         int
}

// A scene is one case, for each of the two.
type scene struct {
	title   string
	ownDisk bool // the project lies on a small disk of its own
	tofu    func(*tofu) error
	blast   func(*sandbox) error
}

func (l *lab) stage(c scene) (dir string, d *disk, err error) {
	l.n++
	dir = filepath.Join(l.root, fmt.Sprintf("%02d", l.n))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", nil, err
	}
	if c.ownDisk {
		d, err = newDisk(dir)
	}
	return dir, d, err
}

func (l *lab) onTofu(c scene) (journal, error) {
	dir, d, err := l.stage(c)
	if err != nil {
		return journal{}, err
	}
	t, err := newTofu(l.bin, dir, d)
	if err == nil {
		err = c.tofu(t)
	}
	if d != nil {
		err = errors.Join(err, d.close())
	}
	if err != nil {
		return journal{}, err
	}
	return *t.journal, nil
}

func (l *lab) onBlast(c scene) (journal, error) {
	dir, d, err := l.stage(c)
	if err != nil {
		return journal{}, err
	}
	s, err := newSandbox(l.bin, dir, d)
	if err == nil {
		err = errors.Join(c.blast(s), s.close())
	}
	if d != nil {
		err = errors.Join(err, d.close())
	}
	if err != nil {
		return journal{}, err
	}
	return *s.journal, nil
}

// versions say what was compared, and where.
func (l *lab) versions() ([]string, error) {
	ask := exec.Command(filepath.Join(l.bin, "tofu"), "version")
	ask.Env = []string{"HOME=" + l.root, "CHECKPOINT_DISABLE=1"}
	tofu, err := ask.Output()
	if err != nil {
		return nil, fmt.Errorf("tofu: %w (`make compare` builds it)", err)
	}
	blast, err := exec.Command(filepath.Join(l.bin, "blast"), "version").Output()
	if err != nil {
		return nil, fmt.Errorf("blast: %w", err)
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, err
	}
	first := func(b []byte) string { s, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n"); return s }
	return []string{first(tofu) + ", local backend", first(blast), "Linux " + unix.ByteSliceToString(u.Release[:])}, nil
}
