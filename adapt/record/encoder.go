package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"wavryhost/adapt"
)

// The kinds of events. Their numbers are part of the file format.
const (
	kindSent = iota + 1
	kindFeedback
	kindSource
	kindKeyframe
	kindApplied
	kindTick      // with targets
	kindTickAgain // with the targets of the tick before
	kindEstimate
	kindLimit
)

// The bits of a packet.
const (
	bitLost = 1 << iota
	bitPadding
	bitSent
	bitArrived
	bitProbe
	bitECN
)

// The bits of targets.
const (
	bitSkip = 1 << iota
	bitIDR
	bitIdle
	bitPad
	bitUntil
	bitTransition
)

// when returns the bit where it is to be set.
func when(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

// encoder packs events. Times and numbers are written as differences from the ones before.
type encoder struct {
	base                time.Time
	at, sentAt, arrived int64 // nanoseconds since base
	id                  uint64
}

func (e *encoder) number(b []byte, n int) []byte { return binary.AppendVarint(b, int64(n)) }

func (e *encoder) float(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

// diff writes t as the difference from *before, which it becomes. Times are within 292 years of base, which the
// Recorder's are.
func (e *encoder) diff(b []byte, t time.Time, before *int64) []byte {
	n := int64(t.Sub(e.base))
	b = binary.AppendVarint(b, n-*before)
	*before = n
	return b
}

func (e *encoder) event(b []byte, kind byte, at time.Time) []byte {
	return e.diff(append(b, kind), at, &e.at)
}

func (e *encoder) packet(b []byte, p adapt.Packet) []byte {
	bits := when(p.Lost, bitLost) | when(p.Padding, bitPadding) | when(!p.Sent.IsZero(), bitSent) |
		when(!p.Arrived.IsZero(), bitArrived) | when(p.ProbeID != 0, bitProbe) | when(p.ECN != 0, bitECN)
	b = append(b, bits)
	b = binary.AppendVarint(b, int64(p.ID-e.id))
	e.id = p.ID
	b = e.number(b, p.Size)
	if bits&bitSent != 0 {
		b = e.diff(b, p.Sent, &e.sentAt)
	}
	if bits&bitArrived != 0 {
		b = e.diff(b, p.Arrived, &e.arrived)
	}
	if bits&bitProbe != 0 {
		b = e.number(b, p.ProbeID)
	}
	if bits&bitECN != 0 {
		b = append(b, p.ECN)
	}
	return b
}

func (e *encoder) sent(b []byte, p adapt.Packet) []byte { return e.packet(append(b, kindSent), p) }

func (e *encoder) feedback(b []byte, f adapt.Feedback) []byte {
	b = e.event(b, kindFeedback, f.At)
	b = append(b, byte(f.Kind))
	b = e.number(b, int(f.RTT))
	b = e.float(b, f.Loss)
	b = e.number(b, int(f.Jitter))
	b = e.number(b, len(f.Packets))
	for i := range f.Packets {
		b = e.packet(b, f.Packets[i])
	}
	return b
}

func (e *encoder) source(b []byte, s adapt.Source) []byte {
	b = e.event(b, kindSource, s.At)
	b = append(b, when(s.Keyframe, 1), byte(s.Class))
	b = e.number(b, s.FrameBytes)
	b = e.float(b, s.QP)
	b = e.number(b, int(s.EncodeTime))
	b = e.float(b, s.Dirty)
	return e.number(b, s.WantBitrate)
}

func (e *encoder) keyframe(b []byte, at time.Time, why adapt.KeyframeReason) []byte {
	return append(e.event(b, kindKeyframe, at), byte(why))
}

func (e *encoder) applied(b []byte, a adapt.Applied) []byte {
	b = e.event(b, kindApplied, a.At)
	for _, n := range []int{a.BitsPerSecond, a.FPS, a.Width, a.Height} {
		b = e.number(b, n)
	}
	return append(b, byte(a.Price))
}

func (e *encoder) limit(b []byte, l adapt.Limit) []byte {
	b = e.number(e.event(b, kindLimit, l.At), l.FPS)
	return e.float(b, l.Scale)
}

func (e *encoder) estimate(b []byte, at time.Time) []byte { return e.event(b, kindEstimate, at) }

func (e *encoder) tick(b []byte, at time.Time, last, t adapt.Targets) []byte {
	if t == last {
		return e.event(b, kindTickAgain, at)
	}
	b = e.event(b, kindTick, at)
	bits := when(
		t.Skip, bitSkip,
	) | when(
		t.ForceIDR, bitIDR,
	) | when(
		t.Idle, bitIdle,
	) | when(
		t.Pad != adapt.PadRequest{}, bitPad,
	) |
		when(
			!t.Pad.Until.IsZero(), bitUntil,
		) | when(
		t.Transition != adapt.Transition{},
		bitTransition,
	)
	b = append(b, bits, byte(t.Quality), byte(t.Reason))
	for _, n := range []int{t.EncoderBitrate, t.PacingRate, t.MaxFrameBytes, t.FPS, t.Width, t.Height} {
		b = e.number(b, n)
	}
	b = binary.AppendUvarint(b, t.Seq)
	if bits&bitPad != 0 {
		for _, n := range []int{t.Pad.ProbeID, t.Pad.Bytes, t.Pad.BitsPerSecond} {
			b = e.number(b, n)
		}
	}
	if bits&bitUntil != 0 {
		b = e.number(b, int(t.Pad.Until.Sub(e.base)))
	}
	if bits&bitTransition != 0 {
		b = e.transition(b, t.Transition)
	}
	return b
}

func (e *encoder) transition(b []byte, t adapt.Transition) []byte {
	b = binary.AppendUvarint(b, t.Seq)
	b = append(b, byte(t.From), byte(t.To), byte(t.Reason))
	for _, n := range []int{int(t.At.Sub(e.base)), int(t.Dwell), t.Target, t.Received, int(t.RTT), int(t.QueueDelay)} {
		b = e.number(b, n)
	}
	return e.float(b, t.Loss)
}

// ErrDamaged is what reading a recording returns that is cut off or was changed.
var ErrDamaged = errors.New("record: damaged recording")

// decoder unpacks events. After an error all it returns is zero.
type decoder struct {
	base                time.Time
	at, sentAt, arrived int64
	id                  uint64
	b                   []byte
	off                 int
	err                 error
	last                adapt.Targets
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s at byte %d", ErrDamaged, what, d.off)
	}
}

func (d *decoder) octet() byte {
	if d.err != nil || d.off >= len(d.b) {
		d.fail("cut off")
		return 0
	}
	d.off++
	return d.b[d.off-1]
}

func (d *decoder) varint() int64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Varint(d.b[d.off:])
	if n <= 0 {
		d.fail("no number")
		return 0
	}
	d.off += n
	return v
}

