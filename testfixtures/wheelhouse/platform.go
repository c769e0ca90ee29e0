package wheelhouse

import (
	"bytes"
	"debug/elf"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// platform is what the compiled files of a project ask of a machine.
type platform struct {
	compiled, stable int // files; of these for the stable ABI
	arch             string
	glibc            int // 2.x
	needs            []string
}

// libc are the libraries that a manylinux wheel may count on.
var libc = regexp.MustCompile(`^(libc|libm|libpthread|libdl|librt|libutil|libgcc_s|libstdc\+\+|ld-linux[\w-]*)\.so\.`)

var machines = map[elf.Machine]string{
	elf.EM_X86_64: "x86_64", elf.EM_AARCH64: "aarch64", elf.EM_386: "i686",
	elf.EM_PPC64: "ppc64le", elf.EM_S390: "s390x", elf.EM_RISCV: "riscv64",
}

// add reads a shared object. Other files are left alone.
func (p *platform) add(name string, data []byte) error {
	if !strings.HasSuffix(name, ".so") && !strings.Contains(name, ".so.") {
		return nil
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	p.compiled++
	if strings.Contains(name, ".abi3.") {
		p.stable++
	}
	p.arch = machines[f.Machine]
	symbols, err := f.ImportedSymbols()
	if err != nil {
		return fmt.Errorf("read symbols of %s: %w", name, err)
	}
	for _, s := range symbols {
		var minor int
		if _, err := fmt.Sscanf(s.Version, "GLIBC_2.%d", &minor); err == nil {
			p.glibc = max(p.glibc, minor)
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read libraries of %s: %w", name, err)
	}
	for _, l := range libraries {
		if !libc.MatchString(l) && !slices.Contains(p.needs, l) {
			p.needs = append(p.needs, l)
		}
	}
	slices.Sort(p.needs)
	return nil
}

// tag returns the wheel's tag for a Python, "3.11".
func (p *platform) tag(python string) string {
	if p.compiled == 0 {
		return "py3-none-any"
	}
	cp := "cp" + strings.ReplaceAll(python, ".", "")
	abi := cp
	if p.stable == p.compiled {
		abi = "abi3"
	}
	return fmt.Sprintf("%s-%s-manylinux_2_%d_%s", cp, abi, max(p.glibc, 17), p.arch)
}
