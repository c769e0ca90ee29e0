//go:build linux

package generation

import (
	"context"
	"errors"
	"fmt"
	"os"

	"blast.example/blast/plan"
	"blast.example/blast/runtime/packages"
	"blast.example/blast/state"
)

// Observe reads back what is current. One that can't be understood is absent; one
// that differs from what was made says so in Drift.
func (h *Host) Observe(_ context.Context, env state.Env) ([]plan.Object, error) {
	f, err := openFolder(env, false)
	if errors.Is(err, errNoFolder) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.close()
	id := f.current()
	if id == "" {
		return nil, nil
	}
	m, err := f.manifest(id)
	if errors.Is(err, errNoGeneration) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	o, err := f.observe(env, id, m)
	if err != nil {
		return nil, err
	}
	return []plan.Object{o}, nil
}

func (f *folder) observe(env state.Env, id string, m manifest) (plan.Object, error) {
	set, err := m.set()
	if err != nil {
		return plan.Object{}, fmt.Errorf("%s: %w", packages.SetAddr, err)
	}
	if set.Drift, err = f.inspect(id, m); err != nil {
		return plan.Object{}, err
	}
	if _, err := os.Stat(set.Python.Path); err != nil {
		set.Drift = append(set.Drift, "the interpreter "+set.Python.Path+" is gone")
	}
	lock, err := lockDrift(env, set)
	if err != nil {
		return plan.Object{}, err
	}
	if lock != "" {
		set.Drift = append(set.Drift, lock)
	}
	if len(set.Drift) == 0 {
		return plan.Object{Addr: packages.SetAddr, Attrs: m.Attrs}, nil
	}
	return plan.NewObject(packages.SetAddr, set, nil), nil
}
