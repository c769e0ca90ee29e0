package session

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"blast.example/blast/runtime/resource/usage"
	"blast.example/blast/state"
)

// limitsAddr is resource.LimitsAddr; see policyAddr.
const limitsAddr = "resource.limits"

// limits are resource.Limits, as far as they are explained.
type limits struct {
	CPU struct {
		Quota  int64  `json:"quota_us"`
		Period uint64 `json:"period_us"`
	}
	Memory struct{ Max, High uint64 }
	IO     map[string]uint64
	PIDs   uint64
}

func limitsOf(st state.State) (l limits) {
	for _, o := range st.Objects {
		if o.Addr == limitsAddr {
			_ = o.Decode(&l) // what can't be read is said without its numbers
		}
	}
	return l
}

// A toll is how often limits had been reached at a time.
type toll struct {
	groups usage.Groups
	counts usage.Counts
	at     time.Time
}

func tollOf(env state.Env) toll {
	g, err := usage.Find(env)
	if err != nil || g == (usage.Groups{}) {
		return toll{} // it only explains
	}
	return toll{g, g.Count(), time.Now()}
}

// since is how often limits were reached after the toll was taken, by whichever command
// of the environment.
func (t toll) since() usage.Change {
	if t.counts == nil {
		return usage.Change{}
	}
	return t.groups.Count().Since(t.counts)
}

// explainLimits tells which limits made a process end, wait or fail since before.
func (s Session) explainLimits(st state.State, before toll, change usage.Change) {
	l, r := limitsOf(st), record(s.Env)
	said := false
	tell := func(what, why, item string) {
		if !said {
			s.calm()
			s.say("\n%-78s [R101]", "blast: at a limit of the sandbox, not of the machine")
			said = true
		} else {
			s.say("")
		}
		place := placeOf(st, limitsAddr, item)
		s.say("  what   %s", clean(what))
		s.say("  why    %-68s %s", clean(why), clean(place))
		s.say("  raise  %s", clean(advice(st, l, item, place)))
	}
	if n := change.By[usage.MemoryMax]; n > 0 {
		tell(killed(n, r, before.at), withPeak("memory.max is "+size(l.Memory.Max), peakOf(r, usage.MemoryMax, before.at)), usage.MemoryMax)
	}
	if n := change.By[usage.PIDs]; n > 0 {
		tell(fmt.Sprintf("%s of a process or thread refused (EAGAIN, Resource temporarily unavailable)", times(n, "start")),
			fmt.Sprintf("pids.max is %d, processes and threads together", l.PIDs), usage.PIDs)
	}
	if change.Squeezed() {
		tell("memory was taken back from processes that had to wait for it", "memory.high is "+size(l.Memory.High)+": past it the kernel slows down", usage.MemoryHigh)
	}
	if change.Slowed() {
		tell(fmt.Sprintf("processes waited %s for the CPU, in %d %% of the time", seconds(change.Waited), change.By[usage.CPU]*100/max(change.Periods, 1)),
			"cpu.quota is "+l.cpus(), usage.CPU)
	}
	for _, item := range bandwidths {
		if n := usedUp(r, item, before.at); n >= noticed {
			tell(fmt.Sprintf("%s were as fast as they may be for %ds", directions[item], n), item+" is "+l.bandwidth(item), item)
		}
	}
}

var (
	bandwidths = []string{"io.read_bps", "io.write_bps", "io.read_iops", "io.write_iops"}
	directions = map[string]string{"io.read_bps": "reads", "io.read_iops": "reads", "io.write_bps": "writes", "io.write_iops": "writes"}
)

// noticed is for how many seconds a bandwidth has to be used up to be worth a word.
const noticed = 2

func record(env state.Env) usage.Record {
	r, _, err := usage.LoadRecord(env)
	if err != nil {
		return usage.Record{} // names and peaks are left out
	}
	return r
}

// killed says whom the kernel ended, as far as its log has it.
func killed(n uint64, r usage.Record, after time.Time) string {
	var who []string
	for _, h := range r.Hits {
		if h.Limit != usage.MemoryMax || h.Time.Before(after) {
			continue
		}
		for _, v := range h.Victims[max(0, len(h.Victims)-int(min(n, 8))):] {
			who = append(who, named(v))
		}
	}
	if len(who) == 0 || uint64(len(who)) != n {
		return fmt.Sprintf("out of memory: the kernel ended %s", plural(n, "process", "processes"))
	}
	return "out of memory: the kernel ended " + strings.Join(who, ", ")
}

func named(v state.Victim) string {
	if v.HostPID == 0 {
		return word(v.Command)
	}
	return fmt.Sprintf("%s (pid %d on the host)", word(v.Command), v.HostPID)
}

func peakOf(r usage.Record, limit string, after time.Time) (n uint64) {
	for _, h := range r.Hits {
		if h.Limit == limit && !h.Time.Before(after) {
			n = max(n, h.Peak)
		}
	}
	return n
}

func withPeak(why string, peak uint64) string {
	if peak == 0 {
		return why
	}
	return why + ", and " + size(peak) + " were in use at most"
}

// usedUp is for how many seconds after a time a bandwidth of I/O was used up.
func usedUp(r usage.Record, item string, after time.Time) (n uint64) {
	if after.IsZero() {
		return 0
	}
	for _, h := range r.Hits {
		if h.Limit != item || h.Time.Before(after) {
			continue
		}
		part := h.Time.Sub(later(h.From, after))
		n += min(h.Count, uint64(part.Round(time.Second)/time.Second))
	}
	return n
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// advice is how to have more of it.
func advice(st state.State, l limits, item, place string) string {
	const then = "; then blast apply, and what runs goes on"
	if written(st, item) {
		return item + " at " + place + l.example(item) + then
	}
	block, name, _ := strings.Cut(item, ".")
	if item == usage.CPU {
		name = "max"
	}
	return fmt.Sprintf("it is the default: write resource { %s { %s = ... } }%s%s", block, name, l.example(item), then)
}

// written reports whether a line of blast.hcl says it.
func written(st state.State, item string) bool {
	for _, o := range st.Objects {
		if o.Addr == limitsAddr {
			_, ok := o.Src[item]
			return ok
		}
	}
	return false
}

// example is twice of what there is, in blast.hcl's words.
func (l limits) example(item string) string {
	switch item {
	case usage.MemoryMax:
		return ", " + strconv.Quote(strings.ReplaceAll(size(2*l.Memory.Max), " ", "")) + " say"
	case usage.PIDs:
		return fmt.Sprintf(", %d say", 2*l.PIDs)
	}
	return ""
}

func (l limits) cpus() string {
	return strconv.FormatFloat(float64(l.CPU.Quota)/float64(max(l.CPU.Period, 1)), 'g', 4, 64) + " CPUs"
}

func (l limits) bandwidth(item string) string {
	n := l.IO[strings.TrimPrefix(item, "io.")]
	if strings.HasSuffix(item, "_iops") {
		return fmt.Sprintf("%d/s", n)
	}
	return size(n) + "/s"
}

// size is a number of bytes in the largest unit that leaves no more than one digit behind
// the point.
func size(n uint64) string {
	for _, u := range []struct {
		name string
		n    uint64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.n && n%u.n == 0 {
			return fmt.Sprintf("%d %s", n/u.n, u.name)
		}
		if n >= u.n && u.n < 1<<30 {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.n), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

func seconds(us uint64) string { return fmt.Sprintf("%.1fs", float64(us)/1e6) }

func times(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func plural(n uint64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
