// Package darwin captures a display of macOS with ScreenCaptureKit, which macOS 12.3 and later have.
//
// ScreenCaptureKit has an interface for Objective-C only. It is called without cgo, by github.com/ebitengine/purego.
// What calls macOS is in the files *_darwin.go. The other files are the same on all systems, and tested with a fake.
//
// macOS delivers each picture in a pixel buffer that it does not write to while the buffer is in use. In main memory a
// frame is that buffer, mapped. For consumers that accept capture.Metal it is the buffer itself, as NV12. Damage is
// what macOS says. A picture without such a statement is compared with the picture before.
//
// A process needs the permission to record the screen, which a person grants in System Settings.
package darwin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"time"

	"wavryhost/capture"
)

// Limits.
const (
	// openTimeout is the limit for a first picture.
	openTimeout = 5 * time.Second
	// heartbeat is the interval for asking the window server for the display. The answer shows that it works.
	heartbeat = 500 * time.Millisecond
	// silence is the time after which a window server without an answer is lost.
	silence = 10 * time.Second
	// maxFrames is the number of frames that may be held at once.
	maxFrames = 3
	// queueDepth is the number of pixel buffers of a stream: those in frames, the newest one, and two for macOS to
	// write to. SCStream.h allows 8.
	queueDepth = maxFrames + 3
	// maxBad is the number of pictures in a row that may fail.
	maxBad = 5
	// diffRows is the height of the bands that are compared.
	diffRows = 16
)

// Grant says how a person lets the daemon capture the screen.
const Grant = "in System Settings, Privacy & Security, Screen & System Audio Recording, switch on wavry-host, or the " +
	"terminal that starts it; then restart wavry-host. A launchd service must be an agent in the session of the user " +
	"(wavry-host service install --user), not a LaunchDaemon"

var (
	errPermission = fmt.Errorf("%w: wavry-host has no permission to record the screen: %s", capture.ErrDenied, Grant)
	errSession    = fmt.Errorf("%w: this process is in no graphical session: %s", capture.ErrDenied, Grant)
	errStopped    = fmt.Errorf("%w: the person at the screen stopped the capture in the menu bar", capture.ErrDenied)
	errAbsent     = fmt.Errorf("%w: no such display is connected", capture.ErrNotFound)
)

// Display is a display that is connected. It may sleep.
type Display struct {
	// ID identifies the display also after a restart of the machine: a UUID.
	ID string
	// Area is its place on the desktop, in points.
	Area image.Rectangle
	// Size is its size in pixels.
	Size    image.Point
	Builtin bool
	Main    bool // it has the menu bar

	number uint32 // CGDirectDisplayID, which changes at will
}

// Scale returns the number of pixels in a point, along one side.
func (d Display) Scale() float64 {
	if d.Area.Empty() {
		return 1
	}
	return float64(d.Size.X) / float64(d.Area.Dx())
}

// Displays lists the displays. This needs no permission. The list is empty on other systems.
func Displays() []Display {
	s, err := open()
	if err != nil {
		return nil
	}
	return s.displays()
}

// Permission returns nil if this process may capture displays, and otherwise why not. It opens no dialog.
func Permission() error {
	s, err := open()
	if err != nil {
		return fmt.Errorf("darwin: %w", err)
	}
	return permission(s)
}

func permission(s system) error {
	switch {
	case !s.session():
		return errSession
	case !s.permitted():
		return errPermission
	}
	return nil
}

// Config configures a Source.
type Config struct {
	// Display is the ID of the display. It defaults to the main one.
	Display string
	// Demand is what the frames are for.
	Demand capture.Demand
}

// New opens a display. It takes no longer than ctx and five seconds. The Source outlives ctx. If the permission is
// missing, macOS asks the person at the screen for it, once.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Source, error) {
	s, err := open()
	if err != nil {
		return nil, fmt.Errorf("darwin: %w", err)
	}
	return newSource(ctx, s, cfg, log)
}

// newSource returns a source of a display of s. It waits for the first picture.
func newSource(ctx context.Context, sys system, cfg Config, log *slog.Logger) (*Source, error) {
	kind, err := kindFor(cfg.Demand)
	if err != nil {
		return nil, fmt.Errorf("darwin: %w", err)
	}
	s := &Source{
		sys: sys, log: log.With("display", cfg.Display), kind: kind, cursor: cfg.Demand.Cursor, whole: true,
		news: make(chan struct{}, 1), heard: time.Now(),
	}
	s.refresh.Store(true)
	s.slots = capture.NewSlots(maxFrames, s.wake)
	s.copier = &capture.Copier{Copy: s.copy}
	limited, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err = s.open(limited, cfg)
	if err == nil {
		return s, nil
	}
	_ = s.Close()
	if ctx.Err() == nil { // otherwise it is the caller's own error
		err = capture.WithReason(err, openReason(err))
	}
	return nil, fmt.Errorf("darwin: open display %s: %w", cmp.Or(cfg.Display, "main"), err)
}

// kindFor returns the kind of memory for a demand.
func kindFor(d capture.Demand) (capture.Kind, error) {
	if d.Area.Empty() {
		for _, k := range d.Kinds {
			if k == capture.Memory || k == capture.Metal {
				return k, nil
			}
		}
	}
	return capture.Memory, d.MemoryOnly()
}

func openReason(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return capture.ErrSilent
	}
	return capture.ErrUnsupported
}
