package plan

// A Problem is a line of the configuration that a host can't enforce, or what there is to
// say of one that it can.
type Problem struct {
	Addr   string `json:"addr"`
	Item   string `json:"item"`   // key into the object's Src
	Reason string `json:"reason"` // "cgroup v1 has no memory.high"
	Fix    string `json:"fix"`    // "Remove high, or use a host with cgroup v2."
	// Note is that the line is enforced, in a way that a person should know of.
	Note bool `json:"note,omitempty"`
}

// Note adds to the steps of a plan what is to be known of how this host enforces them.
func (p *Plan) Note(ps []Problem) {
	for _, pr := range ps {
		for i, s := range p.Steps {
			if pr.Note && s.Addr == pr.Addr && s.To != nil {
				p.Steps[i].Notes = append(p.Steps[i].Notes, pr.Item+": "+pr.Reason)
			}
		}
	}
}
