package tuning

import "time"

// The standing queue.
const (
	// HighQueue is the standing queue above which the rate falls, at rates up to TightFrom. It may rise again below
	// half of that, which the jitter of an idle Wi-Fi stays below. A person notices the whole on top of the rest of
	// the way.
	HighQueue = 25 * time.Millisecond // perception
	// HighPackets is the least such queue in packets, for links so slow that a packet takes longer.
	HighPackets = 2.5 // packets; arithmetic
	// TightFrom is the rate from which the threshold shrinks, as its fourth root. A large flow has more packets in
	// each report, so that the smallest delay of a report says more, and of flows that share a path the largest is the
	// first to give way.
	TightFrom = 1_000_000.0 // bit/s; measured
	// CoarseFactor is how many times as long a queue must be where a sample is one round trip, which has the jitter of
	// both ways. An operator who prefers quality accepts as much more.
	CoarseFactor = 1.6 // factor; measured
	// LatencyFactor is the part of the queue that is accepted where an operator prefers latency.
	LatencyFactor = 0.8 // factor; preference
	// A queue is evidence when EvidenceSamples samples in a row, for EvidenceFor, have seen it. As long after a pause
	// of the path a queue may still be what waited.
	EvidenceSamples = 2                      // samples; one may be jitter
	EvidenceFor     = 140 * time.Millisecond // three reports of 50 ms, less their jitter
	// SteepGrowth is the growth of the queue, in seconds per second, at which half of the queue is evidence, and
	// SoaringGrowth a growth that is cut for at once: over three reports jitter does not look like it, and where the
	// capacity falls to a third each report of waiting is a report of losses.
	SteepGrowth   = 0.06 // s/s; measured
	SoaringGrowth = 0.1  // s/s; measured
	// SuddenTail is how many times the threshold the end of a report must have met for a cut at once: a frame, which
	// leaves in half its time, makes less at 30 a second.
	SuddenTail = 3.0 // factor; arithmetic
	// HalfShare is the most of a rate that is given up at once, and the least that must have gone for a loss to be
	// cured. A path that lets less through has become slower at once.
	HalfShare = 0.5 // share; definition
	// FasterFactor is how much faster than it is sent a stream must arrive to have waited, and how far above what
	// arrives the target may be where more is lost than is believed.
	FasterFactor = 1.1 // factor; measured
	// Reaction is what the viewer and the encoder take on top of a round trip until a cut can show.
	Reaction = 50 * time.Millisecond // two frames at 60 a second, and timers
	// MarginShare is the part of a rate that is known to be the path's with which it is tried.
	MarginShare = 0.95 // share; measured
	// EmptyQueue is the queue for which all of what arrives would be given up: a cut goes further the longer the queue
	// is, so that it empties.
	EmptyQueue = 500 * time.Millisecond // measured
	// ReturnShare is the part of the capacity that the rate returns to after a drain.
	ReturnShare = 0.92 // share; measured
	// UsedShare is the share of the target that must really be sent for the network, not the screen, to be the limit.
	UsedShare = 0.75 // share; measured; libwebrtc has 0.65
	// WholeShare is the share of a rate that counts as all of it.
	WholeShare = 0.9 // share; jitter of a report
	// RecentFor is how long after a large picture, a frame held back or the last motion these explain what is seen.
	RecentFor = time.Second // a window of rates
	// Patience is the longest wait for evidence: of a drain, a judgement, or a loss that holds the rate.
	Patience = 3 * time.Second // measured
	// DeepShare is what a rate must have come down to for a queue of one's own, or loss by congestion, to have ended.
	// A path gets as much of its rate back after an outage.
	DeepShare = 0.6 // share; three cuts
)

