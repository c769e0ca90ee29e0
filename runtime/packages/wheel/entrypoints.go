package wheel

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// entryPoint is a function that becomes a command (Entry Points page of the PyPA).
type entryPoint struct{ name, module, attr string }

// scriptGroups are the groups whose entry points become commands. On Linux a
// graphical one is a command like any other.
var scriptGroups = []string{"console_scripts", "gui_scripts"}

// object is "module:attribute", with extras that the installer has nothing to
// do with: they were resolved before.
var object = regexp.MustCompile(`^([\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)*)\s*:\s*([\pL_][\pL\pN_]*(?:\.[\pL_][\pL\pN_]*)*)\s*(?:\[[^\]]*\])?$`)

// launchers are the commands of entry_points.txt, sorted by name.
func (i *install) launchers() ([]entryPoint, error) {
	name := i.dist.info + "/entry_points.txt"
	b, _, err := i.archive.text(name)
	if err != nil {
		return nil, err
	}
	eps, err := parseEntryPoints(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return eps, nil
}

func parseEntryPoints(text string) ([]entryPoint, error) {
	var eps []entryPoint
	group := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' && line[len(line)-1] == ']' {
			group = strings.TrimSpace(line[1 : len(line)-1])
			continue
		}
		if !slices.Contains(scriptGroups, group) {
			continue // other groups have other rules
		}
		ep, err := parseEntryPoint(line)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(eps, func(o entryPoint) bool { return o.name == ep.name }) {
			return nil, fmt.Errorf("command %q is there twice", clip(ep.name))
		}
		eps = append(eps, ep)
	}
	slices.SortFunc(eps, func(a, b entryPoint) int { return strings.Compare(a.name, b.name) })
	return eps, nil
}

func parseEntryPoint(line string) (entryPoint, error) {
	name, value, ok := strings.Cut(line, "=")
	name = strings.TrimSpace(name)
	m := object.FindStringSubmatch(strings.TrimSpace(value))
	if !ok || m == nil {
		return entryPoint{}, fmt.Errorf("%q is not name = module:function", clip(line))
	}
	if err := checkName(name); err != nil || strings.Contains(name, "/") {
		return entryPoint{}, fmt.Errorf("%q can't name a command", clip(name))
	}
	return entryPoint{name, m[1], m[2]}, nil
}
