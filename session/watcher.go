package session

import (
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
)

// watcher is a viewer as its rung sees it. The encode loop calls the methods; none of them blocks.
type watcher interface {
	// ask returns what the viewer wants and can take at the moment.
	ask(now time.Time) ask
	// need asks the viewer's controller for a keyframe, because the viewer has nothing to build the next picture on.
	need(now time.Time, why adapt.KeyframeReason)
	// take hands over a picture, with what is known of it. Its error says that the viewer does not get it.
	take(au encode.AccessUnit, what shown) error
	// miss tells that a picture went to other viewers only.
	miss()
	// move asks the viewer to go to another rung of its display.
	move(to *rung)
	// applied tells what the encoder really took.
	applied(adapt.Applied)
}

// ask is what a viewer wants and can take.
type ask struct {
	// live: the viewer is connected.
	live bool
	// ready: its pacer has room for a picture, and its controller does not ask to skip.
	ready bool
	// stalled: nothing is heard from it, so nobody waits for it.
	stalled bool
	// key: its controller wants a keyframe.
	key bool
	// leaving: it is on its way to another rung, so that nobody waits for it here; arriving: it is on its way to this one.
	leaving, arriving bool
	// bitrate is in bits per second; scale is the wanted size as a fraction of the display's.
	bitrate, fps int
	scale        float64
	// limits are its decoder's.
	limits encode.DecoderLimits
}

// bound lowers a to the limits of the viewer's decoder, for a display's picture of a size in pixels.
func (a *ask) bound(l encode.DecoderLimits, width, height int) {
	a.scale = min(a.scale, l.Scale(width, height))
	if l.FPS != 0 || l.MacroblocksPerSecond != 0 {
		a.fps = l.Rate(int(float64(width)*a.scale), int(float64(height)*a.scale), a.fps)
	}
	a.bitrate = min(a.bitrate, orMost(l.BitsPerSecond))
	a.limits = l
}
