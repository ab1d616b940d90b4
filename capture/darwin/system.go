package darwin

import (
	"context"
	"fmt"
	"image"
	"math"

	"wavryhost/capture"
)

// system is what a Source needs of macOS. Tests have a fake. Its methods may be called concurrently. While the window
// server hangs, session and displays block.
type system interface {
	// session reports whether the process belongs to a graphical session.
	session() bool
	// permitted reports whether the process may record the screen.
	permitted() bool
	// request has macOS ask the person at the screen for the permission, once for each process.
	request()
	displays() []Display
	// start starts a stream. Threads of macOS call deliver for each sample, one at a time, and stopped when the stream
	// has ended on its own. Neither is called after close, and neither may block.
	start(ctx context.Context, p params, deliver func(sample), stopped func(error)) (stream, error)

	// lock maps a pixel buffer for reading, until unlock: BGRA as one plane, NV12 as two.
	lock(b capture.PixelBuffer) ([]plane, error)
	unlock(b capture.PixelBuffer)
	// release gives a pixel buffer back to macOS.
	release(b capture.PixelBuffer)
}

// stream is a running capture.
type stream interface {
	// resize changes the size of pictures that follow, in pixels.
	resize(size image.Point)
	close()
}

// params are the parameters of a stream.
type params struct {
	display uint32
	size    image.Point // pixels
	nv12    bool        // otherwise BGRA
	cursor  bool
	fps     int // 0 for no limit
}

// plane is a part of a picture in main memory.
type plane struct {
	pix    []byte
	stride int
}

// sample is what a stream delivers.
type sample struct {
	status status
	// buffer is 0 without a picture. The receiver must release it.
	buffer capture.PixelBuffer
	size   image.Point
	// damage is what the picture changed, in pixels. If known is not set, or there is no damage, macOS did not say.
	damage []image.Rectangle
	known  bool
	// scale changes when the display has another size, to which the stream does not adapt itself.
	scale [2]float64
}

// outer returns the smallest rectangle of whole pixels or points around a rectangle.
func outer(x, y, width, height float64) image.Rectangle {
	return image.Rect(int(math.Floor(x)), int(math.Floor(y)), int(math.Ceil(x+width)), int(math.Ceil(y+height)))
}

// status is the status of a sample.
type status int

// The statuses (SCFrameStatus, SCStream.h).
const (
	statusComplete  status = iota // a picture
	statusIdle                    // nothing changed
	statusBlank                   // the display is dark
	statusSuspended               // no updates
	statusStarted                 // the first sample
	statusStopped
)

// domain is the domain of errors of ScreenCaptureKit. SCStreamErrorDomain has this text.
const domain = "com.apple.ScreenCaptureKit.SCStreamErrorDomain"

// systemError is an NSError.
type systemError struct {
	domain, text string
	code         int
}

func (e systemError) Error() string {
	return fmt.Sprintf("macOS reports: %s (%s %d)", e.text, e.domain, e.code)
}

// reasoned gives an error of ScreenCaptureKit its reason, where its code has one (SCError.h).
func (e systemError) reasoned() error {
	if e.domain == domain {
		switch e.code {
		case -3801, -3803: // user declined, missing entitlements
			return fmt.Errorf("%w (%w)", errPermission, e)
		case -3817: // user stopped
			return fmt.Errorf("%w (%w)", errStopped, e)
		case -3814, -3815: // no display list, no capture source
			return fmt.Errorf("%w (%w)", errAbsent, e)
		}
	}
	return e
}
