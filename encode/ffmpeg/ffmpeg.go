// Package ffmpeg implements encode.Encoder with FFmpeg's libavcodec, and the conversion before it with libyuv. It is the
// only package that touches FFmpeg. Built without cgo or with the tag noffmpeg it offers the same functions, which say
// that the encoders are missing.
package ffmpeg

import (
	"log/slog"

	"wavryhost/encode"
)

// Config says which devices to use.
type Config struct {
	// VAAPIDevice is the device that VAAPI encodes on, such as /dev/dri/renderD128. Empty leaves the choice to FFmpeg.
	VAAPIDevice string
}

// Factories returns a factory for each profile, the preferred first.
func Factories(cfg Config, log *slog.Logger) []encode.Factory {
	var factories []encode.Factory
	for _, p := range encode.Profiles() {
		factories = append(factories, New(p, cfg, log))
	}
	return factories
}
