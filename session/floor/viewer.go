package floor

import "time"

// Display is a display as floor control sees it.
type Display struct {
	ID string
	// Open makes its injector; nil where it takes no input.
	Open func() Injector
	// Brief displays end soon after their last viewer, so that their injectors must not stay open.
	Brief bool
}

// Viewer is the viewer of a session as floor control sees it. Its methods are called with the mutex of Control held and
// must not wait.
type Viewer interface {
	// Display returns the display that the viewer sees.
	Display() Display
	// Away reports whether the path to the viewer is lost. pion finds that out after five seconds without a sign of
	// life; after that time nothing stays held.
	Away() bool
	// LastHeard returns the time of the last RTCP packet from the viewer.
	LastHeard() time.Time
	// ControlChanged makes a change of control known, and returns the ID of its event.
	ControlChanged(c Change) uint64
	// ChannelRefused makes known that a data channel was closed at once, and returns the ID of the event. reason is one of
	// ChannelRefusals.
	ChannelRefused(display, reason string) uint64
}

// Change is a change of control of a display.
type Change struct {
	Display string
	// From and To are the sessions that had control before and have it from here on; empty for none.
	From, To string
	// Reason is one of Reasons.
	Reason string
}
