package encoder

import (
	"testing"
	"time"

	"wavryhost/adapt/tuning"
)

var bounds = Bounds{Min: 200_000, Max: 8_000_000}

// A change of the bitrate is asked for once it is worth its price, and a deep cut at once.
func TestFollowIsAsOftenAsItsPrice(t *testing.T) {
	for _, c := range []struct {
		price  Price
		target float64
		after  time.Duration
		change bool
	}{
		{PriceFree, 1_005_000, time.Hour, false},
		{PriceFree, 1_020_000, 0, true},
		{PriceKeyframe, 1_100_000, time.Hour, false},
		{PriceKeyframe, 1_150_000, 0, false},
		{PriceKeyframe, 1_150_000, tuning.ChangeEvery, true},
		{PriceKeyframe, 600_000, 0, true},
		{PriceReopen, 1_150_000, time.Hour, false},
		{PriceReopen, 1_250_000, tuning.ChangeEvery, true},
	} {
		start := time.Unix(1000, 0)
		e := New(1_000_000, bounds)
		e.changedAt = start
		before := e.Bitrate
		e.Follow(start.Add(c.after), c.target, c.price, bounds)
		if changed := e.Bitrate != before; changed != c.change {
			t.Errorf("price %d, %v after a change: target %v changes the bitrate: %v; want %v",
				c.price, c.after, c.target, changed, c.change)
		}
	}
}

// An encoder that makes a half more than it is asked for is asked for less.
func TestOvershootLowersTheBitrate(t *testing.T) {
	now := time.Unix(1000, 0)
	e := New(1_000_000, bounds)
	for range 60 {
		now = now.Add(time.Second / 30)
		e.OnFrame(&Frame{At: now, Bytes: e.Bitrate * 3 / 2 / 30 / 8, Every: time.Second / 30})
	}
	before := e.Bitrate
	e.Follow(now, 1_000_000, PriceFree, bounds)
	if e.Bitrate > before*3/4 {
		t.Errorf("the encoder is asked for %d of %d bit/s; want two thirds", e.Bitrate, before)
	}
}

// Keyframes take half of the time at most, and a large one delays the next for three seconds at most.
func TestKeyframesAreAfforded(t *testing.T) {
	for _, c := range []struct {
		bytes int
		least time.Duration
	}{{1000, tuning.KeyframeEvery}, {125_000, 2 * time.Second}, {1_250_000, tuning.KeyframeWait}} {
		now := time.Unix(1000, 0)
		e := New(1_000_000, bounds)
		e.Request()
		if !e.Keyframe(now, 1_000_000, 0) {
			t.Fatal("the first keyframe has to wait")
		}
		e.OnFrame(&Frame{At: now, Bytes: c.bytes, Keyframe: true})
		e.Request()
		if e.Keyframe(now.Add(c.least-1), 1_000_000, 0) || !e.Keyframe(now.Add(c.least), 1_000_000, 0) {
			t.Errorf("after a keyframe of %d bytes the next does not wait for %v", c.bytes, c.least)
		}
	}
}

// A picture that takes a second is sent alone. A picture for the target before a cut is not the encoder's fault.
func TestOversized(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		bytes        int
		cut          time.Duration
		large, fault bool
	}{
		{18_000, time.Hour, false, false},
		{19_000, time.Hour, true, true},
		{19_000, tuning.EncoderFollows, true, false},
	} {
		e := New(1_000_000, bounds)
		large, fault := e.Oversized(&Frame{At: now, Bytes: c.bytes}, 1_000_000, now.Add(-c.cut))
		if large != c.large || fault != c.fault || large != (e.Sending(now) > 0) {
			t.Errorf("%d bytes, %v after a cut: large %v, fault %v, sent for %v; want %v and %v",
				c.bytes, c.cut, large, fault, e.Sending(now), c.large, c.fault)
		}
	}
}
