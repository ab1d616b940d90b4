package wire

import (
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pion/rtcp"
)

const (
	// inboxSize is how many reports may wait for their reader. Further ones are lost, as on the network.
	inboxSize = 256
	// rtcpPackets is packetio.RTCPBufferPacket, with which pion requests the buffer for a stream's reports.
	rtcpPackets = 2
)

// useInboxes makes pion put what it receives for a stream into our buffers. pion sorts reports by the stream that they
// are about, and only delivers reports about a stream of media. Transport-wide feedback is about all streams, and names
// the stream whose packet came last. After a retransmission or a probe that is the retransmission stream, and pion
// would discard the feedback. K is pion's type for the content of a buffer.
func useInboxes[K ~int](s *Sender, factory *func(kind K, ssrc uint32) io.ReadWriteCloser) {
	*factory = func(kind K, ssrc uint32) io.ReadWriteCloser {
		in := &inbox{sender: s, ended: make(chan struct{})}
		if kind == rtcpPackets && s.ownMedia(ssrc) {
			in.packets = make(chan []byte, inboxSize)
			s.reports.Store(in)
		}
		return in
	}
}

// ownMedia reports whether it is the SSRC of our media.
func (s *Sender) ownMedia(ssrc uint32) bool { return ssrc != 0 && ssrc == s.reader.media() }

// inbox keeps the reports about our media. The inbox of any other stream passes on transport-wide feedback and keeps
// nothing.
type inbox struct {
	sender  *Sender
	packets chan []byte // nil for other streams
	dropped atomic.Uint64
	once    sync.Once
	ended   chan struct{}
}

// Write accepts one RTCP packet. It never blocks.
func (in *inbox) Write(b []byte) (int, error) {
	defer in.sender.cfg.Guard.Recover(part)
	to := in
	if in.packets == nil {
		if !in.sender.transportWide(b) {
			return len(b), nil
		}
		if to = in.sender.reports.Load(); to == nil {
			return len(b), nil
		}
	}
	select {
	case <-to.ended:
	case to.packets <- append([]byte(nil), b...):
	default:
		to.dropped.Add(1)
	}
	return len(b), nil
}

// transportWide reports whether an RTCP packet is feedback that the inbox of our media does not get otherwise: it is
// transport-wide, or only about our other streams.
func (s *Sender) transportWide(b []byte) bool {
	var h rtcp.Header
	if h.Unmarshal(b) != nil || h.Type != rtcp.TypeTransportSpecificFeedback {
		return false
	}
	if h.Count != rtcp.FormatCCFB {
		return h.Count == rtcp.FormatTCC
	}
	var report rtcp.CCFeedbackReport
	return report.Unmarshal(b) == nil && !slices.ContainsFunc(report.DestinationSSRC(), s.ownMedia)
}

// Read waits for a packet. It returns io.EOF after Close.
func (in *inbox) Read(b []byte) (int, error) {
	select {
	case p := <-in.packets:
		if len(p) > len(b) {
			return 0, io.ErrShortBuffer
		}
		return copy(b, p), nil
	case <-in.ended:
		return 0, io.EOF
	}
}

// Close ends the inbox and a blocked Read.
func (in *inbox) Close() error {
	in.once.Do(func() { close(in.ended) })
	return nil
}
