package plan

// A Problem is a line of the configuration that a host can't enforce.
type Problem struct {
	Addr   string `json:"addr"`
	Item   string `json:"item"`   // key into the object's Src
	Reason string `json:"reason"` // "cgroup v1 has no memory.high"
	Fix    string `json:"fix"`    // "Remove high, or use a host with cgroup v2."
}
