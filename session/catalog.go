package session

import (
	"context"
	"fmt"
	"image"
	"log/slog"
	"slices"
	"sync/atomic"

	"wavryhost/adapt"
	"wavryhost/encode"
)

// catalog lists the displays that may be watched.
type catalog struct {
	conf    *live
	watched *watched
	log     *slog.Logger
	emit    func(Event) uint64

	first   string                  // the default display at the last look; it belongs to the janitor
	present atomic.Pointer[Display] // the same, for metrics; nil before
}

// usual returns the default display as it was at the last look, or a usual one.
func (c *catalog) usual() Display {
	if d := c.present.Load(); d != nil {
		return *d
	}
	return Display{Width: 1280, Height: 720}
}

// list returns the displays that may be watched, the default first. It includes displays with viewers even while a look
// does not find them.
func (c *catalog) list(ctx context.Context) []Display {
	cfg := c.conf.get()
	list := slices.Clone(cfg.Displays(ctx))
	for _, d := range c.watched.list() {
		if !slices.ContainsFunc(list, func(one Display) bool { return one.ID == d.ID }) {
			list = append(list, d)
		}
	}
	return slices.DeleteFunc(list, func(d Display) bool { return cfg.rule(d.ID).Hidden })
}

// find returns the display with an ID, or the default one. The ID of a group gives a display that stands for it.
func (c *catalog) find(ctx context.Context, id string) (Display, error) {
	displays := c.list(ctx)
	if id == "default" && len(displays) > 0 {
		id = standard(displays)
	}
	for _, d := range displays {
		if d.ID == id {
			return d, nil
		}
	}
	if d, ok := groupOf(displays, id); ok {
		return d, nil
	}
	return Display{}, fmt.Errorf("%w: %.80q", ErrUnknownDisplay, id)
}

// standard returns the ID of the default display, or of the group that it stands for.
func standard(displays []Display) string {
	switch {
	case len(displays) == 0:
		return ""
	case displays[0].ForGroup:
		return displays[0].Group
	default:
		return displays[0].ID
	}
}

// largest returns the largest picture that a viewer of display d may be sent, whose picture has a given size at
// present: it may be moved to any other display.
func (c *catalog) largest(ctx context.Context, d Display, size image.Point) encode.Stream {
	cfg := c.conf.get()
	best := cfg.rule(d.ID).size(size)
	most := encode.Stream{FPS: cfg.fps(d.ID), BitsPerSecond: cfg.adaptation(encode.MinSide, encode.MinSide,
		adapt.PriceFree, 0).WithDefaults().Max}
	for _, d := range c.list(ctx) {
		p := cfg.rule(d.ID).size(image.Pt(d.Width, d.Height))
		most.FPS = max(most.FPS, cfg.fps(d.ID))
		if p.X*p.Y > best.X*best.Y {
			best = p
		}
	}
	most.Width, most.Height = best.X, best.Y
	return most
}

// noteDefault makes it known when another display has become the default. Sessions stay where they are. The janitor
// calls it.
func (c *catalog) noteDefault(ctx context.Context) {
	displays := c.list(ctx)
	if len(displays) == 0 {
		return
	}
	c.present.Store(&displays[0])
	if displays[0].ID == c.first {
		return
	}
	from := c.first
	c.first = displays[0].ID
	if from == "" {
		return
	}
	event := c.emit(Event{Kind: EventDefault, Display: c.first, From: from, To: c.first})
	c.log.Info("default display changed", "event", event, "from", from, "to", c.first)
}
