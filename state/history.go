package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"blast.example/blast/state/backend"
)

// history is the folder of generations: one record each, named by its serial, of
// the same format as state.json.
const history = "history"

func generationName(serial uint64) string { return fmt.Sprintf("%s/%d.json", history, serial) }

// remember writes a generation into the history, and before the first one that of
// an older Blast, which had none. A record that a dead apply left is replaced.
func (e Env) remember(serial uint64, b []byte) error {
	if b0, v, err := e.store().Get(stateName); err == nil && v != "" {
		if was, err := Decode(b0); err == nil {
			name := generationName(was.Serial)
			if _, _, err := e.store().Get(name); errors.Is(err, backend.ErrNotFound) {
				if err := e.store().Put(name, b0, ""); err != nil {
					return fmt.Errorf("write history: %w", err)
				}
			}
		}
	}
	name := generationName(serial)
	_, v, err := e.store().Get(name)
	if err != nil && !errors.Is(err, backend.ErrNotFound) {
		return fmt.Errorf("write history: %w", err)
	}
	if err := e.store().Put(name, b, v); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// Generation reads one generation of the history. The current one is Load's.
func (e Env) Generation(serial uint64) (State, error) {
	now, err := e.Load()
	if err != nil {
		return State{}, err
	}
	if now.Serial == serial && serial > 0 {
		return now, nil
	}
	s, _, err := e.load(generationName(serial))
	if errors.Is(err, backend.ErrNotFound) || err == nil && serial > now.Serial { // left by a dead apply
		return State{}, fmt.Errorf("generation %d is not kept; there are: %s (blast history)", serial, e.listed())
	}
	return s, err
}

func (e Env) listed() string {
	ns, err := e.serials()
	if err != nil || len(ns) == 0 {
		return "none"
	}
	out := make([]string, len(ns))
	for i, n := range ns {
		out[i] = strconv.FormatUint(n, 10)
	}
	return strings.Join(out, ", ")
}

// History returns the kept generations, the current one last.
func (e Env) History() ([]State, error) {
	now, err := e.Load()
	if err != nil || now.Serial == 0 {
		return nil, err
	}
	ns, err := e.serials()
	if err != nil {
		return nil, err
	}
	var out []State
	for _, n := range ns {
		if n >= now.Serial {
			continue
		}
		s, _, err := e.load(generationName(n))
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return append(out, now), nil
}

// serials are those of the records in the history, ascending.
func (e Env) serials() ([]uint64, error) {
	names, err := e.store().List(history)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	var out []uint64
	for _, name := range names {
		if n, err := strconv.ParseUint(strings.TrimSuffix(path.Base(name), ".json"), 10, 64); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Kept returns the attributes that an object has in each kept generation, the
// current one last: what none of these refers to is of no use any more. An environment
// that is destroyed keeps nothing.
func (e Env) Kept(addr string) ([]json.RawMessage, error) {
	gens, err := e.History()
	if err != nil || len(gens) == 0 || len(gens[len(gens)-1].Objects) == 0 {
		return nil, err
	}
	var out []json.RawMessage
	for _, g := range gens {
		for _, o := range g.Objects {
			if o.Addr == addr {
				out = append(out, o.Attrs)
			}
		}
	}
	return out, nil
}

// retire removes the records of generations that are not kept any more, and those
// that a dead apply left behind.
func (e Env) retire() error {
	now, err := e.Load()
	if err != nil {
		return err
	}
	ns, err := e.serials()
	if err != nil {
		return err
	}
	ns = slices.DeleteFunc(ns, func(n uint64) bool { return n > now.Serial && e.forgetGeneration(n) == nil })
	for len(ns) > max(now.Keep, 1) {
		if err := e.forgetGeneration(ns[0]); err != nil {
			return err
		}
		ns = ns[1:]
	}
	return nil
}

func (e Env) forgetGeneration(serial uint64) error {
	if err := e.store().Delete(generationName(serial)); err != nil {
		return fmt.Errorf("forget generation %d: %w", serial, err)
	}
	return nil
}