func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.b[d.off:])
	if n <= 0 {
		d.fail("no number")
		return 0
	}
	d.off += n
	return v
}

func (d *decoder) number() int             { return int(d.varint()) }
func (d *decoder) duration() time.Duration { return time.Duration(d.varint()) }

func (d *decoder) float() float64 {
	if d.err != nil || len(d.b)-d.off < 8 {
		d.fail("cut off")
		return 0
	}
	d.off += 8
	return math.Float64frombits(binary.LittleEndian.Uint64(d.b[d.off-8:]))
}

func (d *decoder) diff(before *int64) time.Time {
	*before += d.varint()
	return d.base.Add(time.Duration(*before))
}

func (d *decoder) packet() adapt.Packet {
	bits := d.octet()
	d.id += uint64(d.varint())
	p := adapt.Packet{ID: d.id, Lost: bits&bitLost != 0, Padding: bits&bitPadding != 0, Size: d.number()}
	if bits&bitSent != 0 {
		p.Sent = d.diff(&d.sentAt)
	}
	if bits&bitArrived != 0 {
		p.Arrived = d.diff(&d.arrived)
	}
	if bits&bitProbe != 0 {
		p.ProbeID = d.number()
	}
	if bits&bitECN != 0 {
		p.ECN = d.octet()
	}
	return p
}

func (d *decoder) feedback() adapt.Feedback {
	f := adapt.Feedback{
		At:     d.diff(&d.at),
		Kind:   adapt.FeedbackKind(d.octet()),
		RTT:    d.duration(),
		Loss:   d.float(),
		Jitter: d.duration(),
	}
	n := d.number()
	if n < 0 || n > len(d.b)-d.off { // a packet takes more than a byte
		d.fail("a number of packets that cannot be")
		return f
	}
	if n > 0 {
		f.Packets = make([]adapt.Packet, n)
	}
	for i := range f.Packets {
		f.Packets[i] = d.packet()
	}
	return f
}

func (d *decoder) source() adapt.Source {
	s := adapt.Source{At: d.diff(&d.at)}
	s.Keyframe, s.Class = d.octet() == 1, adapt.ContentClass(d.octet())
	s.FrameBytes, s.QP, s.EncodeTime, s.Dirty, s.WantBitrate = d.number(), d.float(), d.duration(), d.float(), d.number()
	return s
}

func (d *decoder) applied() adapt.Applied {
	return adapt.Applied{
		At: d.diff(
			&d.at,
		),
		BitsPerSecond: d.number(),
		FPS:           d.number(),
		Width:         d.number(),
		Height:        d.number(),
		Price:         adapt.Price(d.octet()),
	}
}

func (d *decoder) limit() adapt.Limit {
	return adapt.Limit{At: d.diff(&d.at), FPS: d.number(), Scale: d.float()}
}

func (d *decoder) targets() adapt.Targets {
	bits := d.octet()
	t := adapt.Targets{
		Skip:           bits&bitSkip != 0,
		ForceIDR:       bits&bitIDR != 0,
		Idle:           bits&bitIdle != 0,
		Quality:        adapt.State(d.octet()),
		Reason:         adapt.Reason(d.octet()),
		EncoderBitrate: d.number(),
		PacingRate:     d.number(),
		MaxFrameBytes:  d.number(),
		FPS:            d.number(),
		Width:          d.number(),
		Height:         d.number(),
		Seq:            d.uvarint(),
	}
	if bits&bitPad != 0 {
		t.Pad.ProbeID, t.Pad.Bytes, t.Pad.BitsPerSecond = d.number(), d.number(), d.number()
	}
	if bits&bitUntil != 0 {
		t.Pad.Until = d.base.Add(d.duration())
	}
	if bits&bitTransition != 0 {
		t.Transition = d.transition()
	}
	return t
}

func (d *decoder) transition() adapt.Transition {
	return adapt.Transition{
		Seq:    d.uvarint(),
		From:   adapt.State(d.octet()),
		To:     adapt.State(d.octet()),
		Reason: adapt.Reason(d.octet()),
		At: d.base.Add(
			d.duration(),
		),
		Dwell:      d.duration(),
		Target:     d.number(),
		Received:   d.number(),
		RTT:        d.duration(),
		QueueDelay: d.duration(),
		Loss:       d.float(),
	}
}
