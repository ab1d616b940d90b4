// Package x11 captures a display of an X server.
//
// It speaks the X protocol itself, over a connection of its own: a client library with process-wide tables of event types
// cannot serve two servers that number their extensions differently, and allocates for each request. What it asks of the
// server is little: MIT-SHM to have pictures copied into memory that both map, DAMAGE to hear what changed, XFIXES for the
// cursor, RANDR for the size, and XInput to hear that the pointer moves. All but the core protocol may be missing; the
// Source then costs more, and says so in the log.
package x11

import (
	"fmt"
	"time"

	"wavryhost/capture"
)

// Config says what to capture.
type Config struct {
	// Display is the display's name: ":0", ":0.1", "host:0" or the path of the server's socket. It defaults to ":0".
	Display string
	// Authority are the paths of X authority files (what $XAUTHORITY names, mostly ~/.Xauthority), in the order in which they are tried. With
	// none, or with ones that do not exist, the connection is tried without authorisation. The environment is never read.
	Authority []string
	// NoCursor leaves the cursor out of the picture.
	NoCursor bool
	// PointerInterval is how often the pointer's position is asked for while it moves. It defaults to 16 ms.
	PointerInterval time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if c.Display == "" {
		c.Display = ":0"
	}
	if c.PointerInterval == 0 {
		c.PointerInterval = 16 * time.Millisecond
	}
	if c.PointerInterval < time.Millisecond || c.PointerInterval > time.Second {
		return c, fmt.Errorf("x11: pointer interval %v is not between 1ms and 1s", c.PointerInterval)
	}
	return c, nil
}

// Info describes a screen of a server.
type Info struct {
	// Err is why it cannot be captured.
	Err           error
	Width, Height int // pixels
	Depth         int // bits of a pixel that carry colour
	Vendor        string
	Release       uint32   // the vendor's number
	Extensions    []string // sorted

	// What the Source will make use of. Without SharedMemory a picture costs about ten times the CPU; without Damage the
	// display is polled; without Cursor the picture has none.
	SharedMemory, Damage, Cursor, Resize bool
}

var _ capture.Source = (*Source)(nil)
