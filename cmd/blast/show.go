package main

import (
	"fmt"
	"strings"

	"blast.example/blast/cmd/internal/release"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/kinds/words"
)

type showCmd struct {
	Plan string `arg:"" optional:"" help:"A plan saved by blast plan --out."`
	JSON bool   `name:"json" help:"Print as JSON, in the names of terraform show -json."`
}

// Run shows the recorded state, or a saved plan. It needs no daemon and takes no lock.
func (cmd *showCmd) Run(u *ui, g *Globals) error {
	if cmd.Plan != "" {
		p, _, err := readPlan(cmd.Plan)
		if err != nil {
			return err
		}
		if cmd.JSON {
			return u.document(p)
		}
		return view.Text(u.out, p, u.style())
	}
	env, st, err := u.records(g)
	if err != nil {
		return err
	}
	if cmd.JSON {
		b, err := view.State(view.Record{Env: env.Name, Lineage: st.Lineage, Serial: st.Serial, Objects: st.Objects},
			view.Options{Version: release.Version, Hide: words.Conceal}, words.Describe)
		if err != nil {
			return err
		}
		return printAll(u.out, b)
	}
	if len(st.Objects) == 0 {
		return printAll(u.out, []byte("Nothing is recorded for environment "+env.Name+".\n"))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# environment.%s, generation %d\n", env.Name, st.Serial)
	for _, o := range st.Objects {
		text, err := recordedText(o)
		if err != nil {
			return err
		}
		b.WriteString("\n" + text)
	}
	return printAll(u.out, []byte(b.String()))
}
