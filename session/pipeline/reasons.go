package pipeline

import "wavryhost/session/enum"

// State is the state of a display's capture.
type State uint8

// The states.
const (
	// Idle: the display is not captured.
	Idle State = iota
	// Live: the display gives pictures.
	Live
	// Lost: the display went away or hangs.
	Lost
)

var states = [...]string{Idle: "idle", Live: "live", Lost: "lost"}

// States lists all states.
func States() []State { return enum.All[State](states[:]) }

func (s State) String() string { return enum.Name(states[:], s) }

// LostReason is why a display is lost.
type LostReason uint8

// The reasons.
const (
	// LostGone: its source ended.
	LostGone LostReason = iota
	// LostHung: it does not answer.
	LostHung
)

var lostReasons = [...]string{LostGone: "gone", LostHung: "hung"}

// LostReasons lists all reasons.
func LostReasons() []LostReason { return enum.All[LostReason](lostReasons[:]) }

func (r LostReason) String() string { return enum.Name(lostReasons[:], r) }

// Health is the worst condition of the displays with users.
type Health uint8

// The conditions.
const (
	Healthy Health = iota
	// DisplayLost: a display is lost.
	DisplayLost
	// NoEncoder: all encoders of a format failed.
	NoEncoder
)

var healths = [...]string{Healthy: "", DisplayLost: "display_lost", NoEncoder: "no_encoder"}

// Healths lists all conditions.
func Healths() []Health { return enum.All[Health](healths[:]) }

func (h Health) String() string { return enum.Name(healths[:], h) }

// FallbackReason is why an encoder was replaced.
type FallbackReason uint8

// The reasons.
const (
	// FallbackOpen: it could not be opened.
	FallbackOpen FallbackReason = iota
	// FallbackFull: its device runs its maximum number of encodings.
	FallbackFull
	// FallbackSize: it does not support the size.
	FallbackSize
	// FallbackError: it returned an error.
	FallbackError
	// FallbackHang: a call of it did not return in time.
	FallbackHang
	// FallbackPanic: a call of it panicked.
	FallbackPanic
	// FallbackOutput: its output does not decode.
	FallbackOutput
	// FallbackRate: its pictures take several times their share of the rate.
	FallbackRate
	// FallbackSurface: it cannot read the display's pictures on the graphics card. It continues with main memory.
	FallbackSurface
)

var fallbackReasons = [...]string{
	FallbackOpen: "open", FallbackFull: "full", FallbackSize: "size", FallbackError: "error", FallbackHang: "hang",
	FallbackPanic: "panic", FallbackOutput: "output", FallbackRate: "rate", FallbackSurface: "surface",
}

// FallbackReasons lists all reasons.
func FallbackReasons() []FallbackReason { return enum.All[FallbackReason](fallbackReasons[:]) }

func (r FallbackReason) String() string { return enum.Name(fallbackReasons[:], r) }

// Drop is where and why a frame was dropped.
type Drop uint8

// The drops.
const (
	// DropUnchanged: the source returned a frame without a change.
	DropUnchanged Drop = iota
	// DropUnwatched: no subscriber is connected.
	DropUnwatched
	// DropBusy: a newer frame came while the encoder worked on an older one.
	DropBusy
	// DropCongested: a newer frame came while no subscriber was ready.
	DropCongested
	// DropNoEncoder: no encoder works.
	DropNoEncoder
	// DropSlowViewer: the picture went to other subscribers; this one was not ready.
	DropSlowViewer
	// DropNoReference: the subscriber missed a picture before this one and waits for a keyframe.
	DropNoReference
	// DropFailed: the subscriber did not accept the picture.
	DropFailed
	// DropNoPackets: nothing of the picture fits into packets.
	DropNoPackets
	// DropSuperseded: a keyframe replaced the picture before the pacer began to send it.
	DropSuperseded
)

var drops = [...]struct{ stage, reason string }{
	DropUnchanged:   {"capture", "unchanged"},
	DropUnwatched:   {"encode", "no_viewer"},
	DropBusy:        {"encode", "busy"},
	DropCongested:   {"encode", "congested"},
	DropNoEncoder:   {"encode", "no_encoder"},
	DropSlowViewer:  {"send", "slow_viewer"},
	DropNoReference: {"send", "awaiting_keyframe"},
	DropFailed:      {"send", "error"},
	DropNoPackets:   {"send", "no_packets"},
	DropSuperseded:  {"send", "superseded"},
}

// keyReason is why a keyframe is encoded, the strongest reason last.
type keyReason uint8

const (
	keyNone keyReason = iota
	keyStart
	keyJoin
	keyRecovery
	keyRequest
	keyEncoder
	// keyUnasked: the encoder made one on its own, which is the cost of a rate change with some encoders.
	keyUnasked
)

var keyReasons = [...]string{
	keyNone: "none", keyStart: "start", keyJoin: "join", keyRecovery: "recovery", keyRequest: "request",
	keyEncoder: "new_encoder", keyUnasked: "unasked",
}

func (k keyReason) String() string { return enum.Name(keyReasons[:], k) }

// repetition is why a picture is encoded again without a change.
type repetition uint8

const (
	repeatNone repetition = iota
	// repeatRefine: to make it sharper.
	repeatRefine
	// repeatAlive: to keep the path alive.
	repeatAlive
)

var repetitions = [...]string{repeatNone: "none", repeatRefine: "refine", repeatAlive: "keep_alive"}

func (r repetition) String() string { return enum.Name(repetitions[:], r) }

// frameStage is a stage at which frames are counted.
type frameStage uint8

const (
	frameCaptured frameStage = iota
	frameEncoded
	frameSent
)

var frameStages = [...]string{frameCaptured: "captured", frameEncoded: "encoded", frameSent: "sent"}

func (s frameStage) String() string { return enum.Name(frameStages[:], s) }

// The parts of the package in which panics are caught; see package guard.
const (
	partCapture = "capture" // the capture loop
	partEncode  = "encode"  // the encode loop
	partEncoder = "encoder" // a call of an encoder
)

var parts = [...]string{partCapture, partEncode, partEncoder}

// Parts lists the parts of the package in which panics are caught.
func Parts() []string { return parts[:] }
