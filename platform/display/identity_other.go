//go:build !unix

package display

import "io/fs"

// identity distinguishes a file from another one of the same name, where the system can.
func identity(fs.FileInfo) uint64 { return 0 }
