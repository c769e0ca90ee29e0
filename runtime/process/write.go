package process

import (
	"fmt"
	"maps"
	"strconv"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
)

var _ kinds.Porter = Words{}

// Leave implements kinds.Porter. The hashes of secrets stay: they tell when a value
// changes, to who has the key.
func (Words) Leave(objs []plan.Object, _ kinds.Place) ([]plan.Object, error) {
	var out []plan.Object
	for _, o := range objs {
		switch o.Addr {
		case SandboxAddr:
			var box Sandbox
			if err := o.Decode(&box); err != nil {
				return nil, err
			}
			box.OwnerUID, box.OwnerGID, box.Hostname, box.Incarnation = 0, 0, "", 0
			o = o.With(box)
		case EnvironmentAddr:
			var e Environment
			if err := o.Decode(&e); err != nil {
				return nil, err
			}
			e.Dir = ""
			for i := range e.Secrets {
				e.Secrets[i].Hash = ""
			}
			o = o.With(e)
		}
		out = append(out, o)
	}
	return out, nil
}

// Write implements kinds.Porter.
func (Words) Write(objs []plan.Object, to *block.Writer) error {
	var box Sandbox
	var env Environment
	for _, o := range objs {
		var err error
		switch o.Addr {
		case SandboxAddr:
			err = kinds.Strictly(o, &box)
		case EnvironmentAddr:
			err = kinds.Strictly(o, &env)
		default:
			err = fmt.Errorf("%s: no such object", o.Addr)
		}
		if err != nil {
			return err
		}
	}
	usual := defaults(box.User)
	vars := maps.Clone(env.Vars)
	maps.DeleteFunc(vars, func(name, value string) bool { return usual[name] == value })
	to.Map("env", vars)
	b := to.Block("process")
	b.Text("user", box.written())
	b.Texts("capabilities", box.Capabilities)
	b.Text("seccomp", box.Seccomp)
	for _, s := range env.Secrets {
		to.Block("secret", s.Name).Text("from", s.From)
	}
	return nil
}

// written is the user as a line says it.
func (s Sandbox) written() string {
	switch s.UID {
	case 0:
		return "root"
	case nobody:
		return "nobody"
	}
	return strconv.FormatUint(uint64(s.UID), 10)
}
