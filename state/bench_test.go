package state

import "testing"

// BenchmarkOpen is on the way of every blast run.
func BenchmarkOpen(b *testing.B) {
	p := newProjects(b)
	a := p.apply("a")
	b.ReportAllocs()
	for b.Loop() {
		if e, err := Open(a.Project, a.Name, 1000, 1000); err != nil || e.ID != a.ID {
			b.Fatal(e, err)
		}
	}
}
