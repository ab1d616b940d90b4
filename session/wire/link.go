// Package wire is the RTP side of one viewer: it turns access units into packets, paces them, and translates what the
// receiver reports into adapt.Feedback.
//
// A packet goes through these layers, and a retransmission joins in the middle:
//
//	access unit ─▶ Track (one waiting at most) ─▶ pacer ─▶ pion: sender reports ─▶ NACK responder ─▶ gate ─▶ transport-wide
//	               sequence number ─▶ recorder ─▶ network
//
// Media is paced before pion sees it, so that an access unit which has to be dropped leaves no gap in the sequence numbers.
// Retransmissions begin inside pion, in its NACK responder; the gate below it takes them out of the chain and hands them to
// the same pacer, which lets them through first. The recorder sees every packet as it leaves, whatever its origin.
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

// ErrFull means that an access unit came while another one was waiting already. It was not taken; the stream goes on at the
// next keyframe.
var ErrFull = errors.New("wire: an access unit is waiting already")

// defaultMTU leaves room for SRTP, UDP and IPv6 headers and a tunnel on paths of 1280 bytes, the least IPv6 has.
const defaultMTU = 1200

// part names the link to its Guard.
const part = "transport"

// Config of a Link.
type Config struct {
	Log *slog.Logger
	// Codec is the access units', one of encode.Codecs. It defaults to H264.
	Codec string
	// MTU is the largest RTP packet in bytes, header included. It defaults to 1200.
	MTU int
	// OnSent is told of every packet that leaves, in their order, from the goroutine of Run.
	OnSent func(adapt.Packet)
	// OnBroken is called when the receiver lacks a packet that it will not get any more, and cannot decode before the next
	// keyframe. It is called at most once for each keyframe, from a goroutine of pion.
	OnBroken func()
	// Guard catches panics where pion calls the link; nil lets them pass.
	Guard *guard.Guard
	// StartRate is the pacing rate to begin with, in bits per second. It defaults to 2 Mbit/s.
	StartRate int
}

// Link is one viewer's RTP side. All methods may be called from any goroutine.
type Link struct {
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

// batch is an access unit in packets, those that are sent already cut off.
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

// Stats counts what a link did.
type Stats struct {
	Packets, Bytes           uint64 // all that left, headers included
	Retransmissions          uint64
	RetransmittedBytes       uint64
	PaddingPackets           uint64
	PaddingBytes             uint64
	Unsent                   uint64         // packets that the transport did not take: it is not ready yet, or gone
	AccessUnits              uint64         // handed over
	DroppedFull              uint64         // access units refused because one was waiting
	Dropped                  uint64         // access units taken back by Drop
	Refused                  pacing.Refused // requests for retransmissions
	ReportedTwice, NeverSent uint64         // packets in transport feedback that were reported before, or that we never sent
	FeedbackLost             uint64         // messages of transport feedback missing between those that came
	FeedbackLate             uint64         // messages of transport feedback that came after a later one, or twice
	ReportsDropped           uint64         // reports that nobody read in time
}

// New returns a link that sends nothing before Run.
func New(cfg Config) (*Link, error) {
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
	l := &Link{
		cfg: cfg, rate: cfg.StartRate, wake: make(chan struct{}, 1), form: adapt.RR, shares: pacing.NewShares(),
	}
	l.sizes.begin(cfg.MTU)
	l.packetSize.Store(int64(cfg.MTU))
	l.history.repeats, l.streams.repeats = &l.repeats, &l.repeats
	return l, nil
}

// SetRate sets the pacing rate in bits per second, from the next packet on.
func (l *Link) SetRate(bitsPerSecond int) {
	l.mu.Lock()
	l.rate = max(bitsPerSecond, 1000)
	l.mu.Unlock()
	l.notify()
}

// Queue tells what waits to be sent.
func (l *Link) Queue() Queue {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := Queue{Packets: len(l.current.packets) + len(l.waiting.packets), Bytes: l.current.bytes + l.waiting.bytes}
	if len(l.current.packets) > 0 {
		q.Oldest = time.Since(l.current.at)
	}
	return q
}

// Drop takes back the access unit that waits and has not begun to be sent, and tells how much that was. What follows cannot
// be decoded before the next keyframe.
func (l *Link) Drop() (packets, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.drop()
}

func (l *Link) drop() (packets, bytes int) {
	if len(l.waiting.packets) == 0 {
		return 0, 0
	}
	packets, bytes = len(l.waiting.packets), l.waiting.bytes
	l.waiting = batch{}
	l.stats.Dropped++
	return packets, bytes
}

// Stats returns the counts so far.
func (l *Link) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	if in := l.reports.Load(); in != nil {
		s.ReportsDropped = in.dropped.Load()
	}
	return s
}

func (l *Link) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take hands an access unit to the pacer.
func (l *Link) take(b batch, key bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return io.ErrClosedPipe
	}
	l.stats.AccessUnits++
	if key {
		l.drop() // nothing before a keyframe is needed any more
	}
	b.at, b.key = time.Now(), key
	switch {
	case len(l.current.packets) == 0:
		l.current = b
	case len(l.waiting.packets) == 0:
		l.waiting = b
	default:
		l.stats.DroppedFull++
		return ErrFull
	}
	l.notify()
	return nil
}
