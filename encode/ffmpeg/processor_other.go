//go:build cgo && !noffmpeg && !unix

package ffmpeg

import "time"

// processorTime is not available on this system.
func processorTime() (time.Duration, bool) { return 0, false }
