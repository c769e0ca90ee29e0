package session

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"blast.example/blast/runtime/process/command"
	"blast.example/blast/runtime/process/sitehook"
	"blast.example/blast/state"
)

// treeAddr is filesystem.TreeAddr, whose words are too heavy here: see policyAddr.
const treeAddr = "filesystem.tree"

// passedOn are the variables of the caller that every command gets: they say
// what the terminal and the language are. Nothing else is, as a shell's
// variables hold secrets.
var passedOn = []string{"TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "NO_COLOR", "FORCE_COLOR"}

// commandEnv is what the command starts with: the environment's own variables
// win over what the caller's terminal says, secrets over those, and --set-env over
// all. Each secret that has no value is an error.
func commandEnv(d command.Defaults, env state.Env, setEnv []string) (all []string, missing []error) {
	out := map[string]string{}
	for _, name := range passedOn {
		if v, ok := os.LookupEnv(name); ok {
			out[name] = v
		}
	}
	maps.Copy(out, d.Vars)
	byHand := given(setEnv)
	for _, ref := range d.Secrets {
		if _, ok := byHand[ref.Name]; ok {
			continue
		}
		v, err := ref.Value(env)
		if err != nil {
			missing = append(missing, err) // has none of a value in it
			continue
		}
		out[ref.Name] = v.Reveal()
	}
	maps.Copy(out, byHand)
	out[sitehook.Variable] = sitehook.Lead(out[sitehook.Variable])
	for _, name := range slices.Sorted(maps.Keys(out)) {
		all = append(all, name+"="+out[name])
	}
	return all, missing
}

// given are the variables of --set-env. One to pass on that isn't set is none.
func given(setEnv []string) map[string]string {
	out := map[string]string{}
	for _, s := range setEnv {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			value, ok = os.LookupEnv(name)
		}
		if ok {
			out[name] = value
		}
	}
	return out
}

// insideDir maps the caller's working folder to its place in the sandbox.
func insideDir(st state.State, project, fallback string) string {
	wd, err := os.Getwd()
	if err == nil {
		wd, err = filepath.EvalSymlinks(wd)
	}
	if err != nil {
		return fallback
	}
	best, dir := "", fallback
	for _, o := range st.Objects {
		var tree struct {
			Project string
			Mounts  []struct{ Type, Source, Target string }
		}
		if o.Addr != treeAddr || o.Decode(&tree) != nil {
			continue
		}
		for _, m := range tree.Mounts {
			source := m.Source
			if rest, ok := strings.CutPrefix(source+"/", tree.Project+"/"); ok && tree.Project != "" { // see filesystem.Moved
				source = filepath.Join(project, rest)
			}
			if m.Type != "bind" || len(source) <= len(best) {
				continue
			}
			if rel, err := filepath.Rel(source, wd); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
				best, dir = source, filepath.Join(m.Target, rel)
			}
		}
	}
	return dir
}
