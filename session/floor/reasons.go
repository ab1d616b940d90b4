package floor

import "wavryhost/session/rift"

// Part is the part in which panics are caught here: a viewer's messages, or what gives them to the display.
const Part = "input"

// Why control of a display changed. The set is closed.
const (
	controlTaken        = "taken"         // the display was free, and the viewer gave input
	controlGiven        = "given"         // an operator gave it
	controlWithdrawn    = "withdrawn"     // an operator took it away
	controlIdle         = "idle"          // its holder gave no input for a while
	controlEnded        = "session_ended" // of its holder
	controlClosed       = "channel_closed"
	controlDisconnected = "disconnected"
	controlMoved        = "moved"    // its holder watches another display
	controlOff          = "disabled" // by the settings
)

// Reasons lists why control of a display can change.
func Reasons() []string {
	return []string{
		controlTaken, controlGiven, controlWithdrawn, controlIdle, controlEnded, controlClosed, controlDisconnected,
		controlMoved, controlOff,
	}
}

// Why a data channel is closed at once.
const (
	channelLabel   = "label"
	channelRole    = "role"
	channelOff     = "off"
	channelDisplay = "display"
	channelSecond  = "second"
)

// ChannelRefusals lists why a data channel can be closed at once.
func ChannelRefusals() []string {
	return []string{channelLabel, channelRole, channelOff, channelDisplay, channelSecond}
}

// Why input is dropped, beside rift's faults.
const (
	inputRate        = "rate"
	inputLost        = "lost"
	inputNoControl   = "no_control"
	inputNotAllowed  = "not_allowed"
	inputUnsupported = "unsupported"
)

// drops lists why input can be dropped.
func drops() []string {
	list := []string{inputRate, inputLost, inputNoControl, inputNotAllowed, inputUnsupported}
	for _, fault := range rift.Faults() {
		list = append(list, fault.String())
	}
	return list
}
