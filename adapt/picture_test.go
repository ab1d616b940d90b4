package adapt

import (
	"testing"
	"time"
)

// starved is a sender of an encoder that takes all it gets, on a path of so many bits per second.
func starved(t *testing.T, class ContentClass, bits int) (first, last Targets) {
	t.Helper()
	l, err := New(Config{Start: 4_000_000, FPS: 60, Width: 1920, Height: 1080})
	if err != nil {
		t.Fatal(err)
	}
	now, id := time.Unix(1000, 0), uint64(0)
	ready := now
	var targets Targets
	var reported []Packet
	for range 40 * 60 {
		now = now.Add(time.Second / 60)
		targets = l.Tick(now)
		if first.FPS == 0 {
			first = targets
		}
		l.OnSource(Source{
			At: now, FrameBytes: targets.EncoderBitrate / 60 / 8, QP: 40, Dirty: 1, Class: class,
			EncodeTime: 2 * time.Millisecond,
		})
		for sent := 0; sent < targets.EncoderBitrate/60/8; sent += 1200 {
			id++
			p := Packet{ID: id, Size: 1200, Sent: now}
			l.OnSent(p)
			ready = ready.Add(max(0, now.Sub(ready))).Add(time.Duration(1200 * 8 * int(time.Second) / bits))
			p.Arrived = ready
			reported = append(reported, p)
		}
		n := 0
		for n < len(reported) && !reported[n].Arrived.After(now) {
			n++
		}
		if n > 0 && id%3 == 0 {
			l.OnFeedback(Feedback{At: now, RTT: 20 * time.Millisecond, Packets: reported[:n]})
			reported = reported[n:]
		}
	}
	return first, targets
}

func TestMotionGivesUpSizeAndTextDoesNot(t *testing.T) {
	first, motion := starved(t, Motion, 700_000)
	if first.Width != 0 || motion.Width >= 1920 || motion.Width == 0 || motion.Width%2 != 0 ||
		motion.Height != motion.Width*9/16&^1 {
		t.Errorf("motion goes from %dx%d to %dx%d; want all of it, then a part of 1920x1080",
			first.Width, first.Height, motion.Width, motion.Height)
	}
	if _, text := starved(t, Text, 700_000); text.Width != 0 || text.FPS >= 60 {
		t.Errorf("text is %dx%d at %d fps; want its size, and fewer frames", text.Width, text.Height, text.FPS)
	}
}

// What the encoder says of its size does not change what the ladder counts from.
func TestSizeIsCountedFromTheWhole(t *testing.T) {
	l, err := New(Config{Width: 1280, Height: 720})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1000, 0)
	for _, c := range [][2]int{{960, 540}, {640, 360}, {1280, 720}} {
		l.OnApplied(Applied{At: at, Width: c[0], Height: c[1]})
		if l.cfg.Width != 1280 || l.cfg.Height != 720 {
			t.Errorf("an encoder at %v makes the whole %dx%d", c, l.cfg.Width, l.cfg.Height)
		}
	}
	l.OnApplied(Applied{At: at, Width: 1920, Height: 1080})
	if l.cfg.Width != 1920 || l.cfg.Height != 1080 {
		t.Errorf("a display of another size makes the whole %dx%d", l.cfg.Width, l.cfg.Height)
	}
}
