package pipeline

import (
	"image"
	"log/slog"
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
	"wavryhost/platform/guard"
	"wavryhost/session/progress"
)

// MaxEncodings is the maximum number of encodings of one display.
const MaxEncodings = 3

// Config holds the settings of a Pool. It is read whenever it is needed, so that changes apply at once. An open
// display keeps the limits that it was opened with.
type Config struct {
	// Encodings is the maximum number of concurrent encodings of one display, from 1 to MaxEncodings.
	Encodings int
	// HardwareEncodings is the maximum number of concurrent encodings of one hardware encoder, or 0 for no limit.
	HardwareEncodings int
	// Linger is how long a display stays open after its last user.
	Linger time.Duration
	// Limits returns the limits of a display.
	Limits func(display string) DisplayLimits
}

// DisplayLimits are the limits of a display's pictures.
type DisplayLimits struct {
	// FPS is the highest frame rate.
	FPS int
	// MaxWidth and MaxHeight are the largest size in pixels, both 0 for no limit.
	MaxWidth, MaxHeight int
}

// Size returns the size of a picture within the limits. It keeps the shape.
func (l DisplayLimits) Size(p image.Point) image.Point {
	if l.MaxWidth == 0 || p.X <= l.MaxWidth && p.Y <= l.MaxHeight {
		return p
	}
	f := min(float64(l.MaxWidth)/float64(p.X), float64(l.MaxHeight)/float64(p.Y))
	return image.Pt(int(float64(p.X)*f), int(float64(p.Y)*f))
}

// Display is a display that can be captured.
type Display struct {
	// ID is unique on the host.
	ID string
	// Cursor is where its pointer goes. Views with and without the pointer are captured apart.
	Cursor capture.CursorMode
	// Open opens it for capture.
	Open capture.Opener
}

// Deps are what a Pool reports to.
type Deps struct {
	Log      *slog.Logger
	Metrics  *Metrics
	Observer Observer
	// Guard returns a guard that catches panics of the pipeline's loops and of drivers. A nil Guard lets them pass.
	Guard func(*slog.Logger) *guard.Guard
	// Progress has the capture loops and encode loops. It may be nil.
	Progress *progress.Board
}

// guard returns a guard for the loops that log to log.
func (d Deps) guard(log *slog.Logger) *guard.Guard {
	if d.Guard == nil {
		return nil
	}
	return d.Guard(log)
}

// Observer is told what happens to displays and encoders. Its methods do not block and take no lock of this package.
// Each returns the ID of the event that it made, for the log record.
type Observer interface {
	// DisplayLost reports that a display was lost. Its subscribers keep the last picture.
	DisplayLost(display string, why LostReason, err error) (event uint64)
	// DisplayBack reports that a lost display is live again.
	DisplayBack(display string) (event uint64)
	// DisplayPolled reports that a display is polled, because it does not report all that changes.
	DisplayPolled(display string) (event uint64)
	// EncoderReplaced reports that an encoding of a display changed its encoder.
	EncoderReplaced(display string, f Fallback) (event uint64)
}

// Fallback is the replacement of an encoder.
type Fallback struct {
	Format encode.Format
	// From is the name of the old encoder, To that of the new one. Either may be empty: none.
	From, To string
	Reason   FallbackReason
	Err      error
}
