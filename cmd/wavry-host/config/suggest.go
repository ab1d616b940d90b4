package config

// suggest returns "; did you mean …?" if a known word is similar to the given one.
func suggest(given string, known ...string) string {
	best, least := "", len(given)/3+2 // a third of it may be wrong
	for _, k := range known {
		if d := distance(given, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return `; did you mean "` + best + `"?`
}

// distance is the number of bytes to insert, remove or replace to turn a into b (Levenshtein).
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a) // longer than all known words
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
