package conf

import "strings"

// nearest returns the word that s may have been meant to be: the same but for
// case, one that begins with s, or the one fewest typing errors away. It is
// empty when nothing is near, and for words too short to tell.
func nearest(s string, words []string) string {
	if len(s) < 3 {
		return ""
	}
	lower := strings.ToLower(s)
	best, least := "", 1+min(2, len(s)/2)
	for _, w := range words {
		d := distance(lower, strings.ToLower(w))
		if d > 0 && strings.HasPrefix(strings.ToLower(w), lower) {
			d = 1
		}
		if d < least {
			best, least = w, d
		}
	}
	return best
}

// distance counts the letters to insert, remove, change or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			d := row[j-1]
			if a[i-1] != b[j-1] {
				d = 1 + min(d, row[j], next[j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, 1+before[j-2])
			}
			next[j] = d
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