// Loss.
const (
	// HoldLoss stops the rate from rising; radio links lose as much on their own. Where loss must be told from the
	// link's own it is the least difference that counts.
	HoldLoss = 0.02 // share; GoogCC
	// CutLoss makes the rate fall. The cut is an experiment, so that it may come earlier than GoogCC's at 10 %.
	CutLoss = 0.06 // share; measured
	// HeavyLoss is acted upon as soon as a cut could have shown, and is the most that is believed to be the link's own.
	HeavyLoss = 0.15 // share; half above the 10 % that must be tolerated
	// JudgeAfter, and a round trip, is how long a cut is given to show in the loss, and up to a third of it on top at
	// random, so that flows do not try together. A queue that others filled must be gone for as long, too: TCP leaves a
	// trough after each loss.
	JudgeAfter = 1500 * time.Millisecond // two windows of loss
	// LeastLost is how many lost packets make loss: fewer are strays.
	LeastLost = 3 // packets; two may be one event
	// Trials is how many cuts must be outlasted for loss to be the link's own: flows that share a bottleneck all cut,
	// and cure it together.
	Trials = 3 // measured
	// OwnFactor is how far above the loss found the loss of the link itself is tolerated.
	OwnFactor = 1.5 // factor; measured
	// OwnFades is how fast what is believed of the link's loss fades once the loss is gone.
	OwnFades = 10 * time.Second // measured
	// BelievedFor is how long it is believed at most, and how long a policer is remembered: then it must be proved
	// again.
	BelievedFor = 60 * time.Second // measured
	// TrialLeast and TrialMost are the least and the most that one experiment cuts: at random, since flows that share a
	// bottleneck all cut, and cure it together.
	TrialLeast = 0.15 // share; three of them are DeepShare
	TrialMost  = 0.35 // share; measured
	// ExcessLoss is how far beyond what is believed loss bounds the target by what arrives.
	ExcessLoss = 0.12 // share; measured
	// Deviations is how many standard deviations of a sample are chance.
	Deviations = 2.0 // statistics: 95 %
	// BreakLoss for Lately opens the circuit (RFC 8083) whatever is believed: the rate falls to BreakShare of what
	// arrives. A policer loses nothing below as much of its rate.
	BreakLoss = 0.20 // share; measured
	// Lately is how long what was seen counts as present: a queue, which a policer has none of, and the longest queue
	// that is shared, of which RoomyFactor times as much is accepted.
	Lately     = 2 * time.Second // measured
	BreakShare = 0.8             // share; measured
	// PolicedEvents is how many runs of lost packets make a policer, which loses all the time that too much is sent:
	// a single burst is a radio's. As many packets must then be missing in vain for the cure to be no chance.
	PolicedEvents = 4 // measured
	// YieldShare is what is left of a rate that was too much by an unknown amount: at a policer, in a shared queue, or
	// in a probe that arrived more slowly than it left.
	YieldShare = 0.9 // share; measured
	// PolicedStep is the rise near a policer, beside CarefulShare: it is the same for all, so that flows that share one
	// come together.
	PolicedStep = 50_000.0 // bit/s each second; measured
)

// The rise.
const (
	// CapacityFor is how long a capacity that was seen counts.
	CapacityFor = 30 * time.Second // as long as the base delay
	// CapacityGain is the weight of a new sample of it.
	CapacityGain = 0.3 // measured
	// NearFrom is how far below the capacity it is near, and what is left of a rate after a loss in a shared queue.
	NearFrom = 0.85 // share; measured
	// NearLeast and NearMost are how far above it is near, between which it is three deviations of its samples. A sample
	// further off replaces the capacity.
	NearLeast = 0.05 // share; measured
	NearMost  = 0.25 // share; measured
	// CarefulStep is the rise near the capacity: half a packet each 120 ms. The rise is the same in bits for all flows,
	// while cuts are a share of the rate, so that flows that share a path come together. TCP's step per round trip would
	// give the most to the flow with the shortest.
	CarefulStep = 40_000.0 // bit/s each second; measured
	// CarefulShare is the least rise near the capacity per second, for rates so large that the step takes minutes.
	CarefulShare = 0.005 // 1/s; measured
	// SeldomShare is the same where a sample comes once a second, and the least rise elsewhere.
	SeldomShare = 0.03 // 1/s; measured
	// NewFor is how long a flow is new. A new flow's room on a path says little of its share, and it knows nothing of
	// the flows that were there before: until then it rises near the capacity by NewRise per second.
	NewFor  = 15 * time.Second // measured
	NewRise = 0.2              // 1/s; measured
	// RampQueue is the queue that a rise may build until it is seen. It takes RampFilter to see it, on top of the round
	// trip and the time between reports. Where those are long the queue grows with their square, and may be RampSeldom.
	RampQueue  = 50 * time.Millisecond  // RFC 8698, section 4.3, QBOUND
	RampFilter = 120 * time.Millisecond // RFC 8698, section 4.3, DFILT
	RampSeldom = 90 * time.Millisecond  // measured
	// RampMost is the fastest rise each RampStep.
	RampMost = 0.5                    // share; RFC 8698, GAMMA_MAX
	RampStep = 100 * time.Millisecond // RFC 8698, DELTA
	// RoomyFactor is how much faster than the target, and than when the path was full last, frames must arrive for the
	// path to have become wider.
	RoomyFactor = 1.25 // factor; measured
	// SentMost is how far above what is sent the target may rise, and StarvedMost how far while the encoder leaves much
	// of it and could use more.
	SentMost    = 1.2 // factor; measured
	StarvedMost = 2.5 // factor; measured
)

