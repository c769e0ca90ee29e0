package main

import (
	"fmt"

	"blast.example/blast/plan"
	"blast.example/blast/plan/view"
	"blast.example/blast/runtime/kinds/words"
)

type stateShowCmd struct {
	Address string `arg:"" help:"Of the object, as blast state list prints it."`
	JSON    bool   `name:"json" help:"Print as JSON."`
}

// Run shows one object as it is recorded.
func (cmd *stateShowCmd) Run(u *ui, g *Globals) error {
	_, st, err := u.records(g)
	if err != nil {
		return err
	}
	objs, err := chosen(st.Objects, []string{cmd.Address})
	if err != nil {
		return err
	}
	if len(objs) > 1 {
		return fmt.Errorf("%s is several objects: choose one of %s", cmd.Address, addresses(objs))
	}
	if cmd.JSON {
		objs[0].Attrs, _ = words.Conceal(objs[0].Addr, objs[0].Attrs)
		return u.answer(objs[0])
	}
	text, err := recordedText(objs[0])
	if err != nil {
		return err
	}
	return printAll(u.out, []byte(text))
}

// recordedText is an object with its attributes.
func recordedText(o plan.Object) (string, error) {
	shown, _ := words.Conceal(o.Addr, o.Attrs)
	pretty, err := view.Encode(shown, "  ")
	if err != nil {
		return "", fmt.Errorf("show %s: %w", o.Addr, err)
	}
	return fmt.Sprintf("# %s\n%s\n", visible(fmt.Sprintf("%s  %s  %s", o.Addr, summary(o), o.Src[""])), pretty), nil
}
