package names

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The budget of a wildcard. A name below "*.example.com" can carry 240 bytes to example.com's
// name server, and a sandbox invents names as it likes. A program has the names of some
// hosts to ask for; a tunnel needs ever more.
const (
	burstNames = 512             // names at once
	everyName  = 5 * time.Second // then one more in this time
	burstBytes = 16 << 10        // bytes of them, without the wildcard's own
	everyByte  = time.Minute / 1024
)

// A Budget bounds the names that a sandbox makes up below each wildcard of its rules. A
// name costs once, as long as the table has it. It may be used by several goroutines.
type Budget struct {
	mu   sync.Mutex
	left map[string]purse // by wildcard
}

type purse struct{ names, bytes *rate.Limiter }

// NewBudget returns a budget of which nothing is spent.
func NewBudget() *Budget { return &Budget{left: map[string]purse{}} }

// Spend takes a new name below a wildcard, "*.example.com", from its budget. It returns why
// not if too little is left; then nothing is taken.
func (b *Budget) Spend(wildcard, name string) (why string) {
	return b.spend(wildcard, name, time.Now())
}

func (b *Budget) spend(wildcard, name string, now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.left[wildcard]
	if !ok {
		p = purse{rate.NewLimiter(rate.Every(everyName), burstNames), rate.NewLimiter(rate.Every(everyByte), burstBytes)}
		b.left[wildcard] = p
	}
	size := len(name) - len(wildcard) + 1 // of what the "*" stands for
	if p.names.TokensAt(now) < 1 || p.bytes.TokensAt(now) < float64(size) {
		return fmt.Sprintf("too many new names below %s: %d at once and one in %v, of %d bytes and %d a minute, are what a program needs and a tunnel doesn't have; a rule that spells a name out has no such bound",
			wildcard, burstNames, everyName, burstBytes, time.Minute/everyByte)
	}
	p.names.AllowN(now, 1)
	p.bytes.AllowN(now, size)
	return ""
}
