package pipeline

import (
	"wavryhost/adapt"
	"wavryhost/capture"
	"wavryhost/encode"
)

const (
	// spans is the number of spans of a frame that are sampled, and spanLength their length in pixels. 1024 pixels
	// take some microseconds.
	spans, spanLength = 64, 16
	// smallChange is the part of the picture below which a change does not show the kind of content.
	smallChange = 0.02
	// photoFlat and textFlat bound the part of neighboring pixels that are equal. Windows and text are mostly flat,
	// photographs and films hardly anywhere.
	photoFlat, textFlat = 0.35, 0.6
)

// kinds are the kinds of content for encoders.
var kinds = map[adapt.ContentClass]encode.Content{
	adapt.Text: encode.ContentText, adapt.Mixed: encode.ContentMixed, adapt.Motion: encode.ContentFilm,
}

// content tracks the kind of content that a display shows.
type content struct {
	flat  float64 // EWMA of the part of neighboring pixels that are equal
	begun bool
}

// see samples a frame of which a part has changed. A nil frame changes nothing.
func (c *content) see(f *capture.Frame, changed float64) Picture {
	// The class is not worth a copy of a surface to main memory.
	if f != nil && f.Surface == nil && changed >= smallChange {
		if flat, ok := flatness(f); ok && c.begun {
			c.flat += (flat - c.flat) / 8
		} else if ok {
			c.flat, c.begun = flat, true
		}
	}
	s := Picture{Dirty: changed, Class: adapt.Mixed}
	switch {
	case !c.begun:
	case c.flat < photoFlat:
		s.Class = adapt.Motion
	case c.flat > textFlat:
		s.Class = adapt.Text
	}
	return s
}

// flatness returns the part of neighboring pixels of the damage that are equal, by samples spread over it. It reports
// false if no damaged rectangle is wide enough for a sample.
func flatness(f *capture.Frame) (float64, bool) {
	area := 0
	for _, r := range f.Damage {
		if r = r.Intersect(f.Bounds()); r.Dx() >= spanLength {
			area += r.Dx() * r.Dy()
		}
	}
	equal, all := 0, 0
	for _, r := range f.Damage {
		if r = r.Intersect(f.Bounds()); r.Dx() < spanLength {
			continue
		}
		n := max(1, spans*r.Dx()*r.Dy()/area)
		for i := range n {
			// The golden ratio spreads the columns, whatever the rows are.
			y := r.Min.Y + (2*i+1)*r.Dy()/(2*n)
			x := r.Min.X + i*618034%1000000*(r.Dx()-spanLength+1)/1000000
			line := f.Pix[y*f.Stride+4*x:]
			for k := 4; k < 4*spanLength; k += 4 {
				all++
				if line[k] == line[k-4] && line[k+1] == line[k-3] && line[k+2] == line[k-2] {
					equal++
				}
			}
		}
	}
	return float64(equal) / float64(max(1, all)), all > 0
}
