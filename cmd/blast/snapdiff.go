package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/state/snapshot"
	"blast.example/blast/state/snapshot/layer"
)

type snapshotsDiffCmd struct {
	A    string `arg:"" help:"Name of a snapshot."`
	B    string `arg:"" help:"Name of another."`
	JSON bool   `name:"json" help:"Print as JSON."`
}

// fileChange is a file of the layer that differs.
type fileChange struct {
	Action plan.Action `json:"action"`
	Name   string      `json:"name"`
	Before int64       `json:"before,omitempty"` // bytes
	After  int64       `json:"after,omitempty"`
}

// snapshotDifference is what snapshots diff --json prints.
type snapshotDifference struct {
	Objects []plan.Step  `json:"objects"`
	Files   []fileChange `json:"files"`
}

// Run says what leads from one snapshot to another.
func (cmd *snapshotsDiffCmd) Run(ctx context.Context, u *ui, g *Globals) error {
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	s, err := openSnapshots(env.Project)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %q; none was saved in this project", snapshot.ErrNone, cmd.A)
	}
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	a, err := u.side(ctx, s, cmd.A)
	if err != nil {
		return err
	}
	b, err := u.side(ctx, s, cmd.B)
	u.untick()
	if err != nil {
		return err
	}
	p := plan.Diff(b.record.Objects, a.record.Objects, a.record.Objects, words.Describe)
	p.Env, p.Serial = a.record.Environment, a.record.Serial
	files := compareFiles(a.files, b.files)
	if cmd.JSON {
		return u.answer(snapshotDifference{append([]plan.Step{}, p.Steps...), files})
	}
	if p.Empty() && len(files) == 0 {
		return printAll(u.out, []byte("No difference.\n"))
	}
	if !p.Empty() {
		if err := view.Text(u.out, p, u.style()); err != nil {
			return err
		}
		if err := printAll(u.out, []byte("\n")); err != nil {
			return err
		}
	}
	return printAll(u.out, []byte(fileText(files)))
}

// A side is one snapshot of two.
type side struct {
	record snapshot.Record
	files  []layer.Summed // in their order
	names  int            // bytes of their names, and of where links lead
}

func (u *ui) side(ctx context.Context, s *snapshot.Store, name string) (*side, error) {
	one, err := s.Find(name)
	if err != nil {
		return nil, err
	}
	out := &side{}
	if out.record, err = s.Record(one); err != nil {
		return nil, err
	}
	told := func(n int64) { u.tick(fmt.Sprintf("reading %s, %d of %d MiB", name, n>>20, one.Layer.Bytes>>20)) }
	err = s.Read(ctx, one.Layer, told, func(ctx context.Context, src layer.Source) (layer.Stats, error) {
		return layer.Sum(ctx, src, out.add)
	})
	return out, err
}

// maxNames bounds the memory that a stranger's snapshot takes. A layer of the default
// size has room for a tenth of it.
const maxNames = 512 << 20

func (s *side) add(f layer.Summed) error {
	if s.names += len(f.Name) + len(f.Link); s.names > maxNames {
		return fmt.Errorf("its files have more than %d MiB of names, which is too much to be compared", maxNames>>20)
	}
	s.files = append(s.files, f)
	return nil
}

// compareFiles merges two lists that are in the same order.
func compareFiles(a, b []layer.Summed) []fileChange {
	out := []fileChange{}
	for len(a) > 0 || len(b) > 0 {
		c := -1
		switch {
		case len(a) == 0:
			c = 1
		case len(b) > 0:
			c = layer.Compare(a[0].Name, b[0].Name)
		}
		switch {
		case c < 0:
			out = append(out, fileChange{Action: plan.Delete, Name: a[0].Name, Before: a[0].Size})
			a = a[1:]
		case c > 0:
			out = append(out, fileChange{Action: plan.Create, Name: b[0].Name, After: b[0].Size})
			b = b[1:]
		default:
			if !a[0].Same(b[0]) {
				out = append(out, fileChange{plan.Update, a[0].Name, a[0].Size, b[0].Size})
			}
			a, b = a[1:], b[1:]
		}
	}
	return out
}

// maxFiles is how many files a person is shown.
const maxFiles = 200

func fileText(files []fileChange) string {
	if len(files) == 0 {
		return ""
	}
	var b strings.Builder
	var sum int64
	counts := map[plan.Action]int{}
	b.WriteString("Files of the writable layer:\n")
	for i, f := range files {
		counts[f.Action]++
		sum += f.After - f.Before
		if i < maxFiles {
			size := block.FormatSize(roundSize(max(f.Before, f.After)))
			if f.Action == plan.Update && f.Before != f.After {
				size = block.FormatSize(roundSize(f.Before)) + " -> " + block.FormatSize(roundSize(f.After))
			}
			fmt.Fprintf(&b, "  %-3s %s  %s\n", f.Action.Sign(), cell(f.Name), size)
		}
	}
	if len(files) > maxFiles {
		fmt.Fprintf(&b, "  ... and %d more\n", len(files)-maxFiles)
	}
	sign := "+"
	if sum < 0 {
		sign, sum = "-", -sum
	}
	fmt.Fprintf(&b, "%d added, %d changed, %d removed; %s%s\n", counts[plan.Create], counts[plan.Update], counts[plan.Delete], sign, block.FormatSize(roundSize(sum)))
	return b.String()
}
