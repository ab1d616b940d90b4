//go:build unix

package display

import (
	"io/fs"
	"syscall"
)

// identity distinguishes a file from another one of the same name.
func identity(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}
