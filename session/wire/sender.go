// Package wire is the RTP side of one viewer: it turns access units into packets, paces them, and translates what the
// receiver reports into adapt.Feedback.
//
// A packet goes through these layers, and a retransmission joins in the middle:
//
//	access unit ─▶ Track (one waiting at most) ─▶ pacer ─▶ pion: sender reports ─▶ NACK responder ─▶ rtxQueue
//	─▶ transport-wide sequence number ─▶ recorder ─▶ network
//
// Media is paced before pion sees it, so that a dropped access unit leaves no gap in the sequence numbers.
// Retransmissions begin inside pion, in its NACK responder. The rtxQueue below it removes them from the chain and
// hands them to the same pacer, which sends them first. The recorder sees every packet as it is sent, whatever its
// origin.
package wire

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"wavryhost/adapt"
	"wavryhost/adapt/pacing"
	"wavryhost/encode"
	"wavryhost/platform/guard"
	"wavryhost/session/progress"

	"github.com/pion/rtp"
)

// ErrFull means that an access unit came while another one already waited. It was refused; the stream continues at the
// next keyframe.
var ErrFull = errors.New("wire: an access unit is waiting already")

// defaultMTU leaves room for SRTP, UDP and IPv6 headers and a tunnel on paths of 1280 bytes, the minimum of IPv6.
const defaultMTU = 1200

// part names the sender to its Guard.
const part = "transport"

// Config configures a Sender.
type Config struct {
	Log *slog.Logger
	// Formats are the formats of the access units, of encode.Formats. They default to H264.
	Formats []encode.Format
	// MTU is the largest RTP packet in bytes, header included. It defaults to 1200.
	MTU int
	// OnSent is called for every sent packet, in order, from the goroutine of Run.
	OnSent func(adapt.Packet)
	// OnBroken is called when the receiver cannot decode before the next keyframe, because it lacks a packet that it
	// will not get any more. It is called at most once per keyframe, from a goroutine of pion or that of Run, with no
	// lock held.
	OnBroken func()
	// OnPaced is called when the last packet of an access unit has left, with its capture time and the time since the
	// pacer got it. It may be nil. It is called from the goroutine of Run, with no lock held.
	OnPaced func(captured time.Time, took time.Duration)
	// Guard catches panics where pion calls the sender; nil lets them pass.
	Guard *guard.Guard
	// Progress has the loop that sends. It may be nil.
	Progress *progress.Board
	// Session is the ID of the viewer's session, for Progress.
	Session string
	// StartRate is the initial pacing rate, in bits per second. It defaults to 2 Mbit/s.
	StartRate int
}

// Sender is the RTP sender of one viewer. All methods may be called from any goroutine.
type Sender struct {
	cfg        Config
	reader     reader
	reports    atomic.Pointer[inbox] // inbox of our media
	packetSize atomic.Int64          // size of the largest packets
	repeats    repeats               // has its own lock, which is taken last

	mu      sync.Mutex
	wake    chan struct{}
	rate    int // bits per second
	track   *Track
	current batch // being sent
	waiting batch
	resends []resend
	rtx     rtxStream
	shares  pacing.Shares
	padding adapt.PadRequest // the remaining part of the request
	label   label            // label of the packet that the pacer is sending
	closed  bool
	stats   Stats
}

// batch is an access unit in packets. Sent packets are removed.
type batch struct {
	packets []*rtp.Packet
	bytes   int
	key     bool // a keyframe, and nothing of it has been sent
	since   time.Time
	time    time.Time // of the capture
}

// Queue is what waits in the pacer.
type Queue struct{ Packets, Bytes int }

// Stats counts what a sender did.
type Stats struct {
	Packets, Bytes     uint64 // all that left, headers included
	Retransmissions    uint64
	RetransmittedBytes uint64
	Unsent             uint64         // packets that the transport refused: it is not ready yet, or closed
	Superseded         uint64         // access units that a keyframe replaced before they began to be sent
	Refused            pacing.Refused // requests for retransmissions
	Feedback           [feedbackFaults]uint64
}

// New returns a Sender that sends nothing before Run.
func New(cfg Config) (*Sender, error) {
	if cfg.MTU == 0 {
		cfg.MTU = defaultMTU
	}
	if len(cfg.Formats) == 0 {
		cfg.Formats = []encode.Format{encode.H264}
	}
	if cfg.StartRate == 0 {
		cfg.StartRate = 2_000_000
	}
	switch {
	case cfg.MTU < 576 || cfg.MTU > 1500:
		return nil, fmt.Errorf("wire: MTU %d is not from 576 to 1500", cfg.MTU)
	case cfg.StartRate < 0:
		return nil, fmt.Errorf("wire: pacing rate %d is negative", cfg.StartRate)
	}
	for _, format := range cfg.Formats {
		if len(parameters(format)) == 0 {
			return nil, fmt.Errorf("wire: format %v is not one of %v", format, encode.Formats())
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.OnSent == nil {
		cfg.OnSent = func(adapt.Packet) {}
	}
	if cfg.OnBroken == nil {
		cfg.OnBroken = func() {}
	}
	l := &Sender{
		cfg: cfg, rate: cfg.StartRate, wake: make(chan struct{}, 1), shares: pacing.NewShares(),
	}
	l.reader.form = adapt.RR
	l.reader.history.repeats, l.reader.streams.repeats = &l.repeats, &l.repeats
	l.RestorePacketSize()
	return l, nil
}

// SetRate sets the pacing rate in bits per second, from the next packet on.
func (s *Sender) SetRate(bitsPerSecond int) {
	s.mu.Lock()
	s.rate = max(bitsPerSecond, 1000)
	s.mu.Unlock()
	s.notify()
}

// Queue returns what waits to be sent.
func (s *Sender) Queue() Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Queue{
		Packets: len(s.current.packets) + len(s.waiting.packets), Bytes: s.current.bytes + s.waiting.bytes,
	}
}

// Stats returns the counts so far.
func (s *Sender) Stats() Stats {
	s.mu.Lock()
	counts := s.stats
	s.mu.Unlock()
	counts.Feedback = s.reader.counted()
	if in := s.reports.Load(); in != nil {
		counts.Feedback[FeedbackUnread] = in.dropped.Load()
	}
	return counts
}

func (s *Sender) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// enqueue hands an access unit to the pacer.
func (s *Sender) enqueue(b batch, key bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return io.ErrClosedPipe
	}
	if key && len(s.waiting.packets) > 0 {
		s.waiting = batch{} // nothing before a keyframe is needed any more
		s.stats.Superseded++
	}
	b.key, b.since = key, time.Now()
	switch {
	case len(s.current.packets) == 0:
		s.current = b
	case len(s.waiting.packets) == 0:
		s.waiting = b
	default:
		return ErrFull
	}
	s.notify()
	return nil
}

// PacketSize returns the current size of the largest packets, in bytes.
func (s *Sender) PacketSize() int { return int(s.packetSize.Load()) }

// RestorePacketSize tries packets of the configured size again, because the path has changed.
func (s *Sender) RestorePacketSize() {
	s.reader.restoreSize(s.cfg.MTU)
	s.packetSize.Store(int64(s.cfg.MTU))
}
