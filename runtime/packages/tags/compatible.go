package tags

import "fmt"

// Python is a CPython 3.
type Python struct {
	Major, Minor int
	FreeThreaded bool // built without the global lock: 3.13t
}

// Glibc is the version of the C library.
type Glibc struct{ Major, Minor int }

// Compatible returns every tag that the interpreter can use on Linux with this
// C library and machine (x86_64, aarch64, ...), best first: its own ABI before
// the stable one, new platforms before old ones, compiled before pure.
func Compatible(python Python, glibc Glibc, arch string) []Tag {
	own := fmt.Sprintf("cp%d%d", python.Major, python.Minor)
	platforms := linuxPlatforms(glibc, arch)
	var out []Tag
	add := func(python, abi string) {
		for _, p := range platforms {
			out = append(out, Tag{python, abi, p})
		}
	}
	add(own, own+abiSuffix(python))
	if stable := !python.FreeThreaded && python.Minor >= firstStable; stable {
		add(own, "abi3")
	}
	add(own, "none")
	if !python.FreeThreaded {
		for minor := python.Minor - 1; minor >= firstStable; minor-- {
			add(fmt.Sprintf("cp%d%d", python.Major, minor), "abi3")
		}
	}
	generic := genericPythons(python)
	for _, p := range generic {
		add(p, "none")
	}
	out = append(out, Tag{own, "none", "any"})
	for _, p := range generic {
		out = append(out, Tag{p, "none", "any"})
	}
	return out
}

// firstStable is the 3.x that brought the stable ABI (PEP 384).
const firstStable = 2

func abiSuffix(p Python) string {
	switch {
	case p.FreeThreaded:
		return "t"
	case p.Minor < 8: // with pymalloc; a flag until 3.8
		return "m"
	}
	return ""
}

// genericPythons are py311, py3, py310, ... py30.
func genericPythons(p Python) []string {
	out := []string{fmt.Sprintf("py%d%d", p.Major, p.Minor), fmt.Sprintf("py%d", p.Major)}
	for minor := p.Minor - 1; minor >= 0; minor-- {
		out = append(out, fmt.Sprintf("py%d%d", p.Major, minor))
	}
	return out
}

// legacy are the names of platforms before PEP 600, by glibc 2.x.
var legacy = map[int]string{17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}

// linuxPlatforms are the manylinux platforms from the C library's own version
// down to the oldest that was defined for the machine, then plain linux.
func linuxPlatforms(glibc Glibc, arch string) []string {
	oldest := 17
	if arch == "x86_64" || arch == "i686" {
		oldest = 5
	}
	var out []string
	if glibc.Major == 2 {
		for minor := glibc.Minor; minor >= oldest; minor-- {
			out = append(out, fmt.Sprintf("manylinux_2_%d_%s", minor, arch))
			if name, ok := legacy[minor]; ok {
				out = append(out, name+"_"+arch)
			}
		}
	}
	return append(out, "linux_"+arch)
}
