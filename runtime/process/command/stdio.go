//go:build linux

package command

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// stdio is how the three standard files of a command come about.
type stdio struct {
	files     [3]*os.File // the caller's, or /dev/null
	terminals byte        // which of them are terminals: see wire.Command
	passed    []*os.File  // the others
	null      *os.File    // ours to close
}

func openStdio(req Request) (*stdio, error) {
	s := &stdio{files: [3]*os.File{req.Stdin, req.Stdout, req.Stderr}}
	for i, f := range s.files {
		if f == nil {
			if err := s.openNull(); err != nil {
				return nil, err
			}
			f = s.null
			s.files[i] = f
		}
		if isTerminal(f) {
			s.terminals |= 1 << i
			continue
		}
		// Init refuses it, too: from a folder the whole host can be reached.
		if st, err := f.Stat(); err != nil || st.IsDir() {
			s.close()
			return nil, fmt.Errorf("%s is a folder or not open; a sandbox gets no such descriptor", [3]string{"stdin", "stdout", "stderr"}[i])
		}
		s.passed = append(s.passed, f)
	}
	return s, nil
}

func (s *stdio) openNull() (err error) {
	if s.null == nil {
		s.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0)
	}
	return err
}

func (s *stdio) close() {
	if s.null != nil {
		_ = s.null.Close()
	}
}

// is reports whether the i-th file is a terminal.
func (s *stdio) is(i int) bool { return s.terminals&(1<<i) != 0 }

// output is the terminal that the command's own terminal is shown on.
func (s *stdio) output() *os.File {
	for _, i := range []int{1, 2, 0} {
		if s.is(i) {
			return s.files[i]
		}
	}
	return nil
}

func (s *stdio) size() (*unix.Winsize, error) {
	out := s.output()
	if out == nil {
		return nil, unix.ENOTTY
	}
	return unix.IoctlGetWinsize(int(out.Fd()), unix.TIOCGWINSZ)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
