package x11

import (
	"image"
	"os"

	"wavryhost/capture"
)

// maxFrames is how many frames may be held at once.
const maxFrames = 3

// maxRects is how many damaged rectangles are read one by one; more of them are read as their bounding box.
const maxRects = 16

// buffers is memory for pictures of one size: three slots and a place for rectangles on their way into one. It is
// touched when made, so that no page fault slows a capture, and lives until it is retired and its frames are released.
type buffers struct {
	width, height, stride int
	mem                   []byte
	shm                   *segment // nil when mem is the process's own
	slots                 [maxFrames]slot
	scratch               int // offset in mem
	pixels                pixels

	// These are guarded by Source.mu.
	held    int // slots in frames
	retired bool
}

// slot is room for one picture.
type slot struct {
	pix    []byte
	offset int // in buffers.mem

	// stale is where pix differs from the server's picture as of the latest frame: what changed since the slot was
	// filled, and the cursor drawn into it.
	stale []image.Rectangle

	held    bool // guarded by Source.mu
	release func(*capture.Frame)
}

// segment is shared memory that the X server has attached too.
type segment struct {
	mem  []byte
	id   int // of System V's kind
	file bool
	xid  uint32 // the server's name for it
}

// layout returns where the slots and the scratch area begin, and the size of it all. The scratch area holds half a
// picture, or all of one with two bytes a pixel and its rows padded: the most that readPlan reads by way of it.
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

// maxSize is what ShmGetImage's 32-bit offset reaches.
const maxSize = 1<<32 - 1

// newBuffers lays slots out in mem, of layout's size.
func newBuffers(width, height int, p pixels, mem []byte, release func(*buffers, *slot)) *buffers {
	b := &buffers{width: width, height: height, stride: width * 4, pixels: p, mem: mem}
	offsets, scratch, _ := layout(width, height)
	b.scratch = scratch
	for i := range b.slots {
		s, end := &b.slots[i], offsets[i]+width*height*4
		s.offset = offsets[i]
		s.pix = mem[s.offset:end:end]
		s.stale = append(make([]image.Rectangle, 0, 2*maxRects+2), b.bounds())
		s.release = func(*capture.Frame) { release(b, s) }
	}
	for i := 0; i < len(mem); i += os.Getpagesize() {
		mem[i] = 0
	}
	return b
}

func (b *buffers) bounds() image.Rectangle { return image.Rect(0, 0, b.width, b.height) }

// pick returns the free slot that has least to catch up with: the one released last, mostly, whose pixels are also the
// likeliest to be in the processor's cache.
func (b *buffers) pick() *slot {
	var best *slot
	for i := range b.slots {
		if s := &b.slots[i]; !s.held && (best == nil || area(s.stale) < area(best.stale)) {
			best = s
		}
	}
	return best
}

// changed notes what the server's picture changed in. The slots other than filled lack it.
func (b *buffers) changed(filled *slot, damage []image.Rectangle) {
	for i := range b.slots {
		if s := &b.slots[i]; s != filled {
			s.stale = capture.MergeDamage(s.stale, damage)
		}
	}
}

// area is the sum of the rectangles' areas; where they overlap counts twice.
func area(rects []image.Rectangle) int {
	n := 0
	for _, r := range rects {
		n += r.Dx() * r.Dy()
	}
	return n
}

// read is one rectangle to ask the server for. The server packs a rectangle's rows: those of whole rows fit into a slot
// as they are, others pass through the scratch area.
type read struct {
	image.Rectangle
	scratch int // offset in mem, or -1 for whole rows
}

// readPlan adds to plan what to read so that rects, inside bounds, are all read: whole rows where that costs no more
// than reading part of them twice.
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

// place puts what was read into a slot, as a Frame has its pixels.
func (b *buffers) place(s *slot, r read) {
	if r.scratch < 0 && !b.pixels.converts() {
		return // it is there
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

// free gives the memory back. Nobody may touch the slots any more.
func (b *buffers) free() {
	if b.shm != nil {
		b.shm.detach()
	}
	b.mem = nil
}
