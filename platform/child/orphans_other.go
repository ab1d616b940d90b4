//go:build !linux

package child

// Adopt does nothing. Processes of a desktop are followed on Linux only.
func Adopt() error { return nil }

// EndDescendants does nothing.
func EndDescendants() int { return 0 }

// EndWith does nothing.
func EndWith(string) int { return 0 }

// ReapOrphans does nothing.
func ReapOrphans([]int) []int { return nil }
