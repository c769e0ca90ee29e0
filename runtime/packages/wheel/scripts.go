package wheel

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// maxShebang is the longest first line that every Linux kernel reads whole
// (BINPRM_BUF_SIZE was 128 until 5.1; the last byte ends it).
const maxShebang = 127

// shebang is the first line of a Python script. Where the kernel would cut the
// line off or split it at a space, /bin/sh starts the interpreter: to it the
// second line is an exec, to Python it is half of a string that ends below.
func shebang(interpreter string) string {
	if line := "#!" + interpreter; len(line) < maxShebang && !strings.ContainsAny(interpreter, " \t") {
		return line + "\n"
	}
	return "#!/bin/sh\n'''exec' " + quoteShell(interpreter) + " \"$0\" \"$@\"\n' '''\n"
}

func quoteShell(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(s) + `"`
}

// newShebang returns a script with "#!python", which stands for the interpreter
// of the environment (PEP 427), made true. Others stay as they are.
func newShebang(script io.Reader, interpreter string) io.Reader {
	r := bufio.NewReaderSize(script, 4096)
	head, _ := r.Peek(len("#!python")) // an error comes again on reading
	if !bytes.Equal(head, []byte("#!python")) {
		return r
	}
	// The rest of the line, such as "w" or arguments, is for other systems.
	for {
		_, err := r.ReadSlice('\n')
		if err == nil {
			return io.MultiReader(strings.NewReader(shebang(interpreter)), r)
		}
		if err != bufio.ErrBufferFull { //nolint:errorlint // ReadSlice returns it bare
			return io.MultiReader(strings.NewReader(shebang(interpreter)), failing{err})
		}
	}
}

// failing gives back an error that came while looking ahead.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// launcher is the script that calls an entry point's function and exits with
// what it returns.
func launcher(interpreter string, ep entryPoint) []byte {
	first, _, _ := strings.Cut(ep.attr, ".")
	return fmt.Appendf(nil, `%s# -*- coding: utf-8 -*-
import sys

from %s import %s

if __name__ == "__main__":
    sys.exit(%s())
`, shebang(interpreter), ep.module, first, ep.attr)
}
