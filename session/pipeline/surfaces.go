package pipeline

import (
	"time"

	"wavryhost/capture"
	"wavryhost/encode"
)

// A display's pictures stay on the graphics card if all of its encoders read them there. Otherwise they are in main
// memory for all: a copy for each encoder would cost more. If that changes, the display is opened again.

// surfaces returns the surfaces that all encoders of a display read, or none. Where no encoder is open, the next one
// counts. Without subscribers, that of first does.
func (s *encodings) surfaces(now time.Time, first encode.Format) encode.Surfaces {
	var all encode.Surfaces
	found := false
	for _, e := range s.list {
		if !e.forCapture.occupied.Load() {
			continue
		}
		if one := e.surfaces(now); !found {
			all, found = one, true
		} else if one != all {
			return encode.Surfaces{}
		}
	}
	if !found {
		return s.of(first)[0].encoders.nextSurfaces(now, first)
	}
	return all
}

// surfaces returns the surfaces that the encoding's encoder reads.
func (e *Encoding) surfaces(now time.Time) encode.Surfaces {
	if s := e.Status(); s.Encoder != "" {
		return s.surfaces
	}
	return e.encoders.nextSurfaces(now, e.format)
}

// demanding returns a demand for pictures where encoders read them.
func demanding(d capture.Demand, s encode.Surfaces) capture.Demand {
	d.Kinds, d.Device = nil, s.Device
	if s.Kind != capture.Memory {
		d.Kinds = []capture.Kind{s.Kind, capture.Memory}
	}
	return d
}

// suit opens the source again if its pictures could be where the encoders read them, and are not.
func (d *displayState) suit(s encode.Surfaces) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rebuild != nil && d.surfaces != s && (d.traits.Surfaces || d.traits.Kind != capture.Memory) {
		d.rebuild(errRebuild)
	}
}

// suit does what displayState.suit does.
func (p *Pipeline) suit() { p.display.suit(p.encodings.surfaces(time.Now(), p.first)) }
