package tags

// Tag is one of the combinations that a wheel is made for.
type Tag struct {
	Python   string // cp311, py3
	ABI      string // cp311, abi3, none
	Platform string // manylinux_2_17_x86_64, any
}

// String returns "cp311-cp311-manylinux_2_17_x86_64".
func (t Tag) String() string { return t.Python + "-" + t.ABI + "-" + t.Platform }

// Ranking answers how good a wheel is for an interpreter.
type Ranking struct{ rank map[Tag]int }

// NewRanking makes a Ranking of tags in order, best first.
func NewRanking(compatible []Tag) Ranking {
	r := Ranking{make(map[Tag]int, len(compatible))}
	for i, t := range compatible {
		if _, twice := r.rank[t]; !twice {
			r.rank[t] = i
		}
	}
	return r
}

// Rank returns the place of the best of a wheel's tags, 0 being the best of
// all. ok is false when the interpreter can't use the wheel.
func (r Ranking) Rank(wheel []Tag) (rank int, ok bool) {
	for _, t := range wheel {
		if i, known := r.rank[t]; known && (!ok || i < rank) {
			rank, ok = i, true
		}
	}
	return rank, ok
}
