//go:build cgo && !noffmpeg && !linux

package ffmpeg

import "wavryhost/capture"

// deviceOf is not known on this system.
func deviceOf(string) capture.Device { return capture.Device{} }
