// Package enum names the values of enumerations. An enumeration is a type, its constants from 0 on without gaps, and
// one table of names that is indexed by the constants:
//
//	type Color uint8
//
//	const (
//		Red Color = iota
//		Green
//	)
//
//	var colors = [...]string{Red: "red", Green: "green"}
//
//	func Colors() []Color          { return enum.All[Color](colors[:]) }
//	func (c Color) String() string { return enum.Name(colors[:], c) }
package enum

import "fmt"

// Name returns the name of v, or its type and number where the table has no name for it.
func Name[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%T(%d)", v, uint8(v))
}

// All returns all values of the enumeration, in the order of the table.
func All[T ~uint8](names []string) []T {
	values := make([]T, len(names))
	for i := range values {
		values[i] = T(i) //nolint:gosec // the table has a name for each value of a uint8 at most
	}
	return values
}
