package edit

import (
	"fmt"
	"strings"
)

// around is how many unchanged lines are shown beside changed ones.
const around = 2

// Diff shows which lines differ, each with its number in what is new, and some around
// them. It is for a person's terminal: what is in the lines is the caller's to escape.
func Diff(was, is []byte) []string {
	a, b := lines(was), lines(is)
	kept := common(a, b)
	var out []string
	shown := -1 // the last line of b that was shown
	i, j := 0, 0
	for k := 0; k <= len(kept); k++ {
		ni, nj := len(a), len(b)
		if k < len(kept) {
			ni, nj = kept[k][0], kept[k][1]
		}
		if i < ni || j < nj {
			for c := max(shown+1, j-around); c < j; c++ {
				out = append(out, fmt.Sprintf("%4d   %s", c+1, b[c]))
			}
			for ; i < ni; i++ {
				out = append(out, "     - "+a[i])
			}
			for ; j < nj; j++ {
				out = append(out, fmt.Sprintf("%4d + %s", j+1, b[j]))
			}
			for shown = j - 1; shown+1 < min(len(b), j+around) && k+shown+1-j < len(kept) && kept[k+shown+1-j][1] == shown+1; shown++ {
				out = append(out, fmt.Sprintf("%4d   %s", shown+2, b[shown+1]))
			}
		}
		i, j = ni+1, nj+1
	}
	return out
}

func lines(b []byte) []string {
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// common are pairs of lines that are the same, in order: those at both ends, and
// between them each line of a at the first place that is left in b. That is the longest
// such list where lines were only added.
func common(a, b []string) [][2]int {
	var head, tail [][2]int
	lo := 0
	for lo < min(len(a), len(b)) && a[lo] == b[lo] {
		head = append(head, [2]int{lo, lo})
		lo++
	}
	ea, eb := len(a), len(b)
	for ea > lo && eb > lo && a[ea-1] == b[eb-1] {
		ea, eb = ea-1, eb-1
		tail = append(tail, [2]int{ea, eb})
	}
	for i, j := lo, lo; i < ea; i++ {
		for n := j; n < eb; n++ {
			if a[i] == b[n] {
				head, j = append(head, [2]int{i, n}), n+1
				break
			}
		}
	}
	for i := len(tail) - 1; i >= 0; i-- {
		head = append(head, tail[i])
	}
	return head
}
