package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"golang.org/x/sys/unix"

	"blast.example/blast/config/block"
	"blast.example/blast/config/expression"
)

// File reads and parses the file at path; name stands for it in places. It
// returns the source, if it could be read, even if it could not be parsed, and
// no body unless all of it can be trusted.
func File(name, path string) (*hcl.File, *hclsyntax.Body, hcl.Diagnostics) {
	at := hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
	src, err := Read(path)
	switch {
	case errors.Is(err, errNotRegular):
		return nil, nil, hcl.Diagnostics{block.Errorf(at, "File can't be read", "%v. Put the file itself there: what protects it in the sandbox would protect only the link.", err)}
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, hcl.Diagnostics{block.Errorf(at, "File can't be read", "There is no file %s. Check the path.", path)}
	case err != nil:
		return nil, nil, hcl.Diagnostics{block.Errorf(at, "File can't be read", "%v.", err)}
	}
	return Text(name, src)
}

// Text is File of what is no file.
func Text(name string, src []byte) (*hcl.File, *hclsyntax.Body, hcl.Diagnostics) {
	simple := plain(src)
	if diags := guard(src, name, simple); diags.HasErrors() {
		return &hcl.File{Bytes: src}, nil, diags
	}
	// CRLF is LF, in heredocs too; lines and columns stay.
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	if simple {
		if body, literal := quick(name, src); body != nil {
			f := &hcl.File{Body: body, Bytes: src}
			if !literal {
				expression.Meter(f)
			}
			return f, body, nil
		}
	}
	return parse(name, src)
}

func parse(name string, src []byte) (*hcl.File, *hclsyntax.Body, hcl.Diagnostics) {
	f, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	trusted := true
	for _, d := range diags {
		if d.Summary == "Attribute redefined" { // the first counts: no reason to stop
			d.Summary = "Duplicate definition"
		} else if d.Severity == hcl.DiagError {
			trusted = false
		}
	}
	body, _ := f.Body.(*hclsyntax.Body)
	if !trusted || body == nil {
		return f, nil, diags
	}
	expression.Meter(f)
	return f, body, diags
}

// Expression parses the text of one expression, such as a value of --var.
func Expression(name, text string) (hcl.Expression, hcl.Diagnostics) {
	if diags := Guard([]byte(text), name); diags.HasErrors() {
		return nil, diags
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), name, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	return expr, nil
}

// errNotRegular is a file that can't be read as text: a folder, a link, a FIFO.
var errNotRegular = errors.New("not a regular file")

// Read reads a regular file that is no symbolic link. Of one that is longer than
// a source may be it returns one byte too many, which Guard refuses.
func Read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0) // a FIFO would wait for a writer
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link and %w", path, errNotRegular)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is %w", path, errNotRegular)
	}
	return io.ReadAll(io.LimitReader(f, maxSource+1))
}
