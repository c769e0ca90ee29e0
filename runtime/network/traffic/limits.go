package traffic

import "time"

// Limits are what the limits of one rule did since the gate was started, by this daemon.
type Limits struct {
	Rule string `json:"rule"` // "egress.db", "ingress.web"; "" is the whole environment
	Open int    `json:"open"` // connections now

	RefusedMax   uint64 `json:"refused_max"`   // connections: too many open, or cut as there were
	RefusedRate  uint64 `json:"refused_rate"`  // connections: too many new
	RefusedQuota uint64 `json:"refused_quota"` // connections: refused, or cut

	Egress  Pace `json:"egress"`
	Ingress Pace `json:"ingress"`

	Again time.Time `json:"again,omitzero"` // when what the quota has used is forgotten
}

// A Pace is what was slowed in one direction.
type Pace struct {
	Slowed  uint64        `json:"slowed"`           // pieces that had to wait
	Waited  time.Duration `json:"waited"`           // ns, of all together
	Dropped uint64        `json:"dropped"`          // datagrams that would have had to wait too long
	Used    int64         `json:"used,omitempty"`   // bytes of the quota
	Budget  int64         `json:"budget,omitempty"` // bytes; 0: there is no quota
}

// Refused are all connections that a limit refused, or cut.
func (l Limits) Refused() uint64 { return l.RefusedMax + l.RefusedRate + l.RefusedQuota }

// Idle reports whether they have done nothing, and count nothing.
func (l Limits) Idle() bool {
	return l.Refused() == 0 && l.Egress.idle() && l.Ingress.idle()
}

func (p Pace) idle() bool { return p.Slowed == 0 && p.Dropped == 0 && p.Budget == 0 }
