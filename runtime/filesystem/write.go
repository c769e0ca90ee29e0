package filesystem

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/filesystem/pathglob"
	"blast.example/blast/runtime/kinds"
)

var _ kinds.Porter = Words{}

// Leave implements kinds.Porter. What protects every project there is not written
// down, but what a line opened of it is.
func (Words) Leave(objs []plan.Object, from kinds.Place) ([]plan.Object, error) {
	var out []plan.Object
	for _, o := range objs {
		if o.Addr == TrackAddr {
			out = append(out, o) // nothing in it is of a place
			continue
		}
		var t Tree
		if err := o.Decode(&t); err != nil {
			return nil, err
		}
		out = append(out, o.With(t.leave(from)))
	}
	return out, nil
}

func (t Tree) leave(from kinds.Place) Tree {
	t.Mounts, t.Project = t.In(from.Project), ""
	root := t.root()
	here := &reading{project: from.Project, people: secretFolders(from.UID), always: defaults(from.Project), root: root}
	usual := here.derived(t.binds())
	t.Opened = nil
	for _, m := range usual {
		if p, ok := openable(from.Project, root, m); ok && !t.protects(m) {
			t.Opened = append(t.Opened, p)
		}
	}
	t.Sandbox, t.Layer, t.Drift = "", LayerID{}, nil
	var own []Mount
	for _, m := range t.Mounts {
		protection := m.Type == Hide || m.Type == ReadOnly
		if protection && (m.Name == lockMount || slices.ContainsFunc(usual, func(u Mount) bool { return u.Target == m.Target && u.Type == m.Type })) {
			continue
		}
		if m.Type == Bind && within(m.Source, from.Project) {
			m.Source = path.Join(".", strings.TrimPrefix(m.Source, from.Project))
		}
		own = append(own, m)
	}
	t.Mounts, t.Patterns = own, slices.Clone(t.Patterns)
	for i := range t.Patterns {
		t.Patterns[i].Except = nil // follows from what is opened
	}
	return t
}

// root is the source of the workspace, "" if there is none.
func (t Tree) root() string {
	for _, m := range t.Mounts {
		if m.Target == WorkspaceDir && m.Type == Bind {
			return m.Source
		}
	}
	return ""
}

// binds are the mounts of the host's files but for the workspace.
func (t Tree) binds() []Mount {
	return slices.DeleteFunc(slices.Clone(t.Mounts), func(m Mount) bool { return m.Type != Bind || m.Target == WorkspaceDir })
}

// derived are the protections that a tree with these mounts has if no line says more
// or less.
func (r *reading) derived(bound []Mount) []Mount {
	r.bound = bound
	return r.protections()
}

// protects reports whether a tree has a protection, or one that says more.
func (t Tree) protects(u Mount) bool {
	return slices.ContainsFunc(t.Mounts, func(m Mount) bool {
		return within(u.Target, m.Target) && (m.Type == Hide || m.Type == u.Type)
	})
}

// openable is the path of a protection that a line may open, as it is written there.
func openable(project, root string, u Mount) (string, bool) {
	for _, p := range always {
		full := path.Join(project, p.path)
		if p.never == "" && within(full, root) && u.Target == path.Join(WorkspaceDir, strings.TrimPrefix(full, root)) && u.Type == p.kind {
			return p.path, true
		}
	}
	return "", false
}

// Write implements kinds.Porter.
func (Words) Write(objs []plan.Object, to *block.Writer) error {
	var t Tree
	var track Track
	for _, o := range objs {
		into := map[string]any{TreeAddr: &t, TrackAddr: &track}[o.Addr]
		if into == nil {
			return fmt.Errorf("%s: no such object", o.Addr)
		}
		if err := kinds.Strictly(o, into); err != nil {
			return err
		}
	}
	if len(objs) > 0 {
		b := to.Block("filesystem")
		t.write(b)
		track.write(b)
	}
	return nil
}

func (t Track) write(to *block.Writer) {
	if t.Level == "" {
		return
	}
	b := to.Block("track")
	b.Text("level", t.Level)
	b.Texts("paths", t.Paths)
	for _, a := range t.Alerts {
		b := to.Block("alert", a.Name)
		b.Text("event", a.Event)
		if a.Threshold != 0 {
			b.Int("threshold", a.Threshold)
		}
		if a.Bytes != 0 {
			b.Size("bytes", a.Bytes)
		}
		b.Duration("window", a.Window)
		b.Texts("paths", a.Paths)
		if a.FirstSeen {
			b.Bool("first_seen", true)
			b.Duration("learn", a.Learn)
		}
		b.Text("action", a.Action)
	}
}

func (t Tree) write(to *block.Writer) {
	to.Size("size", t.LayerSize)
	if t.LayerInodes != 0 {
		to.Int("inodes", t.LayerInodes)
	}
	if t.Reserve != 0 {
		to.Size("reserve", max(t.Reserve, 0))
	}
	if t.MaxFileSize != 0 {
		to.Size("max_file_size", t.MaxFileSize)
	}
	for _, m := range t.Mounts {
		switch {
		case m.Type == Bind && m.Target == WorkspaceDir:
			t.writeWorkspace(to.Block("workspace"), m)
		case m.Type == Bind:
			b := to.Block("mount", m.Target)
			b.Text("source", m.Source)
			b.Text("access", m.Access)
			m.writeOptions(b)
		case m.Type == Tmpfs && (m.Target != TempDir || m.Size != defaultTempSize || m.Inodes != 0 || !m.Exec):
			b := to.Block("tmpfs", m.Target)
			b.Size("size", m.Size)
			if m.Inodes != 0 {
				b.Int("inodes", m.Inodes)
			}
			m.writeOptions(b)
		}
	}
}

func (m Mount) writeOptions(to *block.Writer) {
	if !m.Exec {
		to.Texts("options", []string{"noexec"})
	}
}

// writeWorkspace writes the workspace with its lists. Protections elsewhere follow
// from what is mounted.
func (t Tree) writeWorkspace(to *block.Writer, space Mount) {
	to.Text("source", space.Source)
	to.Text("access", space.Access)
	space.writeOptions(to)
	lists := map[string][]string{}
	for _, m := range t.Mounts {
		if m.Target == WorkspaceDir || !within(m.Target, WorkspaceDir) || slices.ContainsFunc(t.binds(), func(b Mount) bool { return within(m.Target, b.Target) }) {
			continue
		}
		rel := pathglob.Escape(m.inside())
		if m.Dir {
			rel += "/"
		}
		lists[m.Type] = append(lists[m.Type], rel)
	}
	for _, p := range t.Patterns {
		lists[p.Type] = append(lists[p.Type], p.Text())
	}
	to.Texts("hide", lists[Hide])
	to.Texts("read_only", lists[ReadOnly])
	opened := map[string][]string{}
	for _, p := range always {
		if slices.Contains(t.Opened, p.path) {
			opened[p.kind] = append(opened[p.kind], p.path)
		}
	}
	to.Texts("show", opened[Hide])
	to.Texts("writable", opened[ReadOnly])
}
