//go:build !linux

package pressure

// drivers returns none: this system reports no load of cards.
func drivers() []driver { return nil }
