package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/daemon/client"
	"blast.example/blast/runtime/kinds/words"
	"blast.example/blast/state"
)

// stateCmd is about what is recorded. What is on the host is another matter: see
// status and plan.
type stateCmd struct {
	List   stateListCmd `cmd:"" help:"List the recorded objects."`
	Show   stateShowCmd `cmd:"" help:"Show one recorded object."`
	Lock   stateLockCmd `cmd:"" help:"Say which command changes the environment right now."`
	Pull   statePullCmd `cmd:"" help:"Print the recorded state, for a backup or a look."`
	Push   statePushCmd `cmd:"" help:"Record a state that was pulled; changes nothing on the host."`
	Remove stateRmCmd   `cmd:"" name:"rm" help:"Forget that objects are recorded; changes nothing on the host."`
	Move   stateMvCmd   `cmd:"" name:"mv" help:"Rename an environment, which stays up."`
	Fork   stateForkCmd `cmd:"" help:"Give a copied project records of its own."`
}

// records reads what is recorded of the environment. It needs no daemon and takes no
// lock.
func (u *ui) records(g *Globals) (state.Env, state.State, error) {
	env, err := u.locate(g)
	if err != nil {
		return env, state.State{}, err
	}
	st, err := env.Load()
	if errors.Is(err, fs.ErrPermission) {
		err = client.ErrPrivilege
	}
	return env, st, err
}

// summary is an object in a few words.
func summary(o plan.Object) string {
	return words.Describe(plan.Change{Addr: o.Addr, To: o.Attrs}).Summary
}

// chosen are the objects with these addresses, or of these kinds. Each must be there.
func chosen(objs []plan.Object, addrs []string) ([]plan.Object, error) {
	var out []plan.Object
	for _, o := range objs {
		if slices.Contains(addrs, o.Addr) || slices.Contains(addrs, o.Kind()) {
			out = append(out, o)
		}
	}
	for _, a := range addrs {
		if !slices.ContainsFunc(out, func(o plan.Object) bool { return o.Addr == a || o.Kind() == a }) {
			return nil, fmt.Errorf("%s is not recorded; there are: %s", a, addresses(objs))
		}
	}
	return out, nil
}

func addresses(objs []plan.Object) string {
	if len(objs) == 0 {
		return "none"
	}
	var all []string
	for _, o := range objs {
		all = append(all, o.Addr)
	}
	return strings.Join(all, ", ")
}
