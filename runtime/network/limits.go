package network

import (
	"time"

	"blast.example/blast/config/block"
)

// Bounds of limits.
const (
	// DefaultOpen is how many connections the sandbox may have open at once if no
	// line says so, and how many visitors each published port may have.
	DefaultOpen = 1024
	// MaxOpen is the most that connections.max can say: as many as an address has ports.
	MaxOpen = 65535

	minRate   = 8_000 // bit/s: a full packet takes a second and a half
	maxRate   = 1_000_000_000_000
	maxNew    = 1_000_000
	minWindow = time.Second
	maxWindow = 10_000 * time.Hour
)

// Limits are how much and how many at once. What is zero is not limited.
type Limits struct {
	Bandwidth   Bandwidth   `json:"bandwidth,omitzero"`
	Connections Connections `json:"connections,omitzero"`
}

// Bandwidth is in bits per second of what connections carry (payload of TCP and
// UDP). Egress leaves the sandbox and Ingress comes into it, whoever opened the
// connection.
type Bandwidth struct {
	Egress  int64 `json:"egress,omitempty"`
	Ingress int64 `json:"ingress,omitempty"`
}

// Connections are TCP connections, and UDP flows until they are idle.
type Connections struct {
	Max  int  `json:"max,omitempty"` // open at once
	Rate Rate `json:"rate,omitzero"` // new ones
}

// A Rate is so many in a time; as many may come at once.
type Rate struct {
	N   int64         `json:"n"`
	Per time.Duration `json:"per"` // ns: a second, a minute or an hour
}

// Quota is how many bytes a rule may carry, of payload.
type Quota struct {
	Egress  int64         `json:"egress,omitempty"`
	Ingress int64         `json:"ingress,omitempty"`
	Window  time.Duration `json:"window,omitempty"` // ns; how long until it starts anew; 0: never
}

// limitBlocks are bandwidth and connections of the network block, or of a rule.
func limitBlocks(whose string) []block.Block {
	rate := func(name, doc string) block.Attr {
		return block.Attr{Name: name, Kind: block.BitRate, Example: `"10mbit"`, Min: minRate, Max: maxRate, Default: "not limited", Source: "tc(8)", Doc: doc}
	}
	return []block.Block{
		{
			Name: "bandwidth", Doc: whose + " may carry together, in bits per second: payload, evenly, about 10 ms of it at once. More of TCP has to wait; of UDP what waited for a quarter of a second is dropped.",
			Attrs: []block.Attr{
				rate("egress", "What leaves the sandbox, whoever opened the connection."),
				rate("ingress", "What comes into the sandbox, whoever opened the connection."),
			},
		},
		{
			Name: "connections", Doc: whose + " may have. More are refused.",
			Attrs: []block.Attr{
				{Name: "max", Kind: block.Int, Example: "200", Min: 1, Max: MaxOpen, Default: "1024 that the sandbox opened, and 1024 visitors of each published port; for a rule: not limited but by the environment's", Doc: "Open at once, UDP flows that are not idle included."},
				{Name: "rate", Kind: block.Frequency, Example: `"20/s"`, Min: 1, Max: maxNew, Default: "not limited", Doc: "New ones per second (/s), minute (/m) or hour (/h), in the long run; as many may come at once."},
			},
		},
	}
}

var quotaBlock = block.Block{
	Name: "quota", Doc: "How many bytes the rule may carry: payload, as the sandbox sends and gets it (with TLS: encrypted). Once used up, open connections are cut and new ones refused. What was used is kept over a restart of the daemon, until the rule goes or the machine restarts.",
	Attrs: []block.Attr{
		{Name: "egress", Kind: block.Size, Example: `"100MiB"`, Min: 1, Default: "not limited", Doc: "Bytes that leave the sandbox."},
		{Name: "ingress", Kind: block.Size, Example: `"1GiB"`, Min: 1, Default: "not limited", Doc: "Bytes that come into the sandbox."},
		{Name: "window", Kind: block.Duration, Example: `"24h"`, Min: int64(minWindow), Max: int64(maxWindow), Default: "never", Doc: "How long after the first byte it starts anew."},
	},
}

