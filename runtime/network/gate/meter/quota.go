package meter

import (
	"fmt"
	"time"

	"blast.example/blast/config/block"
	"blast.example/blast/runtime/network"
)

// Used is what a rule has used of its quota.
type Used struct {
	Egress  int64     `json:"egress"`         // bytes
	Ingress int64     `json:"ingress"`        // bytes
	Since   time.Time `json:"since,omitzero"` // the first byte of this window
}

func (u *Used) of(d Direction) *int64 {
	if d == Egress {
		return &u.Egress
	}
	return &u.Ingress
}

// sound reports whether Used can have been written by a Meters.
func (u Used) sound() bool { return u.Egress >= 0 && u.Ingress >= 0 }

// renew begins a new window if the last one is over.
func (u *Used) renew(q network.Quota, now time.Time) {
	if q.Window > 0 && !u.Since.IsZero() && !now.Before(u.Since.Add(q.Window)) {
		*u = Used{}
	}
}

// spend takes n bytes of what is left, or all if that is less: then it is used up.
func (u *Used) spend(q network.Quota, d Direction, n int64, now time.Time) bool {
	u.renew(q, now)
	if u.Since.IsZero() {
		u.Since = now.Round(0) // as it is read back: without the monotonic clock
	}
	most, used := budget(q, d), u.of(d)
	if most > 0 && n > most-*used {
		*used = max(most, *used)
		return false
	}
	*used += n
	return true
}

// spent is the direction whose budget is used up.
func (u *Used) spent(q network.Quota, now time.Time) (Direction, bool) {
	u.renew(q, now)
	for _, d := range []Direction{Egress, Ingress} {
		if most := budget(q, d); most > 0 && *u.of(d) >= most {
			return d, true
		}
	}
	return 0, false
}

func budget(q network.Quota, d Direction) int64 {
	if d == Egress {
		return q.Egress
	}
	return q.Ingress
}

// again is when a rule opens by itself; zero is never.
func (u *Used) again(q network.Quota) time.Time {
	if q.Window == 0 || u.Since.IsZero() {
		return time.Time{}
	}
	return u.Since.Add(q.Window)
}

// refusal says what is used up and when it opens again.
func (u *Used) refusal(rule string, q network.Quota, d Direction) *LimitError {
	did := map[Direction]string{Egress: "sent", Ingress: "got"}[d]
	until := ""
	if again := u.again(q); !again.IsZero() {
		until = " until " + again.Local().Format("2006-01-02 15:04:05 MST")
	}
	return &LimitError{
		Rule:   rule,
		Limit:  rule + ".quota." + d.String(),
		Reason: fmt.Sprintf("%s has %s the %s that its quota.%s allows, and is closed%s: raise the quota to open it now", spoken(rule), did, block.FormatSize(budget(q, d)), d, until),
	}
}
