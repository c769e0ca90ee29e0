//go:build linux

package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config/block"
	"blast.example/blast/plan"
	"blast.example/blast/runtime/kinds"
	"blast.example/blast/runtime/process/secret"
	"blast.example/blast/state"
)

// Resolve implements kinds.Resolver: each secret must have a value, and gets its hash
// if the environment has a key for that. The first apply makes it, see Seal: planning
// leaves nothing behind.
//
// A saved plan says by its hashes which values there were when it was made. They
// stand: another value by now is another change, and the next plan's.
func (Words) Resolve(_ context.Context, in kinds.ResolveInput) ([]plan.Object, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	out := slices.Clone(in.Objects)
	for i, o := range out {
		var e Environment
		if o.Addr != EnvironmentAddr || o.Decode(&e) != nil || len(e.Secrets) == 0 {
			continue
		}
		key, err := in.Env.Key()
		if err != nil {
			return out, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Secrets can't be compared", Detail: fmt.Sprintf("%v.", err)}}
		}
		known := secretsOf(in.Settled)
		for j, ref := range e.Secrets {
			v, err := ref.Value(in.Env)
			if err != nil {
				diags = append(diags, &hcl.Diagnostic{
					Severity: hcl.DiagError, Summary: "Secret without a value", Detail: err.Error(),
					Subject: block.RangeOf(plan.PlaceOf(o.Src, "secret."+ref.Name+".from")),
				})
				continue
			}
			e.Secrets[j].Hash = settle(ref, v, key, known)
		}
		out[i] = o.With(e)
	}
	return out, diags
}

// settle is the hash to record.
func settle(ref secret.Reference, v secret.Value, key []byte, known []secret.Reference) string {
	for _, k := range known {
		if k.Name == ref.Name && k.From == ref.From && (k.Hash == "" || secret.IsHash(k.Hash)) {
			return k.Hash
		}
	}
	if key == nil {
		return ""
	}
	return secret.Hash(key, ref.Name, v)
}

func secretsOf(objs []plan.Object) []secret.Reference {
	for _, o := range objs {
		var e Environment
		if o.Addr == EnvironmentAddr && o.Decode(&e) == nil {
			return e.Secrets
		}
	}
	return nil
}

// KeepHashes gives the secrets of objs, which are of another day, the hashes that are
// recorded now where it is the same secret: going back to them changes no value.
func KeepHashes(objs, recorded []plan.Object) []plan.Object {
	out := slices.Clone(objs)
	known := secretsOf(recorded)
	for i, o := range out {
		var e Environment
		if o.Addr != EnvironmentAddr || o.Decode(&e) != nil {
			continue
		}
		for j, ref := range e.Secrets {
			k := slices.IndexFunc(known, func(k secret.Reference) bool { return k.Name == ref.Name && k.From == ref.From })
			if k >= 0 {
				e.Secrets[j].Hash = known[k].Hash
			}
		}
		out[i] = o.With(e)
	}
	return out
}

// Values are the values of the environment's secrets by name, for commands that the
// daemon starts: see kinds.Secrets. The error says what has none.
func Values(objs []plan.Object, env state.Env) (map[string][]byte, error) {
	values := map[string][]byte{}
	var missing []error
	for _, ref := range secretsOf(objs) {
		v, err := ref.Value(env)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		values[ref.Name] = []byte(v.Reveal())
	}
	return values, errors.Join(missing...)
}

// Seal gives p's secrets the hashes that they lack, just before it is applied, and
// returns the key that they were made with for the environment to keep; nil if no
// secret lacks one.
func Seal(p *plan.Plan, env state.Env) (key []byte, err error) {
	s := sealer{env: env}
	p.Desired, p.Steps = slices.Clone(p.Desired), slices.Clone(p.Steps)
	for i, o := range p.Desired {
		if o.Addr == EnvironmentAddr {
			p.Desired[i].Attrs = s.seal(o.Attrs)
		}
	}
	for i, step := range p.Steps {
		if step.Addr == EnvironmentAddr && step.To != nil {
			p.Steps[i].To = s.seal(step.To)
		}
	}
	return s.key, s.err
}

type sealer struct {
	env state.Env
	key []byte
	err error // the first
}

func (s *sealer) seal(attrs json.RawMessage) json.RawMessage {
	var e Environment
	if s.err != nil || !s.ok(json.Unmarshal(attrs, &e)) {
		return attrs
	}
	for i, ref := range e.Secrets {
		if ref.Hash == "" {
			e.Secrets[i].Hash = s.hash(ref)
		}
	}
	return plan.NewObject(EnvironmentAddr, e, nil).Attrs
}

func (s *sealer) hash(ref secret.Reference) string {
	v, err := ref.Value(s.env)
	if !s.ok(err) {
		return ""
	}
	if s.key == nil {
		if s.key, err = s.env.Key(); s.key == nil && s.ok(err) {
			s.key = secret.NewKey()
		}
	}
	if s.err != nil {
		return ""
	}
	return secret.Hash(s.key, ref.Name, v)
}

func (s *sealer) ok(err error) bool {
	if s.err == nil {
		s.err = err
	}
	return s.err == nil
}
