package plan

// A Problem is a line of the configuration that a host can't enforce, or what there is to
// say of one that it can.
type Problem struct {
	Addr   string `json:"addr"`
	Item   string `json:"item"`           // key into the object's Src
	Reason string `json:"reason"`         // "cgroup v1 has no memory.high"
	Fix    string `json:"fix,omitempty"`  // "Remove high, or use a host with cgroup v2."
	Note   bool   `json:"note,omitempty"` // only said, beside the change: Reason, without a Fix
}

// Noted adds what is only said to the steps that it is about.
func (p *Plan) Noted(ps []Problem) {
	for _, n := range ps {
		for i, s := range p.Steps {
			if n.Note && s.Addr == n.Addr && s.To != nil {
				p.Steps[i].Notes = append(p.Steps[i].Notes, n.Reason)
			}
		}
	}
}
