package simulate

import (
	"math"
	"slices"
	"time"

	"wavryhost/adapt"
)

// Result is everything that a run measured.
type Result struct {
	Case  Case
	Flows []*FlowResult
	// TCP holds the bytes that arrived, for each TCP flow and second.
	TCP [][]int
}

// FlowResult is what one media flow did.
type FlowResult struct {
	Packets     []PacketRecord // in the order they were sent
	Frames      []FrameRecord
	Skipped     []time.Duration
	Targets     []TargetRecord
	Transitions []adapt.Transition
}

// PacketRecord is one packet. Arrived is 0 while it is on its way and when it is lost; Queue is how long it waited.
type PacketRecord struct {
	Sent, Arrived, Queue time.Duration
	Size                 int
	Lost, Padding, Again bool
	Spare                bool // a retransmission of what had arrived
}

// FrameRecord is one frame. Done is when its last packet arrived, Shown when it and all that it refers to had; 0 for
// never.
type FrameRecord struct {
	Captured, Done, Shown time.Duration
	Bytes                 int
	Key                   bool
	missing               int
}

// TargetRecord is what the controller wanted at a moment.
type TargetRecord struct {
	At               time.Duration
	Target, Estimate int // bits per second
	FPS              int
	State            adapt.State
	Reason           adapt.Reason
	Skip             bool
}

// percentile returns the p-th (0 to 1) of sorted values, NaN for none.
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// Queue returns the p-th percentile (0 to 1) of the milliseconds that packets sent in [from, to) waited in queues.
func (f *FlowResult) Queue(p float64, from, to time.Duration) float64 {
	var waits []float64
	for _, r := range f.Packets {
		if r.Arrived > 0 && r.Sent >= from && r.Sent < to {
			waits = append(waits, r.Queue.Seconds()*1000)
		}
	}
	slices.Sort(waits)
	return percentile(waits, p)
}

// Loss returns the fraction of packets sent in [from, to) that were lost.
func (f *FlowResult) Loss(from, to time.Duration) float64 {
	lost, all := 0, 0
	for _, r := range f.Packets {
		if r.Sent < from || r.Sent >= to {
			continue
		}
		all++
		if r.Lost {
			lost++
		}
	}
	return float64(lost) / float64(max(1, all))
}

// Rate returns the bits per second of media, each packet once, that arrived in [from, to).
func (f *FlowResult) Rate(from, to time.Duration) float64 {
	bytes := 0
	for _, r := range f.Packets {
		if r.Arrived > 0 && !r.Padding && !r.Spare && r.Arrived >= from && r.Arrived < to {
			bytes += r.Size
		}
	}
	return float64(bytes) * 8 / (to - from).Seconds()
}

// SentRate returns the bits per second of everything sent in [from, to).
func (f *FlowResult) SentRate(from, to time.Duration) float64 {
	bytes := 0
	for _, r := range f.Packets {
		if r.Sent >= from && r.Sent < to {
			bytes += r.Size
		}
	}
	return float64(bytes) * 8 / (to - from).Seconds()
}

// Padding returns the fraction of the bytes sent that were padding.
func (f *FlowResult) Padding() float64 {
	padding, all := 0, 0
	for _, r := range f.Packets {
		all += r.Size
		if r.Padding {
			padding += r.Size
		}
	}
	return float64(padding) / float64(max(1, all))
}

// FrameDelay returns the p-th percentile of the milliseconds from a frame's capture to its last packet's arrival,
// without the propagation delay.
func (f *FlowResult) FrameDelay(p float64, from, to, propagation time.Duration) float64 {
	var delays []float64
	for _, r := range f.Frames {
		if r.Done > 0 && r.Captured >= from && r.Captured < to {
			delays = append(delays, (r.Done-r.Captured-propagation).Seconds()*1000)
		}
	}
	slices.Sort(delays)
	return percentile(delays, p)
}

// Freezes counts the times in [from, to) that no frame was shown for longer than long.
func (f *FlowResult) Freezes(from, to, long time.Duration) int {
	n := 0
	shown := f.shown(from, to)
	for i := 1; i < len(shown); i++ {
		if shown[i]-shown[i-1] > long {
			n++
		}
	}
	return n
}

// Stands returns the longest time in [from, to) without a new frame, in seconds.
func (f *FlowResult) Stands(from, to time.Duration) float64 {
	longest, last := time.Duration(0), from
	for _, at := range append(f.shown(from, to), to) {
		longest, last = max(longest, at-last), at
	}
	return longest.Seconds()
}

// lateAfter is how long after its capture a frame is of little use.
const lateAfter = 200 * time.Millisecond

// Late returns the fraction of the frames captured in [from, to) that were shown late, or never.
func (f *FlowResult) Late(from, to time.Duration) float64 {
	late, all := 0, 0
	for _, r := range f.Frames {
		if r.Captured < from || r.Captured >= to {
			continue
		}
		all++
		if r.Shown == 0 || r.Shown-r.Captured > lateAfter {
			late++
		}
	}
	return float64(late) / float64(max(1, all))
}

// shown returns when frames were shown in [from, to).
func (f *FlowResult) shown(from, to time.Duration) (at []time.Duration) {
	for _, r := range f.Frames {
		if r.Shown > 0 && r.Shown >= from && r.Shown < to { // frames are shown in their order
			at = append(at, r.Shown)
		}
	}
	return at
}

// Reach returns the seconds from a moment until half a second of media arrives at a rate, NaN for never.
func (f *FlowResult) Reach(rate float64, from, to time.Duration) float64 {
	const window, step = 500 * time.Millisecond, 100 * time.Millisecond
	for at := from; at+window <= to; at += step {
		if f.Rate(at, at+window) >= rate {
			return (at + window/2 - from).Seconds()
		}
	}
	return math.NaN()
}

// Drained returns the seconds from a moment until a second begins in which no packet waits 50 ms, NaN for never.
func (f *FlowResult) Drained(from, to time.Duration) float64 {
	last := from
	for _, r := range f.Packets {
		if r.Sent >= from && r.Sent < to && r.Queue >= 50*time.Millisecond {
			if r.Sent-last > time.Second {
				break
			}
			last = r.Sent
		}
	}
	return (last - from).Seconds()
}

// Use returns the share of what the flow could have had in [from, to) that arrived as media: the capacity of a link,
// as far as the encoder's highest rate.
func (r *Result) Use(flow, link int, from, to time.Duration) float64 {
	most := float64(r.Case.Flows[flow].Config.WithDefaults().Max)
	could := r.Case.Links[link].Capacity.Bits(from, to, most)
	return r.Flows[flow].Rate(from, to) * (to - from).Seconds() / could
}

// Jain returns Jain's index of fairness of the flows' rates in [from, to).
func (r *Result) Jain(from, to time.Duration) float64 {
	sum, squares := 0.0, 0.0
	for _, f := range r.Flows {
		x := f.Rate(from, to)
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(r.Flows)) * squares)
}

// TCPRate returns the bits per second that a TCP flow delivered in [from, to).
func (r *Result) TCPRate(flow int, from, to time.Duration) float64 {
	bytes := 0
	for s := int(from / time.Second); s < min(int(to/time.Second), len(r.TCP[flow])); s++ {
		bytes += r.TCP[flow][s]
	}
	return float64(bytes) * 8 / (to - from).Seconds()
}
