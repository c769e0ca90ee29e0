package words

import (
	"fmt"
	"slices"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
)

// Leave takes recorded objects out of a project, for a snapshot: see kinds.Porter.
// Where a line stood says nothing elsewhere.
func Leave(objs []plan.Object, from kinds.Place) ([]plan.Object, error) {
	var out []plan.Object
	for _, w := range All {
		own := of(w.Name(), objs)
		if p, ok := w.(kinds.Porter); ok {
			var err error
			if own, err = p.Leave(own, from); err != nil {
				return nil, fmt.Errorf("take %s along: %w", w.Name(), err)
			}
		}
		out = append(out, own...)
	}
	for i := range out {
		out[i].Src, out[i].Needs = nil, nil
	}
	return out, nil
}

// Text is the blast.hcl that would make objects that Leave has returned, with one
// environment. They may be a stranger's.
func Text(env string, objs []plan.Object) ([]byte, error) {
	for _, o := range objs {
		if !slices.Contains(Names(), o.Kind()) {
			return nil, fmt.Errorf("%s is of no kind that this Blast knows", o.Addr)
		}
	}
	w, text := block.NewWriter()
	body := w.Block("environment", env)
	for _, k := range All {
		p, ok := k.(kinds.Porter)
		own := of(k.Name(), objs)
		if !ok || len(own) == 0 {
			continue
		}
		if err := p.Write(own, body); err != nil {
			return nil, err
		}
	}
	return text(), nil
}

// Complete completes objects that were made of Text with what no line can say.
func Complete(objs, left []plan.Object) ([]plan.Object, error) {
	for _, w := range All {
		r, ok := w.(kinds.Completer)
		if !ok {
			continue
		}
		var err error
		if objs, err = r.Complete(objs, left); err != nil {
			return nil, err
		}
	}
	return objs, nil
}

func of(kind string, objs []plan.Object) []plan.Object {
	return slices.DeleteFunc(slices.Clone(objs), func(o plan.Object) bool { return o.Kind() != kind })
}
