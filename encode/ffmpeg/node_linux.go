//go:build cgo && !noffmpeg

package ffmpeg

import (
	"golang.org/x/sys/unix"

	"wavryhost/capture"
)

// deviceOf returns the device of a render node, or the zero value if it is not known.
func deviceOf(path string) capture.Device {
	var info unix.Stat_t
	if unix.Stat(path, &info) != nil || info.Mode&unix.S_IFMT != unix.S_IFCHR {
		return capture.Device{}
	}
	return capture.Device{Major: unix.Major(info.Rdev), Minor: unix.Minor(info.Rdev)}
}
