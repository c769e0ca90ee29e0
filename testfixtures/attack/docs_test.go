package attack

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"blast.example/blast/testfixtures/attack/flood"
	"blast.example/blast/testfixtures/attack/probes"
	"blast.example/blast/testfixtures/breakout/bombs"
	breakout "blast.example/blast/testfixtures/breakout/probes"
)

const page = "../../docs/ATTACKS.md"

// The table of attacks is written from the lists of them: UPDATE=1 writes it anew.
func TestAttacksAreListed(t *testing.T) {
	want := document()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(page, want, 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/ATTACKS.md is not what the lists of attacks say (%v): UPDATE=1 go test ./testfixtures/attack -run TestAttacksAreListed", err)
	}
}

// Names are what a result is found by.
func TestProbesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range probes.All() {
		if seen[p.Name] || p.What == "" || p.Category == "" || p.Try == nil == (p.Python == "") {
			t.Errorf("%q: its name is another's, or it lacks something", p.Name)
		}
		seen[p.Name] = true
	}
	for _, p := range breakout.All() {
		if seen[p.Name] || p.What == "" || p.Category == "" || p.Try == nil {
			t.Errorf("%q: its name is another's, or it lacks something", p.Name)
		}
		seen[p.Name] = true
	}
}

const preface = `# Attacks

What is tried on the network of a sandbox, by ` + "`go test -tags seccomp ./testfixtures/attack`" + ` (as root; part of ` + "`make test`" + `). This page is made
from the lists of attacks, and a test compares them. [threat-model.md](threat-model.md) says what holds against them.

The internet of the test is a namespace: a name server that answers everything at length, web servers for several names on one
address, cloud metadata, and a sink that has every other address and port. The host is another, with services on loopback and
three interfaces, and a tap on all of them. Each probe runs outside first, on that host, where it must get through, and its
token must be seen: that is its control. Then it runs in two real sandboxes, one of them as root with all capabilities
that can be granted, and must not get through: by its own account, by its token in whatever crossed any
interface or reached any server, and by what crossed at all: nothing but what a rule names, and no question with more in it
than an allowed name. A refusal takes less than 2 seconds.

`

func document() []byte {
	var b bytes.Buffer
	b.WriteString(preface)
	var categories []string
	by := map[string][]probes.Probe{}
	for _, p := range probes.All() {
		if by[p.Category] == nil {
			categories = append(categories, p.Category)
		}
		by[p.Category] = append(by[p.Category], p)
	}
	fmt.Fprintf(&b, "%d probes in %d categories, and %d floods.\n", len(probes.All()), len(categories), len(flood.Kinds()))
	for _, c := range categories {
		list := by[c]
		fmt.Fprintf(&b, "\n## %s (%d)\n\n", c, len(list))
		for _, p := range list {
			fmt.Fprintf(&b, "- `%s`: %s%s\n", p.Name, p.What, known(p))
		}
	}
	fmt.Fprintf(&b, "\n## Floods (%d)\n\nMeanwhile `blast status` answers, another sandbox gets its pages, and blastd's memory and threads are bounded; afterwards the same gets through again.\n\n", len(flood.Kinds()))
	for _, k := range flood.Kinds() {
		fmt.Fprintf(&b, "- `%s`: %s\n", k, flood.Floods()[k].What)
	}
	b.WriteString("\n## A tunnel\n\n1 MiB in names below a wildcard, each connected to. The far end counts the bytes: the budget of a wildcard lets 16 KiB through at once, and 1 KiB a minute.\n")
	hostDocument(&b)
	return b.Bytes()
}

const hostPreface = `
# Attacks on the host

What is tried from inside of a sandbox on all but its network, by ` + "`go test -tags seccomp ./testfixtures/breakout`" + ` (as root; part of ` + "`make test`" + `; on cgroup v2
and another kernel by ` + "`make test-vm`" + `).

On the host there are a secret in files, in the memory, environment, folder and descriptors of a process of root's, in /dev/shm; that process;
keys of System V; a terminal; a disk. Each probe runs on the host first, as root in namespaces that go with it: there it must
bring the secret home, or reach its goal. What the machine has nothing of (a kernel without modules, a root without CAP_SYS_RESOURCE) is
counted as absent and not as stopped. Then it runs in two real sandboxes, one of them as root with all capabilities that can be granted,
and must not. Afterwards the host's settings, files and processes are compared with what they were, and the next command is looked at.
A CVE is named where a probe is of its class.

`

// hostDocument is the second list: of attacks on the host.
func hostDocument(b *bytes.Buffer) {
	b.WriteString(hostPreface)
	all := breakout.All()
	fmt.Fprintf(b, "%d probes, and %d bombs.\n", len(all), len(bombs.All())+1)
	category := ""
	for _, p := range all {
		if p.Category != category {
			category = p.Category
			n := 0
			for _, q := range all {
				if q.Category == category {
					n++
				}
			}
			fmt.Fprintf(b, "\n## %s (%d)\n\n", category, n)
		}
		cve := ""
		if p.CVE != "" {
			cve = " (" + p.CVE + ")"
		}
		fmt.Fprintf(b, "- `%s`: %s%s%s\n", p.Name, p.What, cve, known(probes.Probe{Known: p.Known}))
	}
	fmt.Fprintf(b, "\n## Bombs (%d)\n\nEach goes off outside, up to a size, and in a sandbox with 64 MiB of memory, 64 processes and a layer of 32 MiB. Meanwhile `blast status` answers.\n\n", len(bombs.All())+1)
	for _, k := range bombs.All() {
		fmt.Fprintf(b, "- `bomb-%s`: %s\n", k.Name, k.What)
	}
	b.WriteString("- `bomb-everywhere`: a fork bomb, which `blast kill` ends\n")
}

func known(p probes.Probe) string {
	if p.Known == "" {
		return ""
	}
	return ". It gets through: " + p.Known
}
