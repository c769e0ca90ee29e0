package check

import (
	"strings"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
)

var _ kinds.Porter = Words{}

// Leave implements kinds.Porter: checks are the same everywhere.
func (Words) Leave(objs []plan.Object, _ kinds.Place) ([]plan.Object, error) { return objs, nil }

// Write implements kinds.Porter.
func (Words) Write(objs []plan.Object, to *block.Writer) error {
	for _, o := range objs {
		var c Check
		if err := kinds.Strictly(o, &c); err != nil {
			return err
		}
		b := to.Block(Name, strings.TrimPrefix(o.Addr, Name+"."))
		b.Texts("command", c.Command)
		b.Duration("timeout", c.Timeout)
	}
	return nil
}
