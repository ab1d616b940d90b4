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
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"wavryhost/adapt"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
)

// ErrFull means that an access unit came while another one was waiting already. It was not taken; the stream goes on at the
// next keyframe.
var ErrFull = errors.New("wire: an access unit is waiting already")

const (
	// defaultMTU leaves room for SRTP, UDP and IPv6 headers and a tunnel on paths of 1280 bytes, the least IPv6 has.
	defaultMTU = 1200
	// burst is how far ahead of its rate the pacer may run. A frame is sent in bursts no longer than this.
	burst = 5 * time.Millisecond
	// maxRetransmissions bounds the packets that wait to be sent again; what comes beyond is asked for again anyway.
	maxRetransmissions = 512
	// maxPadding is the most padding that one RTP packet can carry (RFC 3550, section 5.1: one byte says how much).
	maxPadding = 255
)

// Config of a Link.
type Config struct {
	Log *slog.Logger
	// MTU is the largest RTP packet in bytes, header included. It defaults to 1200.
	MTU int
	// OnSent is told of every packet that leaves, in their order, from the goroutine of Run.
	OnSent func(adapt.Packet)
	// StartRate is the pacing rate to begin with, in bits per second. It defaults to 2 Mbit/s.
	StartRate int
}

// Link is one viewer's RTP side. All methods may be called from any goroutine.
type Link struct {
	cfg     Config
	history history
	clock   referenceClock // the receiver's; used by Receive alone

	receiving sync.Mutex // guards clock

	mu      sync.Mutex
	wake    chan struct{}
	rate    int // bits per second
	track   *Track
	current []*rtp.Packet // of the access unit being sent, in order
	started time.Time     // when current was handed over
	waiting []*rtp.Packet
	arrived time.Time // when waiting was handed over
	resends []resend
	padding adapt.PadRequest
	closed  bool
	stats   Stats
}

// resend is a packet that the NACK responder wants out again.
type resend struct {
	header     *rtp.Header
	payload    []byte
	attributes interceptor.Attributes
	next       interceptor.RTPWriter
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
	AccessUnits              uint64 // handed over
	DroppedFull              uint64 // access units refused because one was waiting
	Dropped                  uint64 // access units taken back by Drop
	DroppedRetransmissions   uint64
	ReportedTwice, NeverSent uint64 // packets in transport feedback that were reported before, or that we never sent
}

// New returns a link that sends nothing before Run.
func New(cfg Config) (*Link, error) {
	if cfg.MTU == 0 {
		cfg.MTU = defaultMTU
	}
	if cfg.StartRate == 0 {
		cfg.StartRate = 2_000_000
	}
	switch {
	case cfg.MTU < 576 || cfg.MTU > 9000:
		return nil, fmt.Errorf("wire: MTU %d is not from 576 to 9000", cfg.MTU)
	case cfg.StartRate < 0:
		return nil, fmt.Errorf("wire: pacing rate %d is negative", cfg.StartRate)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Link{cfg: cfg, rate: cfg.StartRate, wake: make(chan struct{}, 1)}, nil
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
	var q Queue
	for _, packets := range [][]*rtp.Packet{l.current, l.waiting} {
		q.Packets += len(packets)
		for _, p := range packets {
			q.Bytes += p.MarshalSize()
		}
	}
	switch {
	case len(l.current) > 0:
		q.Oldest = time.Since(l.started)
	case len(l.waiting) > 0:
		q.Oldest = time.Since(l.arrived)
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
	if len(l.waiting) == 0 {
		return 0, 0
	}
	for _, p := range l.waiting {
		bytes += p.MarshalSize()
	}
	packets, l.waiting = len(l.waiting), nil
	l.stats.Dropped++
	return packets, bytes
}

// SendPadding sends packets without media, when no media waits, until the request is fulfilled or its time is over. Another
// request replaces it.
func (l *Link) SendPadding(request adapt.PadRequest) {
	l.mu.Lock()
	l.padding = request
	l.mu.Unlock()
	l.notify()
}

// Stats returns the counts so far.
func (l *Link) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

func (l *Link) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take hands an access unit to the pacer.
func (l *Link) take(packets []*rtp.Packet, key bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return io.ErrClosedPipe
	}
	l.stats.AccessUnits++
	if len(l.waiting) > 0 && key {
		l.drop() // nothing before a keyframe is needed any more
	}
	switch {
	case len(l.current) == 0 && len(l.waiting) == 0:
		l.current, l.started = packets, time.Now()
	case len(l.waiting) == 0:
		l.waiting, l.arrived = packets, time.Now()
	default:
		l.stats.DroppedFull++
		return ErrFull
	}
	l.notify()
	return nil
}

// Run sends what is handed over, at the pacing rate, until ctx ends. Afterwards everything that is handed over is refused
// with io.ErrClosedPipe.
func (l *Link) Run(ctx context.Context) error {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closed, l.current, l.waiting, l.resends = true, nil, nil, nil
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var bucket bucket
	for ctx.Err() == nil {
		send, rate := l.next(time.Now())
		if send == nil {
			select {
			case <-l.wake:
			case <-ctx.Done():
			}
			continue
		}
		if wait := bucket.wait(time.Now(), rate); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-l.wake: // the rate changed, or a retransmission goes first
			case <-ctx.Done():
			}
			continue
		}
		if size := send(); size > 0 {
			bucket.spend(size)
		}
	}
	return ctx.Err()
}

