//go:build !linux

package pressure

// drivers returns none: this system does not tell.
func drivers() []driver { return nil }
