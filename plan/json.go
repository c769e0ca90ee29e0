package plan

import "encoding/json"

// JSON is a plan in the names of Terraform's plan representation, for tools.
// What Terraform has no name for is below "blast".
// Source: https://developer.hashicorp.com/terraform/internals/json-format
func (p Plan) JSON() ([]byte, error) {
	type change struct {
		Actions []Action        `json:"actions"`
		Before  json.RawMessage `json:"before"`
		After   json.RawMessage `json:"after"`
	}
	type extra struct {
		Access  Access   `json:"access"`
		Restart bool     `json:"restart"`
		Drift   bool     `json:"drift"`
		Summary string   `json:"summary,omitempty"`
		Place   string   `json:"place,omitempty"`
		Items   []Item   `json:"items"`
		Notes   []string `json:"notes,omitempty"`
	}
	type resource struct {
		Address string `json:"address"`
		Mode    string `json:"mode"`
		Type    string `json:"type"`
		Name    string `json:"name"`
		Change  change `json:"change"`
		Blast   extra  `json:"blast"`
	}
	out := struct {
		FormatVersion   string     `json:"format_version"`
		Environment     string     `json:"environment"`
		Serial          uint64     `json:"serial"`
		ResourceChanges []resource `json:"resource_changes"`
		Counts          Counts     `json:"counts"`
		Errored         bool       `json:"errored"`
	}{FormatVersion: "1.2", Environment: p.Env, Serial: p.Serial, Counts: p.Counts(), ResourceChanges: []resource{}}
	for _, s := range p.Steps {
		actions := []Action{s.Action}
		if s.Action == Replace {
			actions = []Action{Create, Delete} // Terraform's create_before_destroy
		}
		out.ResourceChanges = append(out.ResourceChanges, resource{
			Address: s.Addr, Mode: "managed", Type: s.Kind(), Name: s.Addr[len(s.Kind())+1:],
			Change: change{actions, orNull(s.From), orNull(s.To)},
			Blast:  extra{s.Access(), s.Restart(), s.Drift, s.Summary, s.Place, append([]Item{}, s.Items...), s.Notes},
		})
	}
	return json.MarshalIndent(out, "", "  ")
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}
