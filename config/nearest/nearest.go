// Package nearest finds the word that a person probably meant.
package nearest

import (
	"fmt"
	"slices"
)

// Word returns the candidate that is fewest edits away from given, or "" if none
// is near. Among equals the first in alphabetical order wins, so that the same
// mistake always gets the same answer.
func Word(given string, candidates []string) string {
	sorted := slices.Sorted(slices.Values(candidates))
	best, at := "", limit(given)+1
	for _, c := range sorted {
		if c == given {
			continue
		}
		if d := distance(given, c, at); d < at {
			best, at = c, d
		}
	}
	return best
}

// Hint returns ` Did you mean "word"?` with a leading space, or "".
func Hint(given string, candidates []string) string {
	if w := Word(given, candidates); w != "" {
		return fmt.Sprintf(" Did you mean %q?", w)
	}
	return ""
}

// limit is how many edits still count as a slip: one in a short word, up to
// three in a long one.
func limit(word string) int { return min(1+len([]rune(word))/4, 3) }

// longest bounds the work on hostile names.
const longest = 64

// distance counts insertions, deletions, substitutions and swaps of neighbours
// (Damerau-Levenshtein, optimal string alignment). It gives up at most.
func distance(a, b string, most int) int {
	x, y := []rune(a), []rune(b)
	if len(x) > longest || len(y) > longest || max(len(x), len(y))-min(len(x), len(y)) >= most {
		return most
	}
	before, last := make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row := make([]int, len(y)+1)
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}
