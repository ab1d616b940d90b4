package tuning

import "time"

// What the encoder is asked for.
const (
	// MediaShare is what is left of the target for media.
	MediaShare = 0.955 // share; 50 bytes of overhead on 1150 bytes
	// A picture as coarse as StarvedQP needs more bits; a still one is refined far below it.
	StarvedQP  = 35.0                   // quantizer of H.264; measured
	StarvedFor = 500 * time.Millisecond // a few pictures
	// What the encoder makes is compared with what it is asked for over OvershootWindow, and what it is asked for is
	// lowered where it makes OvershootFrom times as much.
	OvershootFrom   = 1.05 // factor; measured
	OvershootWindow = time.Second
	// PacingLarge is how many times the target a picture is sent at that is larger than was asked for, and LargeMost
	// how long it is sent alone at most.
	PacingLarge = 1.1             // factor; measured
	LargeMost   = 2 * time.Second // measured
	// FrameDelay is what one picture, and KeyframeDelay what a keyframe may take at the target's rate.
	FrameDelay    = 150 * time.Millisecond // perception
	KeyframeDelay = 250 * time.Millisecond // perception
	// EncoderFollows is how long the slowest encoders take to follow a target.
	EncoderFollows = 300 * time.Millisecond // measured
	// Keyframes are KeyframeEvery apart at least, and take half of the time at most, or requests for keyframes beget
	// each other. A viewer without a picture waits no longer than KeyframeWait, whatever one costs.
	KeyframeEvery = 500 * time.Millisecond // selkies
	KeyframeWait  = 3 * time.Second        // perception
	// FreeStep, KeyframeStep and ReopenStep are the least changes of the bitrate that are worth their price, and
	// ChangeEvery the least time between two of them where they have one.
	FreeStep     = 0.01 // share
	KeyframeStep = 0.12 // share; measured
	ReopenStep   = 0.20 // share; measured
	ChangeEvery  = 2 * time.Second
	// EmergencyShare is how far below what the encoder does a target is that waits for no interval.
	EmergencyShare = 0.7 // share; measured
)

// The ladder of frame rates and sizes.
const (
	// The stream steps down where the target stays under StepDownShare of what the picture needs for StepDownFor, and
	// up where it stays above StepUpShare of what the rung above needs for StepUpFor. A step up that is taken back
	// within StepUpFor doubles that time, up to StepUpMost.
	StepDownShare = 0.6 // share; perception
	StepDownFor   = 2 * time.Second
	StepUpShare   = 1.3 // factor; perception
	StepUpFor     = 5 * time.Second
	StepUpMost    = time.Minute
	// An encoder that takes OverloadShare of the frame time for OverloadFor is overloaded, if it really encodes one
	// in OverloadFrames of the frames asked for: a single large picture on a still screen is no overload.
	OverloadShare  = 0.8 // share; measured
	OverloadFor    = time.Second
	OverloadFrames = 4
	// ClassHeld is how long another kind of content must be on the screen before the ladder is another one: a page
	// with a picture in it, scrolled by, is no video.
	ClassHeld = 3 * time.Second
	// SizeDwell is the least time between changes of the size: each costs a keyframe, and is seen.
	SizeDwell = 10 * time.Second
)

// Probes of a quiet screen's path.
const (
	// ProbeFactor is how much more than the target a probe tries; the first one, at the start, tries ProbeFirst.
	ProbeFactor = 2.0 // factor; libwebrtc
	ProbeFirst  = 3.0 // factor; libwebrtc
	// A probe lasts ProbeTime at least and has ProbeBytes at least: less would drown in jitter.
	ProbeTime  = 25 * time.Millisecond // five times the jitter of RFC 8868
	ProbeBytes = 7200                  // bytes; six packets
	// ProbeEvery is the time between probes of a quiet screen, ProbeBackoff how much longer it gets after each one
	// that found nothing, up to ProbeSeldom.
	ProbeEvery   = 5 * time.Second // libwebrtc
	ProbeBackoff = 1.5             // factor; LiveKit
	ProbeSeldom  = 2 * time.Minute // LiveKit
	// ProbeQueue is the longest queue that a probe may be added to.
	ProbeQueue = 10 * time.Millisecond
	// ProbeGain is the least that a probe must find to have been worth it.
	ProbeGain = 1.05 // factor
	// Padding costs ProbeShare of the media's bytes, and ProbePurse in the beginning, which is what a path of 20 Mbit/s
	// takes to be found. The purse never holds more.
	ProbeShare = 0.015     // share; the goal of 2 %
	ProbePurse = 300_000.0 // bytes
	// ProbeWait is how much longer than its round trip a probe is waited for.
	ProbeWait = 300 * time.Millisecond
)

// The quality states.
const (
	// StateEvery is the least time between two changes for the worse; what flickers faster says nothing to an operator.
	StateEvery = time.Second
	// ConstrainedDelay for ConstrainedDelayFor, or HoldLoss for ConstrainedLossFor, makes a stream constrained, and a
	// target below the need for ConstrainedDelayFor, which keeps one tick from being a state.
	ConstrainedDelay    = 50 * time.Millisecond
	ConstrainedDelayFor = 500 * time.Millisecond
	ConstrainedLossFor  = time.Second
	// A picture that is coarse for CoarseFor makes it constrained too: even a still page takes a while to get sharp.
	CoarseFor = 2 * time.Second // perception
	// DegradedLoss for DegradedLossFor makes it degraded, and BreakLoss critical.
	DegradedLoss    = 0.10 // share; GoogCC's threshold of a cut
	DegradedLossFor = 2 * time.Second
	// CriticalDelay for CriticalDelayFor makes it critical, and a target below CriticalShare of the need on the lowest
	// rung.
	CriticalDelay    = 250 * time.Millisecond
	CriticalDelayFor = time.Second
	CriticalShare    = 0.3 // share
	// UpDwell is how long everything must have been better before a state is left upward, UpDegraded the same for what
	// a viewer needs to trust the smoother picture, and UpStalled for a viewer that answers again.
	UpDwell    = 3 * time.Second
	UpDegraded = 5 * time.Second
	UpStalled  = time.Second
	// LossStays is the share of its threshold that loss must fall under for a state to be left that was entered by
	// it: what 20 to 200 packets of less than a second lose by chance is half as much and half as much again.
	LossStays = 0.5 // share; statistics
	// StartupFor is how long a low bitrate is the start's and nobody's fault.
	StartupFor = 10 * time.Second
	// HostStays is how long a state lasts at least that the host's load made. A host may lower a stream again as soon
	// as it has raised it: two changes each 20 s are six a minute.
	HostStays = 20 * time.Second
)
