// Package adapt decides how much a viewer's stream may send: from what the network reports it derives targets for the
// encoder and the pacer, and the quality state that operators watch.
//
// The package is pure. It starts no goroutine, reads no clock and does no I/O: time comes in with each call, so that
// the same code runs in production, in a simulator and in a replay, with the same result.
//
// A [Loop] makes each report one [path.Sample], and one law runs on samples. The law changes its mode like this:
//
//	rising -> draining: a standing queue is evidence of overuse
//	rising -> trying: packets are lost without a queue, and a cut is to find out why
//	rising -> silent: the viewer does not answer
//	draining -> rising: the queue is gone
//	draining -> trying: the queue is gone, and a cut for loss is still being judged
//	draining -> sharing: the queue stands although the rate fell, so that others fill it
//	trying -> rising: the loss is cured, or proved to be the link's own
//	trying -> draining: a queue stands, too
//	trying -> silent: the viewer does not answer
//	sharing -> rising: the others have gone
//	sharing -> trying: the others have gone, and a cut for loss is still being judged
//	silent -> rising: the viewer answers again
//	silent -> trying: it answers with packets lost
package adapt

import (
	"time"

	"wavryhost/adapt/ladder"
	"wavryhost/adapt/path"
	"wavryhost/adapt/probe"
	"wavryhost/adapt/quality"
)

type (
	// Packet is the fate of one sent packet.
	Packet = path.Packet
	// Feedback is one report of the receiver.
	Feedback = path.Feedback
	// FeedbackKind is the form of a report.
	FeedbackKind = path.Kind
)

// The forms of feedback; see package path.
const (
	TWCC = path.TWCC
	CCFB = path.CCFB
	RR   = path.RR
	NACK = path.NACK
	Echo = path.Echo
)

type (
	// State is the quality of a viewer's stream, as operators see it.
	State = quality.State
	// Reason is why a quality state was entered.
	Reason = quality.Reason
	// Transition is one change of the quality state.
	Transition = quality.Transition
)

// The quality states, best first; see package quality.
const (
	Good        = quality.Good
	Constrained = quality.Constrained
	Degraded    = quality.Degraded
	Critical    = quality.Critical
	Stalled     = quality.Stalled
)

// The reasons; see package quality.
const (
	ReasonStartup          = quality.ReasonStartup
	ReasonQueueDelay       = quality.ReasonQueueDelay
	ReasonLoss             = quality.ReasonLoss
	ReasonPolicer          = quality.ReasonPolicer
	ReasonNoFeedback       = quality.ReasonNoFeedback
	ReasonProbeOK          = quality.ReasonProbeOK
	ReasonCompetingTraffic = quality.ReasonCompetingTraffic
	ReasonEncoderOverload  = quality.ReasonEncoderOverload
	ReasonEncoderOvershoot = quality.ReasonEncoderOvershoot
	ReasonUserLimit        = quality.ReasonUserLimit
	ReasonPeerLimit        = quality.ReasonPeerLimit
	ReasonRecovered        = quality.ReasonRecovered
	ReasonHostSaturated    = quality.ReasonHostSaturated
)

// States lists all quality states, best first.
func States() []State { return quality.States() }

// Reasons lists all reasons.
func Reasons() []Reason { return quality.Reasons() }

// ContentClass is what kind of picture is being sent.
type ContentClass = ladder.Class

// The content classes; see package ladder.
const (
	Mixed  = ladder.Mixed
	Text   = ladder.Text
	Motion = ladder.Motion
)

// Source is what the encoder side knows of one frame.
type Source struct {
	At         time.Time
	FrameBytes int
	Keyframe   bool
	QP         float64 // 0 when unknown
	EncodeTime time.Duration
	// Dirty is the changed fraction of the picture, 0 to 1; 0 means that the screen is still.
	Dirty float64
	Class ContentClass
	// WantBitrate is what the content could use, in bits per second; 0 when unknown.
	WantBitrate int
}

// Applied is what the encoder really took of a Target, and when.
type Applied struct {
	At            time.Time
	BitsPerSecond int
	FPS           int
	Width, Height int
	// Price is what changes cost at the encoder that took it: another than before once one was replaced.
	Price Price
}

// Limit is what the host leaves a stream of its frame rate and size, beside what the controller asks for.
type Limit struct {
	At time.Time
	// FPS is the highest frame rate and Scale the largest part of the picture's size in each direction; 0 takes
	// nothing away.
	FPS   int
	Scale float64
}

// KeyframeReason is why a keyframe is asked for.
type KeyframeReason uint8

// The keyframe reasons.
const (
	KeyframePLI KeyframeReason = iota
	KeyframeFIR
	KeyframeJoin
	KeyframeRecovery
	// KeyframeOperator: somebody asked for one through the control API.
	KeyframeOperator
)

// PadRequest asks for padding to be sent, to probe for bandwidth.
type PadRequest = probe.Request

// Targets is what the controller wants of the encoder and the pacer from here on.
type Targets struct {
	// EncoderBitrate and PacingRate are in bits per second.
	EncoderBitrate, PacingRate int
	// MaxFrameBytes is the largest access unit that should be sent; 0 means any.
	MaxFrameBytes int
	// FPS is the highest frame rate; Width and Height the picture's size in pixels, 0 to leave it.
	FPS           int
	Width, Height int
	// Skip asks that no frame be encoded for the time being; ForceIDR that the next one be a keyframe.
	Skip, ForceIDR bool
	Pad            PadRequest
	// Quality is the state, Reason why it was entered or what was found to be the reason since, Idle whether the
	// screen gives less than the network would take.
	Quality State
	Reason  Reason
	Idle    bool
	// Seq counts the transitions so far. When it differs from the one in the Targets before, Transition holds the
	// newest.
	Seq        uint64
	Transition Transition
}

// Estimate is what the controller believes of the path; for metrics and pages, not for decisions elsewhere.
type Estimate struct {
	RTT, MinRTT, QueueDelay, Jitter time.Duration
	Loss                            float64 // 0 to 1
	Target, Received                int     // bits per second
	// FeedbackAge is how long the last report is ago.
	FeedbackAge time.Duration
}

// Controller is one viewer's adaptation. One goroutine at a time makes all calls on it, with times that never go back.
type Controller interface {
	// OnSent reports a packet that left the pacer, including retransmissions and padding.
	OnSent(Packet)
	OnFeedback(Feedback)
	OnSource(Source)
	OnKeyframeRequest(now time.Time, why KeyframeReason)
	OnApplied(Applied)
	OnLimit(Limit)
	// Tick returns the targets. It is called for every frame, and at least each 25 ms while packets leave or are
	// reported, otherwise each 200 ms.
	Tick(now time.Time) Targets
	// Estimate returns what is known of the path.
	Estimate(now time.Time) Estimate
}