// Sharing a queue that others fill.
const (
	// SharingAfter is how long a queue must stand after the rate fell to DeepShare of what it was, for others to fill
	// it. Before that it is one's own as well as theirs.
	SharingAfter = 2500 * time.Millisecond // measured
	// SharingLoss is the loss at which a shared queue is given way to: a second has a single overflow in it, of few
	// packets.
	SharingLoss = 0.004 // share; measured
	// DrainStep is how much shorter a queue must have become to count as emptying. Where other flows have most of a
	// link, a cut of our own empties the queue slowly.
	DrainStep = 0.7 // share; measured
	// SharingRise is the least rise per second.
	SharingRise = 0.05 // 1/s; measured
	// Accepted is the longest queue that is shared; by preference it is AcceptedLatency or AcceptedQuality. Beyond it a
	// remote desktop is not usable, whatever its rate.
	Accepted        = 400 * time.Millisecond // RFC 8298
	AcceptedLatency = 150 * time.Millisecond // perception
	AcceptedQuality = 600 * time.Millisecond // GoogCC
)

// Silence, pacing, and what may be on its way.
const (
	// SilenceAfter is how long a viewer with transport feedback may say nothing, the round trip not counted, while
	// packets are on their way. The target is halved as often.
	SilenceAfter = 500 * time.Millisecond // ten reports
	// StalledAfter is how long it may say nothing until it counts as stalled, and HeardAgain the reports that end that.
	StalledAfter = 5 * time.Second // libwebrtc's feedback timeout
	HeardAgain   = 2               // reports; one may be late
	// Pacing is how many times the target a frame leaves at: in half its time, so that it arrives before the next.
	Pacing = 2.0 // factor; libwebrtc has 2.5
	// PacingCareful is the same while a queue empties, when bursts would only lengthen it, and for PacingKeyFor after a
	// keyframe was asked for, which is so large that a burst of it is a queue.
	PacingCareful = 1.3                    // factor; measured
	PacingKeyFor  = 400 * time.Millisecond // a keyframe of 250 ms, and its way to the encoder
	// PacingSmooth is the same where packets are lost without a queue: bursts may be what a policer drops.
	PacingSmooth = 1.5 // factor; measured
	// GateDelay is what jitter and a late report add to what may be on its way: a round trip and a report.
	GateDelay = 55 * time.Millisecond // measured: with 50 ms eight flows at a policer lose twice as much
	// GateReports is how many times the time between receiver reports may be on its way: one may be late, or lost.
	GateReports = 2.5 // reports; RFC 3550: 1.5 of the mean, and one lost
	// GatePackets may be on their way in any case.
	GatePackets = 3 // packets
	// GateSilence is a silence with packets on their way that means that the path is gone, or full.
	GateSilence = 300 * time.Millisecond // six reports
	// GateOpens is the time between frames that try whether the gate may open, and Trickle the pacing of them.
	GateOpens = 200 * time.Millisecond // measured
	Trickle   = 24_000                 // bit/s: a full packet each 400 ms
	// BitsPerPixel is what H.264 of a moving desktop needs to look like it.
	BitsPerPixel = 0.05 // measured
)
