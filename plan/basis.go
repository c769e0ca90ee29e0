package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Mode is what a plan is for, in Terraform's words where it has them.
type Mode string

// The modes of a plan.
const (
	Normal      Mode = "normal"       // to what blast.hcl says
	Destroy     Mode = "destroy"      // to nothing
	RefreshOnly Mode = "refresh-only" // records what is there; changes nothing on the host
	Rollback    Mode = "rollback"     // to an earlier generation
	Load        Mode = "load"         // to a snapshot
)

// A Basis is what a plan was made from, so that a saved one notices what moved
// since. Values are digests, but for those of Host, which are shown.
type Basis struct {
	Files     map[string]string `json:"files,omitempty"`     // blast.hcl and what else says what it means, by name
	Variables map[string]string `json:"variables,omitempty"` // those that aren't sensitive, by name
	Objects   string            `json:"objects,omitempty"`   // what the configuration comes to: by it also functions that read
	Lock      string            `json:"lock,omitempty"`      // lock files
	Host      map[string]string `json:"host,omitempty"`      // facts of the machine, by name: "kernel" → "6.18.1"
}

// Machine is the fact that says which machine a plan was made on.
const Machine = "machine"

// DigestOf is the digest of parts of a basis: hex digits of their SHA-256, framed
// so that no two lists of parts have the same.
func DigestOf(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(strconv.AppendInt(nil, int64(len(p)), 10))
		h.Write([]byte{'\n'})
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Digest identifies the plan with all that it was made from: 64 hex digits of a
// SHA-256. Two runs that would do the same from the same have the same.
func (p Plan) Digest() (string, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("digest of plan: %w", err)
	}
	return DigestOf(b), nil
}

// Moved names what of all that p was made from is otherwise in now: a line each,
// such as "configuration: blast.hcl" or "state: serial 3 -> 4". Nothing is an
// empty list.
func (p Plan) Moved(now Plan) []string {
	var out []string
	if p.Lineage != now.Lineage && p.Lineage != "" && now.Lineage != "" {
		out = append(out, "state: of another lineage, so of an environment made anew")
	} else if p.Serial != now.Serial {
		out = append(out, fmt.Sprintf("state: serial %d -> %d", p.Serial, now.Serial))
	}
	a, b := p.Basis, now.Basis
	files := moved(a.Files, b.Files)
	vars := moved(a.Variables, b.Variables)
	for _, f := range files {
		out = append(out, "configuration: "+f)
	}
	for _, v := range vars {
		out = append(out, "variable: "+v)
	}
	if a.Objects != b.Objects && len(files)+len(vars) == 0 {
		out = append(out, "configuration: a value that blast.hcl reads from elsewhere")
	}
	if a.Lock != b.Lock {
		out = append(out, "lock: the packages that are locked")
	}
	for _, k := range moved(a.Host, b.Host) {
		out = append(out, fmt.Sprintf("host: %s %s -> %s", k, orNone(a.Host[k]), orNone(b.Host[k])))
	}
	return out
}

// moved are the sorted keys whose values differ.
func moved(a, b map[string]string) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.DeleteFunc(slices.Compact(keys), func(k string) bool {
		x, inA := a[k]
		y, inB := b[k]
		return inA == inB && x == y
	})
}

func orNone(s string) string {
	if strings.TrimSpace(s) == "" {
		return "none"
	}
	return s
}
