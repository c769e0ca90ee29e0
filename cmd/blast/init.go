package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"blast.example/blast/config"
	"blast.example/blast/runtime/network/hostname"
	"blast.example/blast/runtime/packages/pep508"
	"blast.example/blast/runtime/process/session"
)

type initCmd struct {
	Index string `placeholder:"URL" default:"https://pypi.org/simple" help:"Package index (PEP 503) to install from."`
}

// found is what init sees in a project.
type found struct {
	manifest string
	packages int
	hosts    []mention
}

// mention is a host that the code names.
type mention struct {
	host, port, place string
}

// Run writes a first blast.hcl: the network closed at run time, the workspace
// writable, secrets hidden.
func (cmd *initCmd) Run(u *ui) error {
	if _, err := os.Lstat("blast.hcl"); err == nil {
		return errors.New("blast.hcl is here already; nothing was changed")
	}
	hosts, port, err := indexHosts(cmd.Index)
	if err != nil {
		return err
	}
	f := look()
	text := template(f, cmd.Index, hosts, port)
	if err := create("blast.hcl", text); err != nil {
		return err
	}
	ignored, err := ignore()
	if err != nil {
		return err
	}
	what := "No requirements.txt or pyproject.toml"
	if f.manifest != "" {
		what = fmt.Sprintf("Found %s (%s)", f.manifest, plural(f.packages, "package"))
	}
	line := fmt.Sprintf("%s. Wrote blast.hcl (%d lines)", what, strings.Count(text, "\n"))
	if ignored {
		line += ", added .blast/ to .gitignore"
	}
	out := line + ".\nThe network is closed at run time and .env is hidden."
	for _, m := range f.hosts {
		out += fmt.Sprintf(" %s names %s: left as a commented rule.", m.place, m.host)
	}
	return printAll(u.out, []byte(out+"\nNext: blast plan\n"))
}

// create writes a new file as the person's own, also under sudo.
func create(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if uid, gid := session.Person(); err == nil && uid != os.Geteuid() {
		err = f.Chown(uid, gid)
	}
	return errors.Join(err, f.Close())
}

// ignore adds .blast/ to .gitignore and reports whether it had to. Of what is no
// plain file of the project it keeps its hands off.
func ignore() (bool, error) {
	b, err := readPlain(".gitignore")
	if errors.Is(err, fs.ErrNotExist) {
		return true, create(".gitignore", ".blast/\n")
	}
	if err != nil {
		return false, nil // a link, a pipe: whoever made it knows
	}
	for line := range strings.Lines(string(b)) {
		if l := strings.Trim(strings.TrimSpace(line), "/"); l == ".blast" {
			return false, nil
		}
	}
	f, err := os.OpenFile(".gitignore", os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) { // exchanged since
		return false, nil
	}
	if err != nil {
		return false, err
	}
	text := ".blast/\n"
	if len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
		text = "\n" + text
	}
	_, err = f.WriteString(text)
	return true, errors.Join(err, f.Close())
}

// maxPlain bounds what init reads of a file.
const maxPlain = 4 << 20

// readPlain reads a regular file of this folder, also through links that stay in
// it: whose project this is has yet to be seen.
func readPlain(name string) ([]byte, error) {
	root, err := os.OpenRoot(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", name)
	}
	return io.ReadAll(io.LimitReader(f, maxPlain))
}

func indexHosts(index string) (hosts []string, port string, err error) {
	x, err := url.Parse(index)
	if err != nil || x.Hostname() == "" || x.Scheme != "http" && x.Scheme != "https" {
		return nil, "", fmt.Errorf("--index %q is not a URL such as https://pypi.org/simple", index)
	}
	if port = x.Port(); port == "" {
		port = map[string]string{"http": "80", "https": "443"}[x.Scheme]
	}
	if hosts = []string{x.Hostname()}; hosts[0] == "pypi.org" {
		hosts = append(hosts, "files.pythonhosted.org")
	}
	return hosts, port, nil
}

// look reads the project: its manifest, and which hosts its own code names.
func look() found {
	var f found
	for _, name := range []string{"requirements.txt", "pyproject.toml"} {
		b, err := readPlain(name)
		if err != nil {
			continue
		}
		f.manifest = name
		f.packages = countPackages(name, b)
		break
	}
	names, _ := filepath.Glob("*.py")
	names = slices.DeleteFunc(names, func(n string) bool { return strings.ContainsFunc(n, unprintable) }) // it is written into blast.hcl
	slices.Sort(names)
	for _, name := range names {
		f.hosts = append(f.hosts, mentions(name)...)
	}
	seen := map[string]bool{}
	f.hosts = slices.DeleteFunc(f.hosts, func(m mention) bool {
		dup := seen[m.host+m.port]
		seen[m.host+m.port] = true
		return dup
	})
	return f
}

var urlInCode = regexp.MustCompile(`(https?)://([A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,})(?::([0-9]{1,5}))?`)

func mentions(name string) []mention {
	b, err := readPlain(name)
	if err != nil {
		return nil
	}
	var out []mention
	sc := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; sc.Scan(); n++ {
		for _, m := range urlInCode.FindAllStringSubmatch(sc.Text(), -1) {
			port := m[3]
			if port == "" {
				port = map[string]string{"http": "80", "https": "443"}[m[1]]
			}
			out = append(out, mention{strings.ToLower(m[2]), port, fmt.Sprintf("%s:%d", name, n)})
		}
	}
	return out
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

func template(f found, index string, hosts []string, port string) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("# What this project may do when it runs. `blast plan` shows what a change would do.")
	p("python {")
	if f.manifest != "" {
		p("  manifest = %q", f.manifest)
	}
	p("  index    = [%q]", index)
	p("}\n")
	p("filesystem {")
	p("  workspace {")
	p("    source = \".\"")
	p("    access = \"rw\"")
	p("  }")
	p("}\n")
	p("network {")
	p("  default = \"deny\"\n")
	p("  egress \"registry\" {")
	if isAddress(hosts[0]) {
		p("    cidrs  = [%q]", hosts[0]+"/32")
	} else {
		p("    domains = [\"%s\"]", strings.Join(hosts, `", "`))
	}
	p("    ports   = [%s]", port)
	p("    during  = [\"apply\"]")
	p("    reason  = \"package install\"")
	p("  }")
	for _, m := range f.hosts {
		p("\n  # %s names this host:", m.place)
		p("  # egress %q {", hostname.Label(m.host))
		p("  #   domains = [%q]", m.host)
		p("  #   ports   = [%s]", m.port)
		p("  # }")
	}
	p("}\n")
	p("resource {")
	p("  cpu {\n    max = 2\n  }")
	p("  memory {\n    max = \"2GiB\"\n  }")
	p("  pids {\n    max = 512\n  }")
	p("}")
	return formatted(b.String())
}

func formatted(s string) string { return string(config.Format([]byte(s))) }

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// countPackages counts the requirements of a manifest.
func countPackages(name string, b []byte) int {
	if name == "requirements.txt" {
		lines, _ := pep508.ParseRequirementsTxt(name, b)
		return len(lines)
	}
	p, err := pep508.ParsePyproject(b)
	if err != nil {
		return 0
	}
	return len(p.Dependencies)
}

// plural writes a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
