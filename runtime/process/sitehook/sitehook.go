// Package sitehook is Blast's own hook in the Pythons of a sandbox, by which a refusal is
// explained in the traceback of the program that met it, and Blast learns which line of
// the program that was. See src, and package where for the other end.
//
// It is found by PYTHONPATH, in front of a person's own, lies where nobody inside can
// write, and gives way to a sitecustomize of the person's. It guards nothing: a program
// may switch it off, and what it says about itself is only said.
package sitehook

import (
	"embed"
	"fmt"
	"io/fs"
	"path"

	"blast.example/blast/runtime/inside"
	"blast.example/blast/state"
)

//go:embed src/*.py
var sources embed.FS

// folder is its place among what the sandbox sees.
const folder = "python"

// Variable is the one of a command that leads Python to the hook; see python(1).
const Variable = "PYTHONPATH"

// Lead is what Variable has to be, where it would be this without the hook.
func Lead(without string) string {
	dir := path.Join(inside.Dir, folder)
	if without == "" {
		return dir
	}
	return dir + ":" + without
}

// Install puts the hook where the environment's sandbox finds it, and returns the folder
// that the sandbox is to see.
func Install(env state.Env) (string, error) {
	names, err := fs.Glob(sources, "src/*.py")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		b, err := sources.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := inside.Write(env, path.Join(folder, path.Base(name)), b); err != nil {
			return "", fmt.Errorf("install the hook in Python: %w", err)
		}
	}
	return inside.Make(env)
}

// Remove removes it, and the folder that is shown if nothing else is in it.
func Remove(env state.Env) error { return inside.Remove(env, folder) }
