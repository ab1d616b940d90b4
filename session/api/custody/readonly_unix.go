//go:build unix && !linux

package custody

import "os"

// readOnly always returns false on this system: only the mode counts.
func readOnly(*os.File) bool { return false }
