package x11

import (
	"bytes"
	"image"
	"testing"
	"time"
)

func TestBlend(t *testing.T) {
	for name, tt := range map[string]struct{ dst, src, want []byte }{
		"transparent":            {[]byte{10, 20, 30, 9}, []byte{0, 0, 0, 0}, []byte{10, 20, 30, 9}},
		"opaque":                 {[]byte{10, 20, 30, 9}, []byte{1, 2, 3, 255}, []byte{1, 2, 3, 9}},
		"half black over white":  {[]byte{255, 255, 255, 0}, []byte{0, 0, 0, 128}, []byte{127, 127, 127, 0}},
		"half white over black":  {[]byte{0, 0, 0, 0}, []byte{128, 128, 128, 128}, []byte{128, 128, 128, 0}},
		"almost opaque on white": {[]byte{255, 255, 255, 0}, []byte{254, 0, 254, 254}, []byte{255, 1, 255, 0}},
		"more colour than alpha": {[]byte{255, 255, 255, 0}, []byte{255, 255, 255, 10}, []byte{255, 255, 255, 0}},
		"a row": {
			[]byte{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3},
			[]byte{9, 9, 9, 255, 0, 0, 0, 0, 8, 8, 8, 255, 7, 7, 7, 255},
			[]byte{9, 9, 9, 1, 2, 2, 2, 2, 8, 8, 8, 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := bytes.Clone(tt.dst)
			blend(got, tt.src)
			if !bytes.Equal(got, tt.want) {
				t.Errorf("got %v; want %v", got, tt.want)
			}
		})
	}
}

// cursorReply makes a GetCursorImage reply of one color.
func cursorReply(w, h, hotX, hotY int, pixel uint32) []byte {
	b := make([]byte, 32)
	le.PutUint16(b[12:], uint16(w))
	le.PutUint16(b[14:], uint16(h))
	le.PutUint16(b[16:], uint16(hotX))
	le.PutUint16(b[18:], uint16(hotY))
	for range w * h {
		b = le.AppendUint32(b, pixel)
	}
	return b
}

func TestCursorIsDrawnAtItsHotSpotAndCut(t *testing.T) {
	const width, height = 10, 8
	bounds := image.Rect(0, 0, width, height)
	for name, tt := range map[string]struct {
		at   image.Point
		want image.Rectangle
	}{
		"inside":        {image.Pt(5, 4), image.Rect(4, 2, 7, 6)},
		"top left":      {image.Pt(0, 0), image.Rect(0, 0, 2, 2)},
		"bottom right":  {image.Pt(9, 7), image.Rect(8, 5, 10, 8)},
		"off the right": {image.Pt(11, 4), image.Rectangle{}},
		"off the left":  {image.Pt(-5, 4), image.Rectangle{}},
	} {
		t.Run(name, func(t *testing.T) {
			var p cursor
			p.shape(cursorReply(3, 4, 1, 2, 0xff112233))
			p.place(tt.at, true, time.Now())
			pix := make([]byte, width*height*4)
			if got := p.draw(pix, width*4, bounds); got != tt.want {
				t.Errorf("drawn at %v; want %v", got, tt.want)
			}
			for y := range height {
				for x := range width {
					want := []byte{0, 0, 0}
					if image.Pt(x, y).In(tt.want) {
						want = []byte{0x33, 0x22, 0x11}
					}
					if got := pix[(y*width+x)*4:][:3]; !bytes.Equal(got, want) {
						t.Errorf("pixel %d,%d: got %v; want %v", x, y, got, want)
					}
				}
			}
		})
	}
}

func TestCursorChanges(t *testing.T) {
	bounds := image.Rect(0, 0, 100, 100)
	var p cursor
	if p.changed(bounds) {
		t.Error("changed before anything is known")
	}
	p.shape(cursorReply(4, 4, 0, 0, 0x80000000))
	p.place(image.Pt(10, 10), true, time.Now())
	draw := func() {
		p.shown, p.reshaped = p.draw(make([]byte, 100*100*4), 400, bounds), false
	}
	steps := []struct {
		name string
		do   func()
		want bool
	}{
		{"a first look", func() {}, true},
		{"nothing", func() {}, false},
		{"a look that finds it in place", func() { p.place(image.Pt(10, 10), true, time.Now()) }, false},
		{"a move", func() { p.place(image.Pt(11, 10), true, time.Now()) }, true},
		{"another shape of the same size", func() { p.shape(cursorReply(4, 4, 0, 0, 0xff000000)) }, true},
		{"leaving the screen", func() { p.place(image.Pt(11, 10), false, time.Now()) }, true},
		{"moving on another screen", func() { p.place(image.Pt(50, 50), false, time.Now()) }, false},
		{"coming back", func() { p.place(image.Pt(50, 50), true, time.Now()) }, true},
		{"an invisible shape", func() { p.shape(cursorReply(5, 3, 0, 0, 0)) }, true},
		{"an invisible move", func() { p.place(image.Pt(60, 50), true, time.Now()) }, false},
		{"a reply cut short", func() { p.shape(cursorReply(4, 4, 0, 0, 0xff000000)[:40]) }, false},
	}
	for _, s := range steps {
		s.do()
		if got := p.changed(bounds); got != s.want {
			t.Errorf("%s: got changed %v; want %v", s.name, got, s.want)
		}
		draw()
	}
}

func TestPointerIsLookedForLessOftenWhenStill(t *testing.T) {
	now := time.Now()
	p := cursor{interval: 16 * time.Millisecond}
	p.place(image.Pt(1, 1), true, now)
	if got := p.due().Sub(now); got != p.interval {
		t.Errorf("moving: got %v; want %v", got, p.interval)
	}
	now = now.Add(stillAfter)
	p.place(image.Pt(1, 1), true, now)
	if got := p.due().Sub(now); got != unwatchedPoll {
		t.Errorf("still: got %v; want %v", got, unwatchedPoll)
	}
	p.watching = true
	if got := p.due().Sub(now); got != watchedPoll {
		t.Errorf("still and watched: got %v; want %v", got, watchedPoll)
	}
}

// A few shapes make frames at once. Shapes of an animated cursor come slowly, and large ones more slowly.
func TestAnimatedCursorMakesFewFrames(t *testing.T) {
	for _, c := range []struct {
		side, most int
	}{{24, shapeBurst + 21}, {96, shapeBurst + 11}} {
		var p cursor
		p.shape(cursorReply(c.side, c.side, 0, 0, 0xff000000))
		n, now := 0, time.Now()
		for end := now.Add(10 * time.Second); now.Before(end); now = now.Add(30 * time.Millisecond) {
			p.stale = true
			if p.wanted(now) {
				p.fetch(now)
				n++
			}
			if n == shapeBurst && now.Sub(end.Add(-10*time.Second)) > time.Second {
				t.Fatalf("%d pixels: only %d frames in a second", c.side, n)
			}
		}
		if n < shapeBurst+5 || n > c.most {
			t.Errorf("%d pixels: %d frames in 10 s; want %d at most", c.side, n, c.most)
		}
	}
}
