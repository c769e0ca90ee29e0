package view

import (
	"bytes"
	"encoding/json"
	"fmt"

	"blast.example/blast/plan"
)

const stateVersion = "1.0"

type stateDocument struct {
	FormatVersion string      `json:"format_version"`
	Values        *values     `json:"values,omitempty"`
	Blast         *stateExtra `json:"blast,omitempty"`
}

type stateExtra struct {
	Version     string `json:"version"`
	Environment string `json:"environment"`
	Lineage     string `json:"lineage"`
	Serial      uint64 `json:"serial"`
}

type values struct {
	RootModule module `json:"root_module"`
}

type module struct {
	Resources []stateResource `json:"resources,omitempty"`
}

type stateResource struct {
	Address         string          `json:"address"`
	Mode            string          `json:"mode"`
	Type            string          `json:"type"`
	Name            string          `json:"name"`
	ProviderName    string          `json:"provider_name"`
	SchemaVersion   int             `json:"schema_version"`
	Values          json.RawMessage `json:"values"`
	SensitiveValues json.RawMessage `json:"sensitive_values"`
	DependsOn       []string        `json:"depends_on,omitempty"`
	Blast           *objectExtra    `json:"blast,omitempty"`
}

type objectExtra struct {
	Summary string                 `json:"summary,omitempty"`
	Places  map[string]string      `json:"places,omitempty"` // of what was written: item → "blast.hcl:12"; "" is the object itself
	By      map[string]plan.Makers `json:"by,omitempty"`     // variables that an item was made of
}

// A Record is what was recorded of an environment.
type Record struct {
	Env     string
	Lineage string
	Serial  uint64
	Objects []plan.Object
}

// State is the records of an environment in the names of Terraform's state
// representation. Describe, if given, is asked for a line about each object.
func State(r Record, o Options, describe plan.Describe) ([]byte, error) {
	doc := stateDocument{FormatVersion: stateVersion, Blast: &stateExtra{o.Version, r.Env, r.Lineage, r.Serial}}
	if len(r.Objects) > 0 {
		doc.Values = o.values(r.Objects)
	}
	for i, obj := range r.Objects {
		x := &objectExtra{Places: obj.Src, By: obj.By}
		if describe != nil {
			x.Summary = describe(plan.Change{Addr: obj.Addr, To: obj.Attrs}).Summary
		}
		doc.Values.RootModule.Resources[i].Blast = x
	}
	b, err := Encode(doc, "  ")
	if err != nil {
		return nil, fmt.Errorf("state as JSON: %w", err)
	}
	return append(b, '\n'), nil
}

// values are objects as Terraform's state has them. Its values are objects of JSON:
// what is none is put into one.
func (o Options) values(objs []plan.Object) *values {
	v := &values{}
	for _, obj := range objs {
		kind, name := splitAddr(obj.Addr)
		shown, hidden := o.side(obj.Addr, obj.Attrs)
		if !bytes.HasPrefix(shown, []byte("{")) {
			shown = bytes.Join([][]byte{[]byte(`{"value":`), shown, []byte("}")}, nil)
		}
		v.RootModule.Resources = append(v.RootModule.Resources, stateResource{
			Address: obj.Addr, Mode: "managed", Type: kind, Name: name, ProviderName: Provider,
			Values: shown, SensitiveValues: hidden, DependsOn: obj.Needs,
		})
	}
	return v
}
