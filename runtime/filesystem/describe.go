package filesystem

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"blast.example/blast/config/block"
	"blast.example/blast/config/wording"
	"blast.example/blast/plan"
)

// Describe implements kinds.Words. A mount shows more and a protection less. The
// workspace is what a sandbox is for, so a new one widens nothing by itself;
// opening what is protected by default does.
func (Words) Describe(c plan.Change) plan.Description {
	if c.Addr == TrackAddr {
		return describeTrack(c)
	}
	var from, to Tree
	hasFrom, hasTo, err := c.Sides(&from, &to)
	if err != nil {
		return wording.Unreadable(c, err)
	}
	if !hasTo {
		return plan.Description{Summary: from.summary(), Items: wording.Drift(from.Drift)}
	}
	d := plan.Description{Summary: to.summary(), Items: wording.Drift(from.Drift)}
	d.Items = append(d.Items, layerItems(from.Layer, to.Layer)...)
	d.Notes = layerNotes(hasFrom, from.Layer, to.Layer)
	if !hasFrom || from.rest() {
		from = Tree{Mounts: to.usual(), Patterns: to.Patterns, LayerSize: to.LayerSize, LayerInodes: to.LayerInodes, MaxFileSize: to.MaxFileSize}
	}
	d.Items = append(d.Items, mountItems(from, to)...)
	d.Items = append(d.Items, patternItems(from.Patterns, to.Patterns)...)
	d.Items = append(d.Items, openedItems(from.Opened, to.Opened)...)
	d.Items = append(d.Items, wording.Changed("size", size(from.LayerSize), size(to.LayerSize), more(from.LayerSize, to.LayerSize))...)
	d.Items = append(d.Items, wording.Changed("inodes", from.inodes(), to.inodes(), more(from.Inodes(), to.Inodes()))...)
	d.Items = append(d.Items, wording.Changed("reserve", from.reserve(), to.reserve(), opposite(more(from.reserved(), to.reserved())))...)
	d.Items = append(d.Items, wording.Changed("max_file_size", size(from.MaxFileSize), size(to.MaxFileSize), more(from.MaxFileSize, to.MaxFileSize))...)
	return d
}

// rest reports whether all that there is of a tree is its layer: the sandbox ended.
func (t Tree) rest() bool { return t.Sandbox == "" && len(t.Mounts) == 0 }

// usual is what a new environment has without a line that widens it: its own
// folders, the workspace, and all protections.
func (t Tree) usual() []Mount {
	ms := slices.DeleteFunc(slices.Clone(t.Mounts), func(m Mount) bool { return strings.HasPrefix(m.Name, "mount.") })
	if t.holdsProject() {
		for _, p := range always {
			target := path.Join(WorkspaceDir, p.path)
			lies := func(m Mount) bool { return (m.Type == Hide || m.Type == ReadOnly) && within(target, m.Target) }
			if p.never == "" && !slices.ContainsFunc(ms, lies) {
				m := p.mount()
				m.Target = target
				ms = append(ms, m)
			}
		}
	}
	return ms
}

// holdsProject reports whether the workspace is the project itself.
func (t Tree) holdsProject() bool {
	return slices.ContainsFunc(t.Mounts, func(m Mount) bool { return m.Target == WorkspaceDir+"/blast.hcl" })
}

func listOf(kind string) string {
	if kind == Hide {
		return "workspace.hide"
	}
	return "workspace.read_only"
}

func mountItems(from, to Tree) []plan.Item {
	was := map[string]Mount{}
	for _, m := range from.Mounts {
		was[m.Target] = m
	}
	var items []plan.Item
	for _, m := range to.Mounts {
		old, there := was[m.Target]
		delete(was, m.Target)
		if there && old == m {
			continue
		}
		it := plan.Item{Name: m.Name, Action: wording.Action(there, true), After: m.text()}
		if there {
			it.Before = old.text()
			old.Source = Moved(old.Source, from.Project, to.Project) // the same folder, by another path
			it.Access = changed(old, m)
		} else {
			it.Access = added(m)
		}
		if it.Before != it.After || it.Access != plan.Same {
			items = append(items, it)
		}
	}
	for _, m := range from.Mounts {
		if _, gone := was[m.Target]; gone {
			it := plan.Item{Name: openedName(m), Action: plan.Delete, Before: m.text(), Access: opposite(added(m))}
			if to.covers(m) {
				it.Name, it.Access = m.Name, plan.Same
			}
			items = append(items, it)
		}
	}
	return items
}

// covers reports whether a protection that goes lies in one that says as much.
func (t Tree) covers(m Mount) bool {
	return (m.Type == Hide || m.Type == ReadOnly) && slices.ContainsFunc(t.Mounts, func(o Mount) bool {
		return (o.Type == Hide || o.Type == m.Type) && within(m.Target, o.Target)
	})
}

