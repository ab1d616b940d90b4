package main

import (
	"errors"
	"slices"
	"strings"

	"wavryhost/capture"
	"wavryhost/capture/darwin"
	"wavryhost/cmd/wavry-host/doctor"
	"wavryhost/platform/display"
	"wavryhost/session"
)

// macPrefix begins the IDs of displays of macOS. The display's UUID follows, because its number changes.
const macPrefix = "darwin:"

// macDisplays describes the displays of macOS, the main one first. err is why this process may not
// capture them, or nil.
func macDisplays(list []darwin.Display, err error) (all []candidate) {
	for _, d := range list {
		c := candidate{
			ID: macPrefix + d.ID, Name: "External display", Backend: "darwin",
			Width: d.Size.X, Height: d.Size.Y, State: display.Usable,
			Layout: session.Layout{X: d.Area.Min.X, Y: d.Area.Min.Y, Scale: d.Scale(), Primary: d.Main},
		}
		if d.Builtin {
			c.Name = "Built-in display"
		}
		if err != nil {
			c.State, c.Why = display.Unusable, err.Error()
		}
		if d.Main {
			all = slices.Insert(all, 0, c)
			continue
		}
		all = append(all, c)
	}
	return all
}

// screenRecording judges the permission to capture displays of macOS. err is why this process has none, or nil.
func screenRecording(err error) doctor.Finding {
	switch {
	case err == nil:
		return doctor.Fine("macOS lets this process record the screen; wavry-host displays says it of a running daemon")
	case errors.Is(err, capture.ErrUnsupported):
		return doctor.Skip("%v", err)
	}
	what, _, _ := strings.Cut(err.Error(), ": "+darwin.Grant) // that is the repair
	return doctor.Fail(darwin.Grant, "%s", what)
}
