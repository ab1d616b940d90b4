package session

import (
	"fmt"
	"image"
	"path/filepath"

	"wavryhost/encode"
	"wavryhost/session/pipeline"
)

// Rule is what an operator wants of displays beside what holds for all.
type Rule struct {
	// Display is the id of a display, or a pattern of ids: * stands for anything, ? for one character. The first rule
	// that fits a display counts for it.
	Display string
	// Hidden displays are neither listed nor shown to anybody.
	Hidden bool
	// MaxViewers is how many sessions may watch at a time, 0 for any number. With 1 the display is like a console.
	MaxViewers int
	// MaxBitrate is the ceiling of each session, in bits per second, FPS the highest frame rate, and MaxWidth and
	// MaxHeight the largest picture; zero ones are left to the host.
	MaxBitrate, FPS     int
	MaxWidth, MaxHeight int
	// Weight is that of sessions that ask for none, 0 for the usual one.
	Weight int
	// Resize says whether viewers may change its size.
	Resize ResizeRule
}

// ResizeRule says which displays viewers may change the size of.
type ResizeRule string

// The rules. Without one, virtual displays change their size.
const (
	ResizeVirtual ResizeRule = ""
	ResizeAllow   ResizeRule = "allow"
	ResizeDeny    ResizeRule = "deny"
)

// validate returns an error that names what cannot work.
func (r Rule) validate() error {
	switch _, err := filepath.Match(r.Display, ""); {
	case err != nil || r.Display == "":
		return fmt.Errorf("session: %q is no pattern of displays", r.Display)
	case r.MaxViewers < 0 || r.MaxBitrate < 0:
		return fmt.Errorf("session: a limit of display %s is negative", r.Display)
	case r.FPS < 0 || r.FPS > 240:
		return fmt.Errorf("session: frame rate %d of display %s is not from 1 to 240", r.FPS, r.Display)
	case (r.MaxWidth == 0) != (r.MaxHeight == 0), r.MaxWidth != 0 && (r.MaxWidth < encode.MinSide ||
		r.MaxHeight < encode.MinSide):
		return fmt.Errorf("session: size %dx%d of display %s is not %dx%[4]d or "+
			"more", r.MaxWidth, r.MaxHeight, r.Display, encode.MinSide)
	case r.Resize != ResizeVirtual && r.Resize != ResizeAllow && r.Resize != ResizeDeny:
		return fmt.Errorf("session: %q of display %s is neither allow nor deny", r.Resize, r.Display)
	case r.Weight < 0 || r.Weight > maxWeight:
		return fmt.Errorf("session: weight %d of display %s is not from %d to "+
			"%d", r.Weight, r.Display, minWeight, maxWeight)
	}
	return nil
}

// size bounds a picture's size, whose shape stays.
func (r Rule) size(p image.Point) image.Point {
	return pipeline.DisplayLimits{MaxWidth: r.MaxWidth, MaxHeight: r.MaxHeight}.Size(p)
}
