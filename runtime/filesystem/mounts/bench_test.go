//go:build linux

package mounts_test

import "testing"

// BenchmarkApply mounts and unmounts the usual tree in a running sandbox: with a
// new layer each time, and with one that is there.
func BenchmarkApply(b *testing.B) {
	w := newWorld(b, files)
	w.start(b, box1)
	tree := w.usual(box1)
	b.Run("new layer", func(b *testing.B) {
		for b.Loop() {
			c := w.apply(b, nil, &tree)
			b.StopTimer()
			w.commit(b, c)
			w.commit(b, w.apply(b, &tree, nil))
			b.StartTimer()
		}
	})
	rest := tree
	rest.Sandbox, rest.Mounts = "", nil
	b.Run("layer is there", func(b *testing.B) {
		for b.Loop() {
			w.apply(b, &rest, &tree)
			b.StopTimer()
			w.apply(b, &tree, &rest)
			b.StartTimer()
		}
	})
	w.apply(b, &rest, &tree)
	b.Run("nothing to do", func(b *testing.B) {
		for b.Loop() {
			w.apply(b, &tree, &tree)
		}
	})
	b.Run("observe", func(b *testing.B) {
		for b.Loop() {
			w.sees(b, tree)
		}
	})
}
