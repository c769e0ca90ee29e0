package allow

import (
	"encoding/json"
	"fmt"
	"slices"

	"blast.example/blast/config"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/network"
)

// PolicyOf is the policy of an environment's objects.
func PolicyOf(objs []plan.Object) (network.Policy, error) {
	var p network.Policy
	for _, o := range objs {
		if o.Addr == network.PolicyAddr {
			return p, o.Decode(&p)
		}
	}
	return p, fmt.Errorf("there is no %s", network.PolicyAddr)
}

// Exactly is an error unless files that were read before and after an edit say the same
// but for the one rule in the one environment.
func Exactly(before, after []config.Environment, env string, rule network.Egress) error {
	if len(before) != len(after) {
		return fmt.Errorf("%d environments became %d", len(before), len(after))
	}
	for i, b := range before {
		a := after[i]
		if a.Name != b.Name || len(a.Objects) != len(b.Objects) {
			return fmt.Errorf("environment %q became another one", b.Name)
		}
		for j, was := range b.Objects {
			want, err := wanted(was, b.Name == env, rule)
			if err != nil {
				return err
			}
			if is := a.Objects[j]; is.Addr != was.Addr || string(is.Attrs) != string(want) {
				return fmt.Errorf("%s of environment %q would be another than was asked for", was.Addr, b.Name)
			}
		}
	}
	return nil
}

// wanted are the attributes of an object after the edit.
func wanted(o plan.Object, here bool, rule network.Egress) (json.RawMessage, error) {
	if !here || o.Addr != network.PolicyAddr {
		return o.Attrs, nil
	}
	p, err := PolicyOf([]plan.Object{o})
	if err != nil {
		return nil, err
	}
	if rule.During = slices.Sorted(slices.Values(rule.During)); len(rule.During) == 0 {
		rule.During = []string{"apply", "run"}
	}
	if i := slices.IndexFunc(p.Egress, func(e network.Egress) bool { return e.Name == rule.Name }); i >= 0 {
		p.Egress[i] = rule
	} else {
		p.Egress = append(p.Egress, rule)
	}
	return o.With(p).Attrs, nil
}
