package functions

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"golang.org/x/sys/unix"

	"blast.example/blast/config/expression"
)

// maxFile bounds what file reads.
const maxFile = expression.MaxWeight - 1

func pathParam() []function.Parameter {
	return []function.Parameter{{Name: "path", Type: cty.String, AllowMarked: true}}
}

func fileFunc(project string, note func(string)) function.Function {
	return function.New(&function.Spec{
		Description: "The text of a file of the project, UTF-8, at most 256 KiB.",
		Params:      pathParam(),
		Type:        function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if args[0].IsMarked() {
				return cty.UnknownVal(cty.String), function.NewArgError(0, errSensitivePath)
			}
			note(filepath.Join(project, within(project, args[0].AsString())))
			s, err := read(project, args[0].AsString())
			if err != nil {
				return cty.UnknownVal(cty.String), function.NewArgError(0, err)
			}
			return cty.StringVal(s), nil
		},
	})
}

// read reads a file below the project. No name and no link leads out of it: a
// blast.hcl from somewhere else must not be able to read ~/.ssh into a sandbox.
func read(project, name string) (string, error) {
	root, err := os.OpenRoot(project)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	f, err := root.OpenFile(within(project, name), os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO would wait for a writer
	if err != nil {
		return "", explain(name, err)
	}
	defer func() { _ = f.Close() }()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxFile:
		return "", fmt.Errorf("%s is larger than 256 KiB", name)
	case !utf8.Valid(b):
		return "", fmt.Errorf("%s is not UTF-8 text", name)
	}
	return string(b), nil
}

// within makes "${path.module}/x" relative to the project again.
func within(project, name string) string {
	if rest, ok := strings.CutPrefix(name, strings.TrimSuffix(project, "/")+"/"); ok {
		return rest
	}
	return name
}

func explain(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file %s in the project", name)
	}
	return fmt.Errorf("%w; only files of the project can be read", err)
}

func fileExistsFunc(project string, note func(string)) function.Function {
	return function.New(&function.Spec{
		Description: "Whether a file of the project exists.",
		Params:      pathParam(),
		Type:        function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if args[0].IsMarked() {
				return cty.UnknownVal(cty.Bool), function.NewArgError(0, errSensitivePath)
			}
			note(filepath.Join(project, within(project, args[0].AsString())))
			root, err := os.OpenRoot(project)
			if err != nil {
				return cty.UnknownVal(cty.Bool), err
			}
			defer func() { _ = root.Close() }()
			fi, err := root.Stat(within(project, args[0].AsString()))
			if errors.Is(err, fs.ErrNotExist) {
				return cty.False, nil
			}
			if err != nil {
				return cty.UnknownVal(cty.Bool), function.NewArgError(0, explain(args[0].AsString(), err))
			}
			return cty.BoolVal(fi.Mode().IsRegular()), nil
		},
	})
}

func envFunc(environ []string) function.Function {
	return function.New(&function.Spec{
		Description: "The value of a variable of the caller's environment, or the second argument if it isn't set.",
		Params:      []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam:    &function.Parameter{Name: "default", Type: cty.String},
		Type:        function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if len(args) > 2 {
				return cty.UnknownVal(cty.String), errors.New("env takes a name and at most one default")
			}
			for _, e := range environ {
				if name, value, _ := strings.Cut(e, "="); name == args[0].AsString() {
					return cty.StringVal(strings.ToValidUTF8(value, "\ufffd")), nil
				}
			}
			if len(args) == 2 {
				return args[1], nil
			}
			return cty.UnknownVal(cty.String), function.NewArgErrorf(0, "the variable %s is not set; give a default: env(%q, \"\")", args[0].AsString(), args[0].AsString())
		},
	})
}
