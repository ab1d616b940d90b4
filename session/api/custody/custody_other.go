//go:build !unix

package custody

import (
	"io/fs"
	"os"
)

// The mode does not say who has access on this system.
func owned(fs.FileInfo) owner { return ours }

func readOnly(*os.File) bool { return true }
