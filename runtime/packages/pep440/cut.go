package pep440

// cut is a place between versions, the edge of an interval. Most edges can be
// said as "just before this version", because the order of PEP 440 has
// neighbours: nothing lies between 1.0.dev1 with all its local builds and
// 1.0.dev2. Saying an edge in one way only is what lets intervals be compared
// and found empty: ">1.0a1,<1.0a2.dev0" has no member.
type cut struct {
	v    Version
	kind cutKind
}

type cutKind uint8

const (
	bottom     cutKind = iota // before every version
	before                    // just before v
	after                     // just after v, which has a local label
	afterPosts                // after all post-releases of v, which is final
	top                       // after every version
)

func beforeVersion(v Version) cut {
	if v.isFirst() {
		return cut{}
	}
	return cut{v: v, kind: before}
}

// isFirst reports whether no version is below v: 0.dev0.
func (v Version) isFirst() bool {
	zero := Version{epoch: "0", release: []Number{"0"}, dev: "0"}
	return v.Compare(zero) == 0
}

// afterBuilds is after v and all its local builds.
func afterBuilds(v Version) cut {
	v.local = nil
	switch {
	case v.dev != "":
		v.dev = v.dev.next()
	case v.post != "":
		v.post, v.dev = v.post.next(), "0"
	default:
		v.post, v.dev = "0", "0"
	}
	return beforeVersion(v)
}

// aboveVersion is the lower edge of ">v".
func aboveVersion(v Version) cut {
	switch {
	case v.dev != "" || v.post != "":
		return afterBuilds(v)
	case v.phase != noPhase:
		v.pre, v.dev = v.pre.next(), "0"
		return beforeVersion(v)
	}
	return cut{v: v, kind: afterPosts}
}

// prefixEdges are the edges of "==v.*" over the first n release numbers.
func prefixEdges(v Version, n int) (lo, hi cut) {
	edge := func(release []Number) cut {
		return beforeVersion(Version{epoch: v.epoch, release: release, dev: "0"})
	}
	low := append([]Number(nil), v.release[:n]...)
	high := append([]Number(nil), low...)
	high[n-1] = high[n-1].next()
	return edge(low), edge(high)
}

func (c cut) compare(o cut) int {
	if c.isEnd() || o.isEnd() || c.kind == afterPosts && o.kind == afterPosts {
		return c.compareEnds(o)
	}
	if c.kind == afterPosts {
		return -o.compare(c)
	}
	if o.kind == afterPosts {
		if d := c.v.compareRelease(o.v); d != 0 {
			return d
		}
		return -1 // pre-releases, v itself and its posts are all before
	}
	if d := c.v.Compare(o.v); d != 0 {
		return d
	}
	return sign(int(c.kind) - int(o.kind))
}

func (c cut) isEnd() bool { return c.kind == bottom || c.kind == top }

func (c cut) compareEnds(o cut) int {
	if c.kind == afterPosts && o.kind == afterPosts {
		return c.v.compareRelease(o.v)
	}
	if c.kind == o.kind {
		return 0
	}
	return sign(int(c.kind) - int(o.kind))
}
