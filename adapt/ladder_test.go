package adapt

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func (l *ladder) String() string {
	var b strings.Builder
	for _, r := range l.rungs[:l.n] {
		fmt.Fprintf(&b, "%d×%g ", r.fps, r.scale)
	}
	return strings.TrimSpace(b.String())
}

func TestLadders(t *testing.T) {
	for _, c := range []struct {
		class ContentClass
		fps   int
		want  string
	}{
		{Text, 60, "60×1 30×1 20×1 15×1 10×1 5×1"},
		{Text, 120, "120×1 60×1 30×1 20×1 15×1 10×1 5×1"},
		{Text, 12, "12×1 10×1 5×1"},
		{Text, 3, "3×1"},
		{Motion, 60, "60×1 30×1 30×0.75 30×0.5 24×0.5 15×0.5"},
		{Motion, 30, "30×1 30×0.75 30×0.5 24×0.5 15×0.5"},
		{Mixed, 144, "144×1 60×1 30×1 30×0.75 20×0.75 20×0.5 15×0.5 10×0.5"},
	} {
		l := ladder{top: c.fps, class: c.class}
		l.build()
		if got := l.String(); got != c.want {
			t.Errorf("class %d from %d fps: %s; want %s", c.class, c.fps, got, c.want)
		}
		for _, r := range l.rungs[:l.n] {
			if !slices.Contains(scales[:], r.scale) {
				t.Errorf("class %d from %d fps: scale %v is not one of scales", c.class, c.fps, r.scale)
			}
		}
		for i := 1; i < l.n; i++ {
			if l.rungs[i].pixels() >= l.rungs[i-1].pixels() {
				t.Errorf("class %d from %d fps: rung %d takes no less than the one above", c.class, c.fps, i)
			}
		}
	}
}

func TestSizeChangesSeldom(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLadder(30)
	l.class = Motion
	l.build()
	if !l.may(now, l.down()) {
		t.Error("the first change of the size has to wait")
	}
	l.move(now, 1) // 30×.75
	if l.may(now.Add(sizeDwell-1), l.down()) || l.may(now.Add(sizeDwell-1), l.up()) ||
		!l.may(now.Add(sizeDwell), l.down()) {
		t.Error("a second one does not wait, or waits too long")
	}
	l.move(now.Add(sizeDwell), 1) // 30×.5
	if !l.may(now.Add(sizeDwell), l.down()) {
		t.Error("a step of the frame rate waits for the size")
	}
}

func TestAnotherContentIsAnotherLadder(t *testing.T) {
	now := time.Unix(1000, 0)
	l := newLadder(60)
	l.class = Text
	l.build()
	l.move(now, 3) // 15×1
	l.watch(now, Motion)
	l.watch(now.Add(classHeld-1), Motion)
	if l.class != Text {
		t.Error("content changed at once")
	}
	l.watch(now.Add(classHeld-1), Text)
	l.watch(now.Add(classHeld), Motion)
	l.watch(now.Add(2*classHeld-1), Motion)
	if l.class != Text {
		t.Error("the time of the content before counts")
	}
	l.watch(now.Add(2*classHeld), Motion)
	if l.class != Motion || l.now() != (rung{30, .5}) {
		t.Errorf("class %d at %+v; want motion at 30×0.5, which is the most that takes no more than 15×1",
			l.class, l.now())
	}
	l.watch(now.Add(20*time.Second), ContentClass(200))
	if l.seen != Mixed {
		t.Errorf("an unknown class is seen as %d", l.seen)
	}
}

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
