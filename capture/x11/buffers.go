package x11

import (
	"image"
	"os"

	"wavryhost/capture"
)

// maxFrames is the number of frames that may be held at once.
const maxFrames = 3

// maxRects is the number of damaged rectangles that are read one by one. If there are more, their bounding box is
// read.
const maxRects = 16

// buffers is memory for pictures of one size: three slots, and scratch memory for rectangles. All pages are touched at
// the start, so that no page fault slows a capture. It lives until it is retired and its frames are released.
type buffers struct {
	width, height, stride int
	mem                   []byte
	shm                   *segment // nil when mem is private memory of the process
	slots                 [maxFrames]slot
	scratch               int // offset in mem
	pixels                pixels
	shelf                 *capture.Shelf
}

// slot is memory for one picture.
type slot struct {
	pix    []byte
	index  int
	offset int // in buffers.mem

	// stale is where pix differs from the server's picture as of the latest frame: the changes since the slot was
	// filled, and the cursor drawn into it.
	stale []image.Rectangle
}

// segment is shared memory that the X server has attached too.
type segment struct {
	mem  []byte
	id   int // of System V
	file bool
	xid  uint32 // the server's ID for it
}

// layout returns the offsets of the slots and of the scratch area, and the total size. The scratch area holds half a
// picture, or a whole one with two bytes per pixel and padded rows. readPlan never reads more through it.
func layout(width, height int) (slots [maxFrames]int, scratch, size int) {
	page := os.Getpagesize()
	align := func(n int) int { return (n + page - 1) / page * page }
	picture := align(width * height * 4)
	for i := range slots {
		slots[i] = i * picture
	}
	scratch = maxFrames * picture
	return slots, scratch, scratch + align(width*height*2+height*2)
}

// maxSize is the largest size that the 32-bit offset of ShmGetImage addresses.
const maxSize = 1<<32 - 1

// newBuffers divides mem, which has the size of layout, into slots.
func newBuffers(width, height int, p pixels, mem []byte, slots *capture.Slots) *buffers {
	b := &buffers{width: width, height: height, stride: width * 4, pixels: p, mem: mem}
	b.shelf = slots.NewShelf(b.free)
	offsets, scratch, _ := layout(width, height)
	b.scratch = scratch
	for i := range b.slots {
		s, end := &b.slots[i], offsets[i]+width*height*4
		s.index, s.offset = i, offsets[i]
		s.pix = mem[s.offset:end:end]
		s.stale = append(make([]image.Rectangle, 0, 2*maxRects+2), b.bounds())
	}
	for i := 0; i < len(mem); i += os.Getpagesize() {
		mem[i] = 0
	}
	return b
}

func (b *buffers) bounds() image.Rectangle { return image.Rect(0, 0, b.width, b.height) }

// pick returns the free slot that needs the smallest update. That is mostly the slot released last, whose pixels are
// also the likeliest to be in the processor's cache.
func (b *buffers) pick() *slot {
	var best *slot
	for i := range b.slots {
		if s := &b.slots[i]; !b.shelf.Held(i) && (best == nil || area(s.stale) < area(best.stale)) {
			best = s
		}
	}
	return best
}

// changed records changes of the server's picture. All slots except filled lack them.
func (b *buffers) changed(filled *slot, damage []image.Rectangle) {
	for i := range b.slots {
		if s := &b.slots[i]; s != filled {
			s.stale = capture.MergeDamage(s.stale, damage)
		}
	}
}

// area is the sum of the rectangles' areas. Overlaps count twice.
func area(rects []image.Rectangle) int {
	n := 0
	for _, r := range rects {
		n += r.Dx() * r.Dy()
	}
	return n
}

// read is one rectangle to request from the server. The server packs the rows of a rectangle. Rectangles over whole
// rows fit into a slot directly; others pass through the scratch area.
type read struct {
	image.Rectangle
	scratch int // offset in mem, or -1 for whole rows
}

// readPlan adds to plan the reads that cover all rects inside bounds. It reads whole rows where this costs no more
// than reading some parts twice.
func (b *buffers) readPlan(plan []read, rects []image.Rectangle) []read {
	var box image.Rectangle
	for _, r := range rects {
		box = box.Union(r)
	}
	if box.Empty() {
		return plan
	}
	at := b.scratch
	if 2*area(rects) >= b.width*box.Dy() {
		if b.pixels.size != 2 {
			at = -1
		}
		return append(plan, read{image.Rect(0, box.Min.Y, b.width, box.Max.Y), at})
	}
	for _, r := range rects {
		if 2*r.Dx() >= b.width && b.pixels.size != 2 {
			plan = append(plan, read{image.Rect(0, r.Min.Y, b.width, r.Max.Y), -1})
			continue
		}
		plan = append(plan, read{r, at})
		at += b.pixels.row(r.Dx()) * r.Dy()
	}
	return plan
}

// place copies the result of a read into a slot, in the form of a Frame.
func (b *buffers) place(s *slot, r read) {
	if r.scratch < 0 && !b.pixels.converts() {
		return // already in place
	}
	n, row := r.Dx()*4, b.pixels.row(r.Dx())
	from := r.scratch
	for y := r.Min.Y; y < r.Max.Y; y++ {
		at := y*b.stride + r.Min.X*4
		to := s.pix[at : at+n]
		switch {
		case r.scratch < 0:
			b.pixels.convert(to, to)
		case b.pixels.converts():
			b.pixels.convert(to, b.mem[from:from+row])
		default:
			copy(to, b.mem[from:from+row])
		}
		from += row
	}
}

// free returns the memory. The slots must not be used afterwards.
func (b *buffers) free() {
	if b.shm != nil {
		b.shm.detach()
	}
	b.mem = nil
}
