// Package encoder follows what the encoder makes, and decides what it is asked for: the bitrate, and keyframes.
//
// The package is pure: time comes in with each call.
package encoder

import (
	"math"
	"time"

	"wavryhost/adapt/path"
	"wavryhost/adapt/tuning"
)

// Price is what a bitrate change costs at the encoder in use.
type Price uint8

// The prices; see the encoder profiles.
const (
	// PriceFree: in place, no keyframe.
	PriceFree Price = iota
	// PriceKeyframe: in place, with a keyframe at each change.
	PriceKeyframe
	// PriceReopen: the encoder is opened anew.
	PriceReopen
)

const (
	// largest bounds the size of a picture that is believed, in bytes.
	largest = 1 << 24
)

// Bounds are what an operator allows, in bits per second. Fixed, when not 0, is the bitrate whatever the target is.
type Bounds struct {
	Min, Max, Fixed int
}

// Encoder is the encoder as the controller sees it.
type Encoder struct {
	// Bitrate is what the encoder is asked for, in bits per second.
	Bitrate int
	// KeyframeAt is when a keyframe was asked for last.
	KeyframeAt time.Time

	changedAt     time.Time
	frames        path.Counts
	overshoot     float64 // what the encoder makes over what it is asked for
	made, asked   float64 // bits, of the frames lately
	comparedAt    time.Time
	qp            float64 // mean over the frames
	lastFrame     time.Time
	largeUntil    time.Time // when a picture larger than was asked for has left the pacer
	pending       bool      // a keyframe is to be asked for
	due           bool      // one was asked for, and did not come yet
	keyframeBytes int       // of the newest keyframe
}

// New returns an encoder that is begun with a target.
func New(target float64, b Bounds) Encoder {
	e := Encoder{Bitrate: int(tuning.MediaShare * target), overshoot: 1}
	if b.Fixed != 0 {
		e.Bitrate = b.Fixed
	}
	return e
}

// Frame is one encoded picture.
type Frame struct {
	At       time.Time
	Bytes    int
	Keyframe bool
	QP       float64 // 0 when unknown
	// Every is the time between frames.
	Every time.Duration
}

// OnFrame takes in a picture.
func (e *Encoder) OnFrame(f *Frame) {
	if f.Keyframe && f.Bytes > 0 {
		e.keyframeBytes, e.due = min(f.Bytes, largest), false
	}
	if f.Bytes > 0 {
		e.frames.Add(f.At, path.Count{Bytes: f.Bytes, Packets: 1})
	}
	if f.QP > 0 && f.QP <= 63 {
		e.qp += (f.QP - e.qp) / 8
		e.lastFrame = f.At
	}
	e.compare(f)
}

// compare measures by how much the encoder exceeds what it is asked for, over about a second of frames. Keyframes have
// a budget of their own.
func (e *Encoder) compare(f *Frame) {
	over := f.At.Sub(e.comparedAt)
	e.comparedAt = f.At
	if f.Keyframe || f.Bytes <= 0 || over <= 0 {
		return
	}
	over = min(over, 2*f.Every)
	keep := max(0, 1-over.Seconds()/tuning.OvershootWindow.Seconds())
	e.made = e.made*keep + float64(min(f.Bytes, largest))*8
	e.asked = e.asked*keep + float64(e.Bitrate)*over.Seconds()
	if e.asked > float64(e.Bitrate)/4 { // a quarter of a second of frames
		e.overshoot = min(max(e.made/e.asked, 1), 2)
	}
}

// Oversized reports whether a picture is larger than was asked for, and whether that is the encoder's fault: it is not
// where the picture was made for the target before a cut. Others refer to it, so that it is sent; at about the target's
// rate, so that it makes no queue, and the next ones are left out before they are encoded until it has left. Where it
// is not the only one, the encoder is asked for less.
func (e *Encoder) Oversized(f *Frame, target float64, cutAt time.Time) (large, fault bool) {
	if float64(f.Bytes) <= mostBytes(target, f.Keyframe) {
		return false, false
	}
	sending := time.Duration(float64(min(f.Bytes, largest)*8) / (tuning.PacingLarge * target) * float64(time.Second))
	e.largeUntil = f.At.Add(min(sending, tuning.LargeMost))
	return true, f.At.Sub(cutAt) > tuning.EncoderFollows
}

// Sending returns for how long a picture larger than was asked for is still being sent.
func (e *Encoder) Sending(now time.Time) time.Duration { return e.largeUntil.Sub(now) }

// MostBytes is the largest picture that may come next.
func (e *Encoder) MostBytes(target float64) int { return int(mostBytes(target, e.due)) }

func mostBytes(target float64, key bool) float64 {
	if key {
		return target / 8 * tuning.KeyframeDelay.Seconds()
	}
	return target / 8 * tuning.FrameDelay.Seconds()
}

// Starved reports whether the encoder shows that it could use more than it has.
func (e *Encoder) Starved(now time.Time) bool {
	return e.qp >= tuning.StarvedQP && now.Sub(e.lastFrame) < tuning.StarvedFor
}

// Frames returns how many pictures were made in the last second.
func (e *Encoder) Frames(now time.Time) int {
	c, _ := e.frames.Sum(now, time.Second)
	return c.Packets
}

// Request asks for a keyframe.
func (e *Encoder) Request() { e.pending = true }

// Keyframe reports whether a keyframe is to be made now: no more often than it can be afforded.
func (e *Encoder) Keyframe(now time.Time, target float64, rtt time.Duration) bool {
	sending := time.Duration(float64(e.keyframeBytes*8) / target * float64(time.Second))
	wait := max(tuning.KeyframeEvery, rtt+2*tuning.Reaction, min(2*sending, tuning.KeyframeWait))
	if !e.pending || now.Sub(e.KeyframeAt) < wait {
		return false
	}
	e.pending, e.due, e.KeyframeAt = false, true, now
	return true
}

// Follow moves the encoder's bitrate towards the target as often as its changes are worth what they cost.
func (e *Encoder) Follow(now time.Time, target float64, price Price, b Bounds) {
	wanted := tuning.MediaShare * target
	if e.overshoot > tuning.OvershootFrom {
		wanted /= e.overshoot
	}
	wanted = min(max(wanted, float64(b.Min)), float64(b.Max))
	if b.Fixed != 0 {
		wanted = float64(b.Fixed)
	}
	step, interval := tuning.FreeStep, time.Duration(0)
	switch price {
	case PriceKeyframe:
		step, interval = tuning.KeyframeStep, tuning.ChangeEvery
	case PriceReopen:
		step, interval = tuning.ReopenStep, tuning.ChangeEvery
	case PriceFree:
	}
	change := math.Abs(wanted-float64(e.Bitrate)) / float64(e.Bitrate)
	// What an encoder took may be out of this viewer's bounds, if by less than a step; what it is asked for never is.
	within := e.Bitrate >= b.Min && e.Bitrate <= b.Max
	if within && (change < step || now.Sub(e.changedAt) < interval && wanted > tuning.EmergencyShare*float64(e.Bitrate)) {
		return
	}
	e.Bitrate, e.changedAt = int(wanted), now
}