// openedName is the word that opened a default protection, or else the mount's.
func openedName(m Mount) string {
	for _, p := range always {
		if m.Target == path.Join(WorkspaceDir, p.path) && p.never == "" {
			return map[string]string{Hide: "workspace.show", ReadOnly: "workspace.writable"}[p.kind]
		}
	}
	return m.Name
}

// added is the direction of a mount that was not there.
func added(m Mount) plan.Access {
	switch m.Type {
	case Bind:
		return plan.Widen
	case Hide, ReadOnly:
		return plan.Narrow
	}
	return plan.Same
}

func opposite(a plan.Access) plan.Access {
	switch a {
	case plan.Widen:
		return plan.Narrow
	case plan.Narrow:
		return plan.Widen
	}
	return a
}

// openness orders what the types of mounts let a command do with what lies there
// on the host.
var openness = map[string]int{Hide: 0, Tmpfs: 0, Layer: 0, ReadOnly: 1, Bind: 2}

// writing orders accesses of a bind by what commands may do with the source.
var writing = map[string]int{Overlay: 1, "rw": 2}

// changed is the direction of a mount that differs at the same place.
func changed(old, m Mount) plan.Access {
	switch {
	case old.Type != m.Type:
		return more(int64(openness[old.Type])+1, int64(openness[m.Type])+1)
	case old.Source != m.Source:
		return plan.Both
	}
	return more(old.Size, m.Size).Add(more(old.MaxInodes(), m.MaxInodes())).
		Add(more(int64(writing[old.Access])+1, int64(writing[m.Access])+1)).Add(allows(old.Exec, m.Exec))
}

// allows compares whether something is allowed.
func allows(before, after bool) plan.Access {
	switch {
	case before == after:
		return plan.Same
	case after:
		return plan.Widen
	}
	return plan.Narrow
}

// more compares two bounds; 0 is none.
func more(before, after int64) plan.Access {
	switch {
	case before == after:
		return plan.Same
	case after == 0 || before != 0 && after > before:
		return plan.Widen
	}
	return plan.Narrow
}

func size(n int64) string {
	if n == 0 {
		return ""
	}
	return block.FormatSize(n)
}

func (m Mount) text() string {
	switch m.Type {
	case Bind:
		return m.Source + " " + accessName(m.Access) + m.options()
	case Tmpfs:
		s := "in memory, " + block.FormatSize(m.Size)
		if m.Inodes > 0 {
			s += ", " + count(m.Inodes) + " inodes"
		}
		return s + m.options()
	case Hide:
		return m.inside() + " hidden"
	case ReadOnly:
		return m.inside() + " read-only"
	}
	return m.Target
}

// options are those that a line asked for.
func (m Mount) options() string {
	if m.Exec {
		return ""
	}
	return ", noexec"
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

// inodes are those of the layer, as a plan shows them; "" by default.
func (t Tree) inodes() string {
	if t.LayerInodes == 0 {
		return ""
	}
	return count(t.LayerInodes)
}

// reserve is what stays free of the host's disks, as a plan shows it; "" by default.
func (t Tree) reserve() string {
	switch t.Reserve {
	case 0:
		return ""
	case NoReserve:
		return "none"
	}
	return size(t.Reserve)
}

// reserved is to compare it: the default is what it is on a large disk.
func (t Tree) reserved() int64 {
	switch t.Reserve {
	case 0:
		return defaultReserve
	case NoReserve:
		return 1 // the least: 0 would be no bound
	}
	return t.Reserve
}

// inside is the target as it is written in the workspace's lists.
func (m Mount) inside() string { return strings.TrimPrefix(m.Target, WorkspaceDir+"/") }

func accessName(access string) string {
	switch access {
	case "rw":
		return "read-write"
	case Overlay:
		return "below a layer"
	}
	return "read-only"
}

// maxNamed is how many hidden paths and mounts a summary names.
const maxNamed = 3

// summary is ". read-write at /workspace, .env hidden".
func (t Tree) summary() string {
	var parts, hidden, mounts []string
	for _, m := range t.Mounts {
		switch {
		case m.Target == WorkspaceDir:
			source := m.Source
			if t.holdsProject() {
				source = "."
			}
			parts = append(parts, source+" "+accessName(m.Access)+" at "+WorkspaceDir)
		case m.Type == Bind:
			mounts = append(mounts, m.Source+" "+accessName(m.Access)+" at "+m.Target)
		case m.Type == Hide && m.Target != path.Join(WorkspaceDir, stateDir):
			hidden = append(hidden, m.inside())
		}
	}
	for _, p := range t.Patterns {
		if p.Type == Hide {
			hidden = append(hidden, p.Text())
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing of the project"}
	}
	if len(hidden) > 0 {
		parts = append(parts, wording.List(hidden, maxNamed)+" hidden")
	}
	if len(mounts) > 0 {
		parts = append(parts, wording.List(mounts, maxNamed))
	}
	return strings.Join(parts, ", ")
}
