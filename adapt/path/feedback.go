// Package path turns a receiver's reports into what a sender knows of the network path: the round trip, the standing
// queue, the delivered rate and the loss.
//
// Receivers report in several forms. Transport-wide feedback and RFC 8888 report each packet, receiver reports (RFC
// 3550) a second of packets, and NACKs the missing ones. An echo is a round trip measured apart from the media.
// Path makes each of them one Sample, so that the control law need not know the form.
//
// The package is pure: time comes in with each call.
package path

import "time"

// Packet is the fate of one sent packet.
type Packet struct {
	// ID counts the packets of a session in the order they were sent, whatever their wire sequence number.
	ID uint64
	// Size is the whole RTP packet in bytes, header included.
	Size int
	// Sent is by our clock. Arrived is by the receiver's clock, so that only its differences mean anything; it is the
	// zero time when the packet did not arrive.
	Sent, Arrived time.Time
	// Lost is set in feedback that reports the packet as not received.
	Lost bool
	// Padding marks a packet without media.
	Padding bool
	// ECN holds the two bits that arrived, where the feedback tells.
	ECN uint8
	// ProbeID is the ID of the PadRequest that the packet answers, else 0.
	ProbeID int
}

// Kind is the form of a report.
type Kind uint8

// The forms of feedback.
const (
	// TWCC is transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
	TWCC Kind = iota
	// CCFB is RFC 8888 congestion control feedback.
	CCFB
	// RR is a report block of a receiver report (RFC 3550, section 6.4.1).
	RR
	// NACK requests retransmissions (RFC 4585, section 6.2.1).
	NACK
	// Echo is a round trip measured apart from the media.
	Echo
)

// Feedback is one report of the receiver.
type Feedback struct {
	// At is when it arrived here.
	At   time.Time
	Kind Kind
	// Packets are in the order they were sent. The packets of an RR are the newest that arrived and, marked lost, the
	// next packet, as far as they are known. The packets of a NACK are the missing ones, and the first that arrived
	// after them.
	Packets []Packet
	// RTT is the round-trip time: by LSR and DLSR (RFC 3550), by the newest packet of a report on packets, or an
	// echo's; 0 when unknown.
	RTT time.Duration
	// Loss is the fraction lost since the previous report, 0 to 1, and Jitter the interarrival jitter; RR only.
	Loss   float64
	Jitter time.Duration
}

// Sending is what the sender knows of its own stream when a report arrives.
type Sending struct {
	// Rate is the target of the stream, before a queue that is being emptied, and Pacing the pacer's rate, both in
	// bits per second.
	Rate, Pacing float64
	// Frame is the time between frames.
	Frame time.Duration
}

// Sample is the news of one report.
type Sample struct {
	At   time.Time
	Kind Kind
	// From is when the first packet that the report covers left, and Span the time since the report of its kind
	// before.
	From time.Time
	Span time.Duration
	// Fresh is set when Queue is news: it is not where a later report came before.
	Fresh bool
	// Queue is the standing queue, and Tail the queue that the last packets of the report met, 0 when they were few.
	// Growth is how fast the queue grows, in seconds per second.
	Queue, Tail time.Duration
	Growth      float64
	// Arrived is what the path delivered and Sent what was sent, in bits per second; Arrived is 0 when unknown. While
	// there is a queue, Arrived is the capacity. Newest is the delivered rate of the last moments of the report alone,
	// 0 when they were too short.
	Arrived, Sent, Newest float64
	// Sure is set when Arrived may be remembered as the capacity.
	Sure bool
	// Paused is how long the path paused, where the report proves that what waited meanwhile arrived at the rate of
	// the line: the queue that was seen says nothing about the capacity. 0 means no pause.
	Paused time.Duration
	Count  Count
}

// Complete reports whether the sample's source covers every packet.
func (k Kind) Complete() bool { return k <= CCFB }

// Count sums packets.
type Count struct {
	Bytes, Packets, Lost int
	// Runs are the lost packets after the second of an uninterrupted run of them. Events is the number of runs, those
	// of one packet included.
	Runs, Events int
}

// Add adds other to c.
func (c *Count) Add(other Count) {
	c.Bytes += other.Bytes
	c.Packets += other.Packets
	c.Lost += other.Lost
	c.Runs += other.Runs
	c.Events += other.Events
}

// Loss returns the fraction lost, 0 to 1.
func (c Count) Loss() float64 { return max(0, float64(c.Lost)/float64(max(1, c.Packets))) }

// Apart returns the fraction lost with each run of lost packets counted as two at most. A radio loses a burst as one
// event, while a full queue or a policer lets packets through all the time.
func (c Count) Apart() float64 {
	runs := min(c.Runs, c.Lost)
	return max(0, float64(c.Lost-runs)/float64(max(1, c.Packets-runs)))
}
