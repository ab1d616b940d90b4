// Package wire is the RTP side of one viewer: it turns access units into packets, paces them, and translates what the
// receiver reports into adapt.Feedback.
//
// A packet goes through these layers, and a retransmission joins in the middle:
//
//	access unit ─▶ Track (at most one waits) ─▶ pacer ─▶ pion: sender reports ─▶ NACK responder ─▶ RTX queue
//	            ─▶ transport-wide sequence number ─▶ recorder ─▶ network
//
// Media is paced before pion sees it, so that a dropped access unit leaves no gap in the sequence numbers. pion's NACK
// responder makes the retransmissions. The RTX queue below it takes them out of the chain and gives them to the same
// pacer, which sends them first. The recorder sees every packet that leaves.
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
	"wavryhost/session/guard"

	"github.com/pion/rtp"
)

// ErrFull means that an access unit came while another one was waiting already. It was refused; the stream continues
// with the next keyframe.
var ErrFull = errors.New("wire: an access unit is waiting already")

// defaultMTU leaves room for SRTP, UDP and IPv6 headers and a tunnel on paths of 1280 bytes, the least IPv6 has.
const defaultMTU = 1200

// part names the sender to its Guard.
const part = "transport"

// Config of a Sender.
type Config struct {
	Log *slog.Logger
	// Codec is the access units', one of encode.Codecs. It defaults to H264.
	Codec string
	// MTU is the largest RTP packet in bytes, header included. It defaults to 1200.
	MTU int
	// OnSent is called for every packet that leaves, in their order, from the goroutine of Run.
	OnSent func(adapt.Packet)
	// OnBroken is called when the receiver lacks a packet that it will not get any more, and cannot decode before the
	// next keyframe. It is called at most once for each keyframe, from a goroutine of pion.
	OnBroken func()
	// Guard catches panics where pion calls the sender; nil lets them pass.
	Guard *guard.Guard
	// StartRate is the pacing rate to begin with, in bits per second. It defaults to 2 Mbit/s.
	StartRate int
}

// Sender is one viewer's RTP side. All methods may be called from any goroutine.
type Sender struct {
	cfg        Config
	history    history
	reports    atomic.Pointer[inbox] // of our media
	streams    streams               // where the peer reports by stream
	packetSize atomic.Int64          // of the largest packets
	repeats    repeats               // has a lock of its own, taken under all others

	receiving sync.Mutex         // guards what only Receive uses
	form      adapt.FeedbackKind // of the reports on packets: RR until the first of another form has come
	clock     wrapping           // the receiver's, in units of 64 ms, or of 1/65536 s
	messages  serial             // count of transport feedback messages
	sizes     packetSize
	intra     serial // number of the newest full intra request
	newest    int64  // packet of media that receiver reports and requests for packets again show to have arrived

	mu      sync.Mutex
	wake    chan struct{}
	rate    int // bits per second
	track   *Track
	current batch // being sent
	waiting batch
	resends []resend
	repair  repairStream
	shares  pacing.Shares
	rtt     time.Duration    // of the newest report, 0 before the first
	padding adapt.PadRequest // what is left of it
	label   label            // of the packet that the pacer is sending
	closed  bool
	stats   Stats
}

// batch is an access unit in packets, without the packets that have left.
type batch struct {
	packets []*rtp.Packet
	bytes   int
	at      time.Time // when it was handed over
	key     bool      // it is a keyframe of which nothing has been sent
}

// label is what the pacer knows of a packet and its header does not tell.
type label struct {
	again, padding bool
	key            bool // a keyframe begins with it
	probing        bool // it counts towards the request for padding
	probe          int
}

// Queue is what waits in the pacer.
type Queue struct {
	Packets, Bytes int
	// Oldest is how long the oldest access unit is there.
	Oldest time.Duration
}

// Stats counts what a sender did.
type Stats struct {
	Packets, Bytes     uint64 // all that left, headers included
	Retransmissions    uint64
	RetransmittedBytes uint64
	PaddingPackets     uint64
	PaddingBytes       uint64
	Unsent             uint64         // packets that the transport did not take: it is not ready yet, or gone
	AccessUnits        uint64         // handed over
	DroppedFull        uint64         // access units refused because one was waiting
	Dropped            uint64         // access units taken back by Drop
	Refused            pacing.Refused // requests for retransmissions
	// Packets in transport feedback that were reported before, or that we never sent.
	ReportedTwice, NeverSent uint64
	FeedbackLost             uint64 // lost messages of transport feedback
	FeedbackLate             uint64 // messages of transport feedback that came after a later one, or twice
	ReportsDropped           uint64 // reports that nobody read in time
}

// New returns a sender that sends nothing before Run.
func New(cfg Config) (*Sender, error) {
	if cfg.MTU == 0 {
		cfg.MTU = defaultMTU
	}
	if cfg.Codec == "" {
		cfg.Codec = encode.H264
	}
	if cfg.StartRate == 0 {
		cfg.StartRate = 2_000_000
	}
	switch {
	case cfg.MTU < 576 || cfg.MTU > 1500:
		return nil, fmt.Errorf("wire: MTU %d is not from 576 to 1500", cfg.MTU)
	case len(parameters(cfg.Codec)) == 0:
		return nil, fmt.Errorf("wire: codec %q is not one of %v", cfg.Codec, encode.Codecs())
	case cfg.StartRate < 0:
		return nil, fmt.Errorf("wire: pacing rate %d is negative", cfg.StartRate)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sender{
		cfg: cfg, rate: cfg.StartRate, wake: make(chan struct{}, 1), form: adapt.RR, shares: pacing.NewShares(),
	}
	s.sizes.begin(cfg.MTU)
	s.packetSize.Store(int64(cfg.MTU))
	s.history.repeats, s.streams.repeats = &s.repeats, &s.repeats
	return s, nil
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
	q := Queue{Packets: len(s.current.packets) + len(s.waiting.packets), Bytes: s.current.bytes + s.waiting.bytes}
	if len(s.current.packets) > 0 {
		q.Oldest = time.Since(s.current.at)
	}
	return q
}

// Drop drops the waiting access unit of which nothing has been sent, and returns its size. The stream cannot be
// decoded before the next keyframe.
func (s *Sender) Drop() (packets, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drop()
}

func (s *Sender) drop() (packets, bytes int) {
	if len(s.waiting.packets) == 0 {
		return 0, 0
	}
	packets, bytes = len(s.waiting.packets), s.waiting.bytes
	s.waiting = batch{}
	s.stats.Dropped++
	return packets, bytes
}

// Stats returns the counts so far.
func (s *Sender) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	if in := s.reports.Load(); in != nil {
		stats.ReportsDropped = in.dropped.Load()
	}
	return stats
}

func (s *Sender) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take hands an access unit to the pacer.
func (s *Sender) take(b batch, key bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return io.ErrClosedPipe
	}
	s.stats.AccessUnits++
	if key {
		s.drop() // nothing before a keyframe is needed any more
	}
	b.at, b.key = time.Now(), key
	switch {
	case len(s.current.packets) == 0:
		s.current = b
	case len(s.waiting.packets) == 0:
		s.waiting = b
	default:
		s.stats.DroppedFull++
		return ErrFull
	}
	s.notify()
	return nil
}
