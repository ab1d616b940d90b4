package watched

import (
	"fmt"
	"io/fs"
	"syscall"
)

// identify returns an identity of the file behind a name, which includes when the system last changed it.
func identify(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprint(s.Dev, s.Ino, s.Ctimespec)
}
