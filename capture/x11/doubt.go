package x11

import (
	"bytes"
	"context"
	"errors"
	"image"
	"time"

	"wavryhost/capture"
	"wavryhost/platform/xproto"
)

// Compositors and drivers exist that change pixels without reporting damage. A Source that believes them shows a
// picture that stands still. So a part of the screen is compared with the latest frame now and then.
const (
	// checkInterval is the interval of comparisons. One reads an eighth of the screen in checkStrips strips, and
	// checkRounds of them all of it.
	checkInterval            = time.Second
	checkStrips, checkRounds = 8, 8
	// maxMisses is the number of misses within missMemory after which the display is polled.
	maxMisses  = 2
	missMemory = time.Minute
	// pollInterval is the interval of polls.
	pollInterval = time.Second / 30
	// pollRows is the height of the bands in which a polled picture is compared.
	pollRows = 16
)

// doubt says how far the server's reports of damage are believed.
type doubt struct {
	latest  *slot     // the latest frame, which has the server's picture except for the cursor
	checked time.Time // when a part was compared
	round   int
	misses  int
	missed  time.Time // the last miss

	polls  bool
	polled time.Time
	last   []byte // the latest picture without the cursor, while polls is set
}

// due returns when the display must be looked at again.
func (d *doubt) due() time.Time {
	if d.polls {
		return d.polled.Add(pollInterval)
	}
	return d.checked.Add(checkInterval)
}

// pollDue reports whether it is time for a poll.
func (d *doubt) pollDue(now time.Time) bool { return d.polls && !now.Before(d.due()) }

// checkDue reports whether it is time for a comparison.
func (s *Source) checkDue(now time.Time) bool {
	return s.damage != 0 && !s.doubt.polls && s.doubt.latest != nil && !now.Before(s.doubt.due())
}

// check compares a part of the screen with the latest frame.
func (s *Source) check(ctx context.Context) error {
	d, b := &s.doubt, s.buffers
	d.checked = time.Now()
	d.round = (d.round + 1) % checkRounds
	rows := (b.height + checkStrips*checkRounds - 1) / (checkStrips * checkRounds)
	s.plan = s.plan[:0]
	at := b.scratch
	for i := range checkStrips {
		r := image.Rect(0, (i*checkRounds+d.round)*rows, b.width, (i*checkRounds+d.round+1)*rows).Intersect(b.bounds())
		if size := b.pixels.row(b.width) * r.Dy(); !r.Empty() && at+size <= len(b.mem) {
			s.plan = append(s.plan, read{r, at})
			at += size
		}
	}
	if err := s.readParts(ctx); err != nil {
		return err
	}
	if s.dirty || s.resized || !s.differs() { // damage was reported before the pixels were read
		return nil
	}
	if now := time.Now(); now.Sub(d.missed) > missMemory {
		d.misses, d.missed = 0, now
	}
	d.misses++
	s.log.Debug("pixels changed without damage", "times", d.misses)
	if d.misses >= maxMisses {
		s.log.Warn("capture is degraded: the display changes without reporting damage, so it is polled")
		d.polls = true
	}
	s.Refresh()
	return nil
}

// readParts reads the rectangles of s.plan into the scratch memory.
func (s *Source) readParts(ctx context.Context) error {
	s.pending = s.pending[:0]
	for _, r := range s.plan {
		at, size := xproto.Pair(s.origin.X+r.Min.X, s.origin.Y+r.Min.Y), xproto.Pair(r.Dx(), r.Dy())
		if s.buffers.shm != nil {
			s.pending = append(s.pending, s.conn.Send(s.ext.shm.Major, shmGetImage, s.screen.Root, at, size,
				allPlanes, formatZPixmap, s.buffers.shm.xid, uint32(r.scratch)))
			continue
		}
		row := s.pixels.row(r.Dx())
		seq := s.conn.Send(opGetImage, formatZPixmap, s.screen.Root, at, size, allPlanes)
		if err := s.conn.AwaitRows(ctx, seq, s.buffers.mem[r.scratch:], row, row, r.Dy()); err != nil {
			return s.giveUp(err)
		}
	}
	var first error
	for _, seq := range s.pending {
		if _, err := s.conn.Await(ctx, seq); err != nil {
			first = s.giveUp(err)
			if _, refused := errors.AsType[xproto.RequestError](err); !refused {
				return first
			}
		}
	}
	return nil
}

// differs reports whether what readParts has read differs from the latest frame. The cursor does not count.
func (s *Source) differs() bool {
	b := s.buffers
	for _, r := range s.plan {
		row := b.pixels.row(r.Dx())
		for y := r.Min.Y; y < r.Max.Y; y++ {
			got := b.mem[r.scratch+(y-r.Min.Y)*row:][:row]
			if b.pixels.converts() {
				line := make([]byte, 4*r.Dx())
				b.pixels.convert(line, got)
				got = line
			}
			want := s.doubt.latest.pix[y*b.stride:][:b.stride]
			from, to := 0, 0 // the cursor's part of the row
			if c := s.cursor.shown; y >= c.Min.Y && y < c.Max.Y {
				to = 4 * max(0, min(c.Max.X, b.width))
				from = min(4*max(c.Min.X, 0), to)
			}
			if !samePixels(got[:from], want[:from], b.pixels.converts()) ||
				!samePixels(got[to:], want[to:], b.pixels.converts()) {
				return true
			}
		}
	}
	return false
}

// samePixels compares pixels. The fourth byte of converted ones has no meaning.
func samePixels(a, b []byte, converted bool) bool {
	if !converted {
		return bytes.Equal(a, b)
	}
	for i := range a {
		if i%4 != 3 && a[i] != b[i] {
			return false
		}
	}
	return true
}

// compare returns what a polled picture changed, and keeps the picture.
func (d *doubt) compare(pix []byte, b *buffers) []image.Rectangle {
	if len(d.last) != len(pix) {
		d.last = bytes.Clone(pix)
		return []image.Rectangle{b.bounds()}
	}
	changes := capture.Diff(d.last, pix, b.stride, b.height, pollRows)
	for _, r := range changes {
		copy(d.last[r.Min.Y*b.stride:r.Max.Y*b.stride], pix[r.Min.Y*b.stride:])
	}
	return changes
}
