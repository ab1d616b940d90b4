// Package x11 captures a display of an X server.
//
// It uses few extensions: MIT-SHM to have pictures copied into shared memory, DAMAGE to learn what changed, XFIXES for
// the cursor, RANDR for the size, and XInput to learn that the pointer moves. All of them are optional. A Source
// without some of them costs more, and says so in the log.
package x11

import (
	"fmt"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/xproto"
)

// Config configures a Source.
type Config struct {
	// Display is the name of the display: ":0", ":0.1", "host:0" or the path of the server's socket. It defaults to
	// ":0".
	Display string
	// Monitor is the name of a monitor of the display (xproto.Monitor), which alone is captured. It defaults to the
	// whole screen.
	Monitor string
	// Authority has the paths of X authority files ($XAUTHORITY, mostly ~/.Xauthority), in the order of the attempts.
	// Without an existing file the connection is tried without authorization. The environment is never read.
	Authority []string
	// Demand is what the frames are for.
	Demand capture.Demand
	// PointerInterval is the interval for polling the pointer's position while it moves. It defaults to 16 ms.
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
	return c, c.Demand.MemoryOnly()
}

// Info describes a screen of a server.
type Info struct {
	// Err is why the screen cannot be captured.
	Err           error
	Width, Height int // pixels
	Depth         int // color bits of a pixel
	Vendor        string
	Release       uint32   // the vendor's number
	Extensions    []string // sorted

	// The features that a Source will use. Without SharedMemory a picture costs about ten times the CPU. Without
	// Damage the display is polled. Without Cursor the picture has none.
	SharedMemory, Damage, Cursor, Resize bool

	// Monitors are the screen's monitors. Scale is the factor by which programs enlarge texts.
	Monitors []xproto.Monitor
	Scale    float64
}

var _ capture.Source = (*Source)(nil)
