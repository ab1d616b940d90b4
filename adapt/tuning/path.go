package tuning

import "time"

// Measuring the path.
const (
	// DeliverySpan is how far back the delivered rate looks, by the receiver's clock: several frames at any rate that
	// moves, and short enough that a link which halves shows in it within half a second.
	DeliverySpan = 400 * time.Millisecond // measured
	// NewestSpan and NewestPackets are the least that a single report is a rate by: with less, jitter of 5 ms is most
	// of it.
	NewestSpan    = 40 * time.Millisecond // arithmetic
	NewestPackets = 4                     // packets; arithmetic
	// A train is a run of packets sent faster than the target, as the pacer sends a frame. TrainGap is how much longer
	// than the pacer's own a gap inside a train may be, and TrainSlack what timers add to it.
	TrainGap   = 1.6                  // factor; measured
	TrainSlack = 2 * time.Millisecond // two ticks of a timer of 1 ms
	// TrainPackets is the shortest train that says anything, and TrainEvidence the least time, sent, that a judgement
	// is made on.
	TrainPackets  = 3                     // packets; a line has two points
	TrainEvidence = 20 * time.Millisecond // four times the jitter of RFC 8868
	// TrainFastest is how much faster than they left trains arrive at most: behind what they wait for, and by jitter.
	TrainFastest = 4.0 // factor; measured
	// PauseLeast is the shortest gap between packets that counts as a pause of the path. On slow links it is PauseUsual
	// packets.
	PauseLeast = 15 * time.Millisecond // three times the jitter of RFC 8868
	PauseUsual = 2.0                   // packets; arithmetic
	// PausePackets must have waited meanwhile.
	PausePackets = 4 // packets; as NewestPackets
	// SentWindow is how far back the sent rate looks: a few frames at any rate, and soon aware that a screen became
	// still.
	SentWindow = 500 * time.Millisecond // measured
	// LossWindow is how far back loss looks: several reports, and a dozen packets at 150 kbit/s. A change shows in all
	// of the loss after this time. LossNowWindow is how far back very large loss looks.
	LossWindow    = 800 * time.Millisecond // arithmetic
	LossNowWindow = 300 * time.Millisecond // measured
	// LossPackets is the fewest packets that loss is computed on. With fewer, one lost packet looks like a broken link.
	LossPackets = 20 // packets; arithmetic: 5 % each
	// Oldest is the age of the oldest packet that a report is believed about.
	Oldest = time.Minute // definition
	// RTTGain divides what a new round trip adds to the mean.
	RTTGain = 8 // RFC 6298
	// StepSlack is by how much one-way delay may rise above what the round trip allows before the receiver's clock is
	// taken to have been set, and StepReports for how many reports.
	StepSlack   = 30 * time.Millisecond // measured
	StepReports = 3                     // reports; measured
	// StepSettles is for how many reports after that the delay may not exceed what the round trip allows at all: a
	// round trip includes the wait for the report, and the least of two seconds includes little of it.
	StepSettles = 20 // reports; two seconds
	// SlopeOver is the least time that the queue's growth is taken over: in less, jitter looks like growth.
	SlopeOver = 150 * time.Millisecond // measured
	// MostFaster bounds the delivered rate by the sent one: the path cannot deliver faster for long.
	MostFaster = 2.0 // factor; as Pacing
)

// Reports without single packets.
const (
	// ReportSpan is the least time between two receiver reports that a rate is taken over: a late one and the next may
	// come together.
	ReportSpan = 200 * time.Millisecond // measured
	// LongestInterval is the most between two receiver reports: each 5 s, at random from a half to one and a half of
	// it, over 1.218, as GStreamer sends them.
	LongestInterval = 6200 * time.Millisecond // RFC 3550, sections 6.2 and 6.3.1
	// SureShare is the share of what arrived that the capacity may have been at least, for the first report of a queue
	// to tell the capacity.
	SureShare = 0.8 // share; measured
	// WasQueue is a queue beyond the jitter of a round trip: in the report before, it makes what arrived since the
	// capacity.
	WasQueue = 40 * time.Millisecond // CoarseFactor times HighQueue
	// GapApart is the most between two requests for retransmission about one event, and GapMost how long an event is
	// looked at. It is an overflow when GapLost packets of GapSpan of sending are missing, and more than GapQueued of
	// all behind a queue, or GapSure without one: each run of them counts as two, since a radio loses in bursts.
	GapApart  = 300 * time.Millisecond // measured
	GapMost   = 600 * time.Millisecond // twice GapApart
	GapLost   = 6                      // packets; measured
	GapSpan   = 60 * time.Millisecond  // four frames at 60 a second
	GapQueued = 0.2                    // share; measured
	GapSure   = 0.4                    // share; twice GapQueued
	// EchoMost is the longest time between two echoes that belong to one queue.
	EchoMost = 2 * time.Second // measured
	// SilentReports times the mean time between reports, at least SilentLeast and at most SilentMost, is the silence
	// after which the rate falls, since one report may be lost. The viewer counts as gone Patience later, and after
	// GoneMost at most.
	SilentReports = 3                       // reports
	SilentLeast   = 2 * time.Second         // measured
	SilentMost    = 6500 * time.Millisecond // LongestInterval, and some
	GoneMost      = 8 * time.Second         // measured
	// RunCounts is what an uninterrupted run of lost packets counts for, see path.Count.Apart.
	RunCounts = 2 // packets; a burst is one event of a radio
)