// limits reads the two blocks in v. prefix is what its items are called by.
func (r *reading) limits(v *block.Values, prefix string) Limits {
	if prefix != "" {
		prefix += "."
	}
	var l Limits
	if b := v.Block("bandwidth"); b != nil {
		b.Sources(r.src, prefix+"bandwidth")
		r.notNothing(b, "bandwidth", "egress = \"10mbit\"", "egress", "ingress")
		l.Bandwidth.Egress, _ = b.Int("egress")
		l.Bandwidth.Ingress, _ = b.Int("ingress")
	}
	if c := v.Block("connections"); c != nil {
		c.Sources(r.src, prefix+"connections")
		r.notNothing(c, "connections", "max = 200", "max", "rate")
		n, _ := c.Int("max")
		l.Connections.Max = int(n) // the declaration has bounds
		if o, ok := c.Often("rate"); ok {
			l.Connections.Rate = Rate(o)
		}
	}
	return l
}

func (r *reading) quota(v *block.Values) Quota {
	b := v.Block("quota")
	if b == nil {
		return Quota{}
	}
	b.Sources(r.src, "egress."+v.Label+".quota")
	r.notNothing(b, "quota", "egress = \"100MiB\"", "egress", "ingress")
	var q Quota
	q.Egress, _ = b.Int("egress")
	q.Ingress, _ = b.Int("ingress")
	q.Window, _ = b.Duration("window")
	return q
}

// unlimited refuses limits of pings, which the relay doesn't carry.
func (r *reading) unlimited(v *block.Values, e Egress) {
	if e.Protocol != icmp {
		return
	}
	for _, name := range []string{"bandwidth", "connections", "quota"} {
		if b := v.Block(name); b != nil {
			r.errorf(b.Range, "Limit of pings", "egress %q has protocol \"icmp\", whose packets are few and small whatever is written. Remove %s.", v.Label, name)
		}
	}
}

// notNothing refuses a block that limits nothing: who wrote it meant something.
func (r *reading) notNothing(b *block.Values, what, fix string, names ...string) {
	for _, n := range names {
		if b.Wrote(n) {
			return
		}
	}
	r.errorf(b.Range, "Limit without a number", "%s has none of its limits. Write for example %s, or remove the block.", what, fix)
}

// within warns of rules that may have more open than the environment.
func (r *reading) within(p Policy, v *block.Values) {
	most, whose := p.Connections.Max, "connections.max of the network block"
	if most == 0 {
		most, whose = DefaultOpen, "the default"
	}
	for _, b := range append(v.Blocks("egress"), v.Blocks("ingress")...) {
		c := b.Block("connections")
		if n, ok := c.Int("max"); ok && n > int64(most) {
			r.diags = append(r.diags, block.Warningf(c.At("max"), "Limit that another comes before",
				"%s %q may have %d connections, and the environment %d by %s. Write connections { max = %d } in the network block, if it shall have as many.", b.Name, b.Label, n, most, whose, n))
		}
	}
}

func (l Limits) write(to *block.Writer) {
	if bw := l.Bandwidth; bw != (Bandwidth{}) {
		b := to.Block("bandwidth")
		b.Text("egress", textOfRate(bw.Egress))
		b.Text("ingress", textOfRate(bw.Ingress))
	}
	if c := l.Connections; c != (Connections{}) {
		b := to.Block("connections")
		if c.Max != 0 {
			b.Int("max", int64(c.Max))
		}
		b.Text("rate", c.Rate.String())
	}
}

func (q Quota) write(to *block.Writer) {
	if q == (Quota{}) {
		return
	}
	b := to.Block("quota")
	b.Text("egress", textOfSize(q.Egress))
	b.Text("ingress", textOfSize(q.Ingress))
	b.Text("window", textOfTime(q.Window))
}
