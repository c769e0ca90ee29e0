package ttl

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"blast.example/blast/config"
	"blast.example/blast/config/block"
	"blast.example/blast/plan"
)

// Words is the ttl attribute, as a person writes it.
type Words struct{}

// Name implements config.Words.
func (Words) Name() string { return Name }

// Bounds of the attribute: blastd looks at the clock once a minute.
const (
	minTTL = time.Minute
	maxTTL = 366 * 24 * time.Hour
)

// Attrs declare the ttl attribute.
var Attrs = []block.Attr{{
	Name: Name, Kind: block.Duration, Example: `"8h"`, Min: int64(minTTL), Max: int64(maxTTL), Default: "none: it stays",
	Doc: "How long the environment is there, from the first apply that has a ttl, by the clock. Then blastd destroys it as `blast destroy` does, with its writable layer and whatever runs in it; snapshots stay. A change moves the end and not the beginning. After a restart of the machine an environment whose time is over is destroyed by the first command that looks at it.",
}}

// Schema implements config.Words.
func (Words) Schema() *hcl.BodySchema { return block.Schema(Attrs, nil) }

// Decode implements config.Words.
func (Words) Decode(s config.Scope) ([]plan.Object, hcl.Diagnostics) {
	v, diags := s.Read(Attrs, nil)
	d, ok := v.Duration(Name)
	if !ok {
		return nil, diags
	}
	src := block.Origins{"": {Place: v.Origin(Name).Place}}
	v.Sources(src, "")
	return []plan.Object{src.Object(Addr, TTL{d})}, diags
}
