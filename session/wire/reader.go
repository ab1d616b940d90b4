package wire

import (
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/adapt"

	"github.com/pion/rtcp"
)

// maxReported bounds the packets that are read from one feedback message, which could claim 65535.
const maxReported = 8192

// reader translates what the peer reports. All methods may be called from any goroutine.
type reader struct {
	history history // of all sent packets, by transport-wide number
	streams streams // used if the peer reports by stream
	ssrc    atomic.Uint32
	rtt     atomic.Int64 // the newest round trip in ns, 1 s at most; 0 before the first

	mu       sync.Mutex         // guards the rest
	form     adapt.FeedbackKind // form of the reports on packets: RR until another form comes
	clock    wrapping           // the receiver's clock, in units of 64 ms or of 1/65536 s
	messages serial             // count of transport feedback messages
	sizes    packetSize
	intra    serial // number of the newest full intra request
	newest   int64  // newest packet of media that has arrived, by receiver reports and NACKs
	faults   [feedbackFaults]uint64
}

// media returns the SSRC of our media, or 0 before the stream is negotiated.
func (r *reader) media() uint32 { return r.ssrc.Load() }

// intraRequested reports whether a full intra request is new: a request is repeated with its number until it is
// answered (RFC 5104, section 4.3.1.1). The caller holds mu.
func (r *reader) intraRequested(p *rtcp.FullIntraRequest) bool {
	fresh := false
	for _, e := range p.FIR {
		fresh = r.intra.step(e.SequenceNumber) > 0 || fresh
	}
	return fresh
}

// restoreSize begins again with packets of the given size.
func (r *reader) restoreSize(size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sizes.begin(size)
}

// largest returns the size of the largest packets, in bytes.
func (r *reader) largest() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sizes.size
}

// measured notes the newest round trip. Only retransmissions use it.
func (r *reader) measured(rtt time.Duration) { r.rtt.Store(int64(min(rtt, time.Second))) }

// roundTrip returns the newest round trip; 0 before the first.
func (r *reader) roundTrip() time.Duration { return time.Duration(r.rtt.Load()) }

// count counts reports of packets that were reported before, and of packets that were never sent. The caller holds mu.
func (r *reader) count(twice, never uint64) {
	r.faults[FeedbackRepeated] += twice
	r.faults[FeedbackUnknown] += never
}

// counted returns the faults so far.
func (r *reader) counted() [feedbackFaults]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.faults
}
