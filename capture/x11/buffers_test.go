package x11

import (
	"image"
	"math/rand/v2"
	"slices"
	"testing"

	"wavryhost/capture"
)

func testBuffers(width, height int) *buffers {
	_, _, size := layout(width, height)
	return newBuffers(width, height, pixels{}, make([]byte, size), capture.NewSlots(maxFrames, func() {}))
}

func TestReadPlan(t *testing.T) {
	r := image.Rect
	b := testBuffers(100, 80)
	for name, tt := range map[string]struct {
		rects []image.Rectangle
		want  []read
	}{
		"nothing":                       {},
		"a small one by way of scratch": {[]image.Rectangle{r(3, 4, 10, 9)}, []read{{r(3, 4, 10, 9), b.scratch}}},
		"two small ones": {
			[]image.Rectangle{r(3, 4, 10, 9), r(50, 60, 60, 70)},
			[]read{{r(3, 4, 10, 9), b.scratch}, {r(50, 60, 60, 70), b.scratch + 7*5*4}},
		},
		"half a row is a whole row": {[]image.Rectangle{r(20, 4, 70, 9)}, []read{{r(0, 4, 100, 9), -1}}},
		"a wide and a narrow one": {
			[]image.Rectangle{r(20, 4, 90, 9), r(0, 70, 5, 80)},
			[]read{{r(0, 4, 100, 9), -1}, {r(0, 70, 5, 80), b.scratch}},
		},
		"many that fill their rows": {
			[]image.Rectangle{r(0, 0, 40, 20), r(50, 10, 90, 30)},
			[]read{{r(0, 0, 100, 30), -1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := b.readPlan(nil, tt.rects)
			if len(got) != len(tt.want) {
				t.Fatalf("got %v; want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("got %v; want %v", got, tt.want)
				}
			}
		})
	}
}

// model stands in for the server: a picture that changes, read rectangle by rectangle as the plan says.
type model struct{ pix []byte }

func (m model) read(b *buffers, s *slot, plan []read) {
	for _, r := range plan {
		to, n := b.mem[s.offset+r.Min.Y*b.stride:], r.Dx()*4
		if r.scratch >= 0 {
			to = b.mem[r.scratch : r.scratch+n*r.Dy()]
		}
		for y := r.Min.Y; y < r.Max.Y; y++ {
			copy(to[(y-r.Min.Y)*n:(y-r.Min.Y+1)*n], m.pix[y*b.stride+r.Min.X*4:])
		}
		if r.scratch >= 0 {
			b.place(s, r)
		}
	}
}

// However many frames a slot is behind, what it is filled with makes it equal to the server's picture.
func TestSlotsCatchUp(t *testing.T) {
	const width, height = 61, 47
	rng := rand.New(rand.NewPCG(1, 2))
	b := testBuffers(width, height)
	m := model{make([]byte, width*height*4)}
	full := []image.Rectangle{b.bounds()}
	damage := full
	var frames []*capture.Frame
	for round := range 2000 {
		s := b.pick()
		m.read(b, s, b.readPlan(nil, capture.MergeDamage(append([]image.Rectangle(nil), s.stale...), damage)))
		b.changed(s, damage)
		s.stale = s.stale[:0]
		if string(s.pix) != string(m.pix) {
			t.Fatalf("round %d: the slot differs from the picture", round)
		}
		frames = append(frames, b.shelf.Lend(s.index))
		for len(frames) == maxFrames || len(frames) > 0 && rng.IntN(2) == 0 {
			i := rng.IntN(len(frames))
			frames[i].Release()
			frames = slices.Delete(frames, i, i+1)
		}
		damage = nil
		for range 1 + rng.IntN(20) {
			x, y := rng.IntN(width), rng.IntN(height)
			r := image.Rect(x, y, x+1+rng.IntN(30), y+1+rng.IntN(9)).Intersect(b.bounds())
			for y := r.Min.Y; y < r.Max.Y; y++ {
				for i := y*b.stride + r.Min.X*4; i < y*b.stride+r.Max.X*4; i++ {
					m.pix[i] = byte(rng.Uint32())
				}
			}
			damage = capture.MergeDamage(damage, []image.Rectangle{r})
		}
	}
}

func TestPickPrefersTheSlotThatLacksLeast(t *testing.T) {
	b := testBuffers(10, 10)
	b.slots[1].stale = []image.Rectangle{image.Rect(0, 0, 2, 2)}
	if got := b.pick(); got != &b.slots[1] {
		t.Errorf("got slot at %d; want the second", got.offset)
	}
	b.shelf.Lend(1)
	if got := b.pick(); got == &b.slots[1] {
		t.Error("got a slot that is held")
	}
	b.shelf.Lend(0)
	b.shelf.Lend(2)
	if got := b.pick(); got != nil {
		t.Errorf("got slot at %d; want none, all are held", got.offset)
	}
}

func TestBuffersDoNotOverlap(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {33, 31}, {1920, 1080}} {
		b := testBuffers(size[0], size[1])
		end := 0
		for i := range b.slots {
			s := &b.slots[i]
			if s.offset < end || len(s.pix) != size[0]*size[1]*4 || cap(s.pix) != len(s.pix) {
				t.Errorf("%v: slot %d at %d of %d bytes, capacity %d; the one before ends at %d",
					size, i, s.offset, len(s.pix), cap(s.pix), end)
			}
			end = s.offset + len(s.pix)
		}
		if b.scratch < end || len(b.mem)-b.scratch < size[0]*size[1]*2 {
			t.Errorf(
				"%v: the scratch area at %d of %d overlaps slots that end at %d or is too small", size, b.scratch, len(b.mem), end,
			)
		}
	}
}
