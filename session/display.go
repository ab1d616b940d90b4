package session

import (
	"context"
	"fmt"
	"image"

	"wavryhost/capture"
	"wavryhost/session/floor"
)

// Display is one picture that can be watched.
type Display struct {
	// ID is what clients ask for, unique on the host: "x11:0", "synthetic".
	ID string
	// Name is for people.
	Name string
	// Backend is the capture backend's name: "x11", "wayland", "pipewire", "kms", "darwin", "screenshot", "synthetic".
	Backend string
	// Width and Height are the size at the last look, in pixels.
	Width, Height int
	// Layout is how it is arranged, as far as is known.
	Layout Layout
	// State is empty for a display that can be captured as far as is known, else DisplaySlow or DisplayUnusable, and
	// Reason says why.
	State, Reason string
	// Open begins to capture it.
	Open capture.Opener
	// Pointer opens its pointer; nil where that is in the picture only.
	Pointer capture.PointerOpener
	// Input makes what gives it input; nil where it takes none.
	Input func() floor.Injector
	// Resize changes its size, and returns the size of before; nil where that is not possible. An error wraps
	// ErrFixedSize, ErrBadChange for a size that it does not take, or ErrNoPicture for a display that is out of reach.
	Resize func(ctx context.Context, size image.Point) (before image.Point, err error)
	// Virtual displays are made for viewers, who may change their size unless a rule forbids it.
	Virtual bool
	// Group is the ID of the group that the display belongs to; empty for none. A request for the group gets a member
	// that has neither a session nor a reservation. ForGroup makes the default display stand for its group.
	Group    string
	ForGroup bool
	// Hold makes the display run until release is called, which never blocks. It starts a display that does not run. With
	// fresh, a display that runs although nothing holds it is started anew. nil for displays that run anyway. Kept reports
	// whether the display may run although nothing holds it.
	Hold func(ctx context.Context, fresh bool) (release func(), err error)
	Kept func() bool

	choice
}

// choice is what a Display is to a request for a group.
type choice struct {
	// members makes a display stand for its group: one of them is to be chosen.
	members []Display
	// alone marks a member that was chosen. It is for one session. fresh is set if nothing is to be left on it of what
	// others did.
	alone, fresh bool
}

// Layout is how a display is arranged on the desktop.
type Layout struct {
	X        int     `json:"x,omitempty" doc:"Left edge on the desktop, in pixels."`
	Y        int     `json:"y,omitempty" doc:"Top edge on the desktop, in pixels."`
	Rotation int     `json:"rotation,omitempty" doc:"How far the monitor is turned counterclockwise, in degrees. Pictures are upright."`
	Scale    float64 `json:"scale,omitempty" doc:"Size of what programs show, as a fraction of 1: 1.5 is half as large again. Absent if it is unknown."`
	Primary  bool    `json:"primary,omitempty" doc:"The monitor is the desktop's primary one."`
}

// groupOf returns a display that stands for the group with an ID.
func groupOf(displays []Display, id string) (Display, bool) {
	var members []Display
	for _, d := range displays {
		if d.Group == id && id != "" {
			members = append(members, d)
		}
	}
	if len(members) == 0 {
		return Display{}, false
	}
	d := members[0]
	d.ID, d.members = id, members
	return d, true
}

// member returns the member of a group that has an ID. It returns d if there is none, or if d is no group.
func (d Display) member(id string) Display {
	for _, one := range d.members {
		if one.ID == id {
			return one
		}
	}
	return d
}

// orFirst returns the first member of a group, or d if it is no group.
func (d Display) orFirst() Display {
	if len(d.members) > 0 {
		return d.members[0]
	}
	return d
}

// hold makes the display run until release is called.
func (d Display) hold(ctx context.Context) (release func(), err error) {
	if d.Hold == nil {
		return func() {}, nil
	}
	release, err = d.Hold(ctx, d.fresh)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoPicture, d.ID, err)
	}
	return release, nil
}

// kept reports whether the display may run although nothing holds it.
func (d Display) kept() bool { return d.Kept != nil && d.Kept() }
