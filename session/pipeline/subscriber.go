package pipeline

import (
	"errors"
	"time"

	"wavryhost/adapt"
	"wavryhost/encode"
)

// ErrMoved is returned by Subscriber.Deliver if the subscriber receives its pictures from another encoding.
var ErrMoved = errors.New("pipeline: subscriber moved to another encoding")

// Subscriber is a viewer as its encoding sees it. The encode loop calls the methods; none of them may block.
type Subscriber interface {
	// Viewer returns the same comparable value for all subscribers of one viewer.
	Viewer() any
	// Demand returns what the viewer needs and can accept at the moment.
	Demand(now time.Time) Demand
	// RequestKeyframe asks the viewer's controller for a keyframe, because the viewer cannot decode the next picture.
	RequestKeyframe(now time.Time, why adapt.KeyframeReason)
	// Deliver hands over a picture. After an error the viewer does not receive it. The error is ErrMoved if the viewer
	// receives its pictures from another encoding.
	Deliver(au encode.AccessUnit, p Picture) error
	// Missed reports that a picture went to other subscribers only.
	Missed()
	// Reassign asks the viewer to move to another encoding of its display.
	Reassign(to *Encoding)
	// Applied reports what the encoder runs at.
	Applied(a adapt.Applied)
}

// Demand is what a subscriber needs and can accept.
type Demand struct {
	// Live reports whether the viewer is connected.
	Live bool
	// Probe reports whether it is the host's own probe, whose pictures the metrics do not count.
	Probe bool
	// Ready reports whether its pacer has room for a picture and its controller does not skip one.
	Ready bool
	// Stalled reports whether nothing is heard from the viewer, so that nobody waits for it.
	Stalled bool
	// Keyframe reports whether its controller requests a keyframe.
	Keyframe bool
	// Leaving reports whether it moves to another encoding, so that nobody waits for it here. Arriving reports whether
	// it moves to this one, and Recoding whether it had another codec until then.
	Leaving, Arriving, Recoding bool
	// BitsPerSecond and FPS are the target rates.
	BitsPerSecond, FPS int
	// Scale is the target size as a fraction of the display's.
	Scale float64
	// Limits are the limits of its decoder.
	Limits encode.DecoderLimits
}

// Bound lowers a demand to the limits of the viewer's decoder, for a display's picture of a size in pixels.
func (d *Demand) Bound(l encode.DecoderLimits, width, height int) {
	d.Scale = min(d.Scale, l.Scale(width, height))
	if l.FPS != 0 || l.MacroblocksPerSecond != 0 {
		d.FPS = l.Rate(int(float64(width)*d.Scale), int(float64(height)*d.Scale), d.FPS)
	}
	if l.BitsPerSecond != 0 {
		d.BitsPerSecond = min(d.BitsPerSecond, l.BitsPerSecond)
	}
	d.Limits = l
}

// Picture is what a subscriber learns of a picture besides its access unit.
type Picture struct {
	// Dirty is the changed part of the picture, 0 to 1. It is 0 if the picture was encoded again without a change.
	Dirty float64
	// Class is the kind of content.
	Class adapt.ContentClass
	// Took is the duration of its capture, and Taken the time when its encode began. They are zero if the picture was
	// encoded again.
	Took  time.Duration
	Taken time.Time
}
