package ladder

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"wavryhost/adapt/tuning"
)

func (l *Ladder) String() string {
	var b strings.Builder
	for _, r := range l.rungs[:l.n] {
		fmt.Fprintf(&b, "%d×%g ", r.FPS, r.Scale)
	}
	return strings.TrimSpace(b.String())
}

func TestLadders(t *testing.T) {
	for _, c := range []struct {
		class Class
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
		l := Ladder{top: c.fps, class: c.class}
		l.build()
		if got := l.String(); got != c.want {
			t.Errorf("class %d from %d fps: %s; want %s", c.class, c.fps, got, c.want)
		}
		for _, r := range l.rungs[:l.n] {
			if !slices.Contains(Scales[:], r.Scale) {
				t.Errorf("class %d from %d fps: scale %v is not one of scales", c.class, c.fps, r.Scale)
			}
		}
		for i := 1; i < l.n; i++ {
			if l.rungs[i].Pixels() >= l.rungs[i-1].Pixels() {
				t.Errorf("class %d from %d fps: rung %d takes no less than the one above", c.class, c.fps, i)
			}
		}
	}
}

func TestSizeChangesSeldom(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(30)
	l.class = Motion
	l.build()
	if !l.may(now, l.down()) {
		t.Error("the first change of the size has to wait")
	}
	l.move(now, 1) // 30×.75
	if l.may(now.Add(tuning.SizeDwell-1), l.down()) || l.may(now.Add(tuning.SizeDwell-1), l.up()) ||
		!l.may(now.Add(tuning.SizeDwell), l.down()) {
		t.Error("a second one does not wait, or waits too long")
	}
	l.move(now.Add(tuning.SizeDwell), 1) // 30×.5
	if !l.may(now.Add(tuning.SizeDwell), l.down()) {
		t.Error("a step of the frame rate waits for the size")
	}
}

func TestAnotherContentIsAnotherLadder(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(60)
	l.class = Text
	l.build()
	l.move(now, 3) // 15×1
	l.Watch(now, Motion)
	l.Watch(now.Add(tuning.ClassHeld-1), Motion)
	if l.class != Text {
		t.Error("content changed at once")
	}
	l.Watch(now.Add(tuning.ClassHeld-1), Text)
	l.Watch(now.Add(tuning.ClassHeld), Motion)
	l.Watch(now.Add(2*tuning.ClassHeld-1), Motion)
	if l.class != Text {
		t.Error("the time of the content before counts")
	}
	l.Watch(now.Add(2*tuning.ClassHeld), Motion)
	if l.class != Motion || l.Now() != (Rung{30, .5}) {
		t.Errorf("class %d at %+v; want motion at 30×0.5, which is the most that takes no more than 15×1",
			l.class, l.Now())
	}
	l.Watch(now.Add(20*time.Second), Class(200))
	if l.seen != Mixed {
		t.Errorf("an unknown class is seen as %d", l.seen)
	}
}

// An encoder that was too slow for a moving picture has time for a still one, which must be sharp.
func TestStillPictureIsWholeAgainAfterAnOverload(t *testing.T) {
	now := time.Unix(1000, 0)
	l := New(30)
	climb := func(frames, seconds int) {
		for range 10 * seconds {
			now = now.Add(100 * time.Millisecond)
			l.Climb(now, &Room{Target: 1e7, Sent: 1e5, Whole: 1e5, Most: 2e7, Frames: frames, Moving: frames > 10})
		}
	}
	for range 100 {
		l.Encoded(100 * time.Millisecond)
	}
	climb(10, 3)
	if !l.Stepped() || !l.Overloaded() {
		t.Fatalf("three frame times for each picture: %v, overloaded %v; want a lower rung", l.Now(), l.Overloaded())
	}
	climb(2, 30)
	if l.Stepped() {
		t.Errorf("after 30 s with two pictures a second the stream is at %v; want all that was asked for", l.Now())
	}
}
