// Package ttl is the ttl attribute: an environment that is destroyed when it has been
// there for a time.
package ttl

import (
	"time"

	"blast.example/blast/plan"
)

// Name is the name of this kind and of its attribute; Addr is the address of its object.
const (
	Name = "ttl"
	Addr = "ttl.deadline"
)

// TTL is the attributes of ttl.deadline.
type TTL struct {
	TTL time.Duration `json:"ttl"` // nanoseconds, from the first apply that has one
}

// Of is the one among recorded objects; 0 is none.
func Of(objs []plan.Object) (t TTL) {
	for _, o := range objs {
		if o.Addr == Addr {
			_ = o.Decode(&t) // what can't be read is told by others
		}
	}
	return t
}