// next returns what sends the packet whose turn it is, nil when there is none. Retransmissions go first: the receiver waits
// for them. Only Run calls it, and it calls the function at once or asks again.
func (l *Link) next(now time.Time) (send func() int, rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.resends) > 0:
		return l.resendFirst, l.rate
	case len(l.current) > 0:
		return l.sendFirst, l.rate
	case l.padding.Bytes > 0 && l.track != nil && now.Before(l.padding.Until):
		return l.pad, max(l.rate, l.padding.BitsPerSecond)
	}
	return nil, l.rate
}

func (l *Link) resendFirst() int {
	l.mu.Lock()
	if len(l.resends) == 0 {
		l.mu.Unlock()
		return 0
	}
	r := l.resends[0]
	l.resends = l.resends[1:]
	size := r.header.MarshalSize() + len(r.payload)
	l.stats.Retransmissions++
	l.stats.RetransmittedBytes += uint64(size)
	l.mu.Unlock()
	if _, err := r.next.Write(r.header, r.payload, r.attributes); err != nil {
		l.cfg.Log.Debug("packet not sent again", "err", err)
	}
	return size
}

func (l *Link) sendFirst() int {
	l.mu.Lock()
	if len(l.current) == 0 {
		l.mu.Unlock()
		return 0
	}
	p, track := l.current[0], l.track
	l.current = l.current[1:]
	if len(l.current) == 0 {
		l.current, l.started, l.waiting = l.waiting, l.arrived, nil
	}
	l.mu.Unlock()
	return track.write(p)
}

func (l *Link) pad() int {
	l.mu.Lock()
	n := min(l.padding.Bytes, maxPadding)
	l.padding.Bytes -= n
	probe, track := l.padding.ProbeID, l.track
	l.stats.PaddingPackets++
	l.mu.Unlock()
	l.history.mark(true, probe)
	defer l.history.mark(false, 0)
	return track.writePadding(byte(n))
}

// bucket is the pacer's budget: it fills at the pacing rate, holds one burst at most, and may go below zero by one packet.
type bucket struct {
	bytes float64
	at    time.Time
}

// wait returns how long to wait until a packet may go.
func (b *bucket) wait(now time.Time, rate int) time.Duration {
	perSecond := float64(rate) / 8
	if b.at.IsZero() {
		b.bytes = perSecond * burst.Seconds()
	} else {
		b.bytes = min(b.bytes+perSecond*now.Sub(b.at).Seconds(), perSecond*burst.Seconds())
	}
	b.at = now
	if b.bytes >= 0 {
		return 0
	}
	return max(time.Duration(-b.bytes/perSecond*float64(time.Second)), 50*time.Microsecond)
}

func (b *bucket) spend(bytes int) { b.bytes -= float64(bytes) }
