// Package ffmpeg implements encode.Encoder with FFmpeg's libavcodec, and the conversion before it with libyuv. It is
// the only package that touches FFmpeg. Built without cgo or with the tag noffmpeg it offers the same functions, which
// say that the encoders are missing.
package ffmpeg
