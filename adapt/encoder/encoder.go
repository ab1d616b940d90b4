// Package encoder follows what the encoder makes, and decides what it is asked for: the bitrate, and keyframes.
//
// The package is pure: time comes in with each call.
package encoder

import (
	"math"
	"time"

	"wavryhost/adapt/path"
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
	// mediaShare is what is left of the target for media: 50 bytes of overhead on 1150 bytes.
	mediaShare = 0.955
	// A picture as coarse as starvedQP needs more bits; a still one is refined far below it.
	starvedQP, starvedFor = 35.0, 500 * time.Millisecond
	// What the encoder makes is compared with what it is asked for over overshootWindow, and what it is asked for is
	// lowered where it makes overshootFrom times as much.
	overshootFrom, overshootWindow = 1.05, time.Second
	// largest bounds the size of a picture that is believed, in bytes.
	largest = 1 << 24
	// PacingLarge is how many times the target a picture is sent at that is larger than was asked for.
	PacingLarge = 1.1
	// largeMost is how long such a picture is sent alone at most.
	largeMost = 2 * time.Second
	// What one picture, and a keyframe, may take at the target's rate.
	frameDelay, keyframeDelay = 150 * time.Millisecond, 250 * time.Millisecond
	// The slowest encoders take follows to follow a target.
	follows = 300 * time.Millisecond
	// Keyframes are keyframeEvery apart at least, and take half of the time at most, or requests for keyframes beget
	// each other. A viewer without a picture waits no longer than keyframeWait, whatever one costs.
	keyframeEvery, keyframeWait = 500 * time.Millisecond, 3 * time.Second
	// keyframeAnswer is what the viewer takes on top of a round trip until a keyframe shows in its requests.
	keyframeAnswer = 100 * time.Millisecond
	// The least changes of the bitrate that are worth their price, and the least time between two of them where they
	// have one.
	freeStep, keyframeStep, reopenStep = 0.01, 0.12, 0.20
	changeEvery                        = 2 * time.Second
	// emergency is how far below what the encoder does a target is that waits for no interval.
	emergency = 0.7
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
	e := Encoder{Bitrate: int(mediaShare * target), overshoot: 1}
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
	keep := max(0, 1-over.Seconds()/overshootWindow.Seconds())
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
	sending := time.Duration(float64(min(f.Bytes, largest)*8) / (PacingLarge * target) * float64(time.Second))
	e.largeUntil = f.At.Add(min(sending, largeMost))
	return true, f.At.Sub(cutAt) > follows
}

// Sending returns for how long a picture larger than was asked for is still being sent.
func (e *Encoder) Sending(now time.Time) time.Duration { return e.largeUntil.Sub(now) }

// MostBytes is the largest picture that may come next.
func (e *Encoder) MostBytes(target float64) int { return int(mostBytes(target, e.due)) }

func mostBytes(target float64, key bool) float64 {
	if key {
		return target / 8 * keyframeDelay.Seconds()
	}
	return target / 8 * frameDelay.Seconds()
}

// Starved reports whether the encoder shows that it could use more than it has.
func (e *Encoder) Starved(now time.Time) bool {
	return e.qp >= starvedQP && now.Sub(e.lastFrame) < starvedFor
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
	if !e.pending || now.Sub(e.KeyframeAt) < max(keyframeEvery, rtt+keyframeAnswer, min(2*sending, keyframeWait)) {
		return false
	}
	e.pending, e.due, e.KeyframeAt = false, true, now
	return true
}

// Follow moves the encoder's bitrate towards the target as often as its changes are worth what they cost.
func (e *Encoder) Follow(now time.Time, target float64, price Price, b Bounds) {
	wanted := mediaShare * target
	if e.overshoot > overshootFrom {
		wanted /= e.overshoot
	}
	wanted = min(max(wanted, float64(b.Min)), float64(b.Max))
	if b.Fixed != 0 {
		wanted = float64(b.Fixed)
	}
	step, interval := freeStep, time.Duration(0)
	switch price {
	case PriceKeyframe:
		step, interval = keyframeStep, changeEvery
	case PriceReopen:
		step, interval = reopenStep, changeEvery
	case PriceFree:
	}
	change := math.Abs(wanted-float64(e.Bitrate)) / float64(e.Bitrate)
	// What an encoder took may be out of this viewer's bounds, if by less than a step; what it is asked for never is.
	within := e.Bitrate >= b.Min && e.Bitrate <= b.Max
	if within && (change < step || now.Sub(e.changedAt) < interval && wanted > emergency*float64(e.Bitrate)) {
		return
	}
	e.Bitrate, e.changedAt = int(wanted), now
}
