package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/kinds/words"
)

type showCmd struct {
	Plan string `arg:"" optional:"" help:"A plan saved by blast plan --out."`
	JSON bool   `name:"json" help:"Print as JSON."`
}

// Run shows the recorded state, or a saved plan. It needs no daemon and takes no lock.
func (cmd *showCmd) Run(u *ui, g *Globals) error {
	if cmd.Plan != "" {
		p, _, err := readPlan(cmd.Plan)
		if err != nil {
			return err
		}
		return u.showPlan(p, cmd.JSON)
	}
	env, err := u.locate(g)
	if err != nil {
		return err
	}
	st, err := env.Load()
	if errors.Is(err, fs.ErrPermission) {
		return client.ErrPrivilege
	}
	if err != nil {
		return err
	}
	if cmd.JSON {
		return u.answer(struct {
			Environment string        `json:"environment"`
			Lineage     string        `json:"lineage"`
			Serial      uint64        `json:"serial"`
			Objects     []plan.Object `json:"objects"`
		}{env.Name, st.Lineage, st.Serial, append([]plan.Object{}, st.Objects...)})
	}
	if len(st.Objects) == 0 {
		return printAll(u.out, []byte("Nothing is recorded for environment "+env.Name+".\n"))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# environment.%s, generation %d\n", env.Name, st.Serial)
	for _, o := range st.Objects {
		d := words.Describe(plan.Change{Addr: o.Addr, To: o.Attrs})
		fmt.Fprintf(&b, "\n# %s  %s  %s\n", o.Addr, d.Summary, o.Src[""])
		pretty, err := json.MarshalIndent(o.Attrs, "", "  ")
		if err != nil {
			return fmt.Errorf("show %s: %w", o.Addr, err)
		}
		b.Write(append(pretty, '\n'))
	}
	return printAll(u.out, []byte(b.String()))
}
