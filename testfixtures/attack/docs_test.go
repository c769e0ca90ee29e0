package attack

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"blast.example/blast/testfixtures/attack/flood"
	"blast.example/blast/testfixtures/attack/probes"
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
	return b.Bytes()
}

func known(p probes.Probe) string {
	if p.Known == "" {
		return ""
	}
	return ". It gets through: " + p.Known
}
