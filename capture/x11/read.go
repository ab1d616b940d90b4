package x11

import (
	"context"
	"errors"
	"fmt"
	"image"

	"wavryhost/platform/xproto"
)

// read has the server copy the rectangles of s.plan into slot.
func (s *Source) read(ctx context.Context, slot *slot) error {
	if s.buffers.shm == nil {
		return s.readImages(ctx, slot)
	}
	s.pending = s.pending[:0]
	for _, r := range s.plan {
		offset := r.scratch
		if offset < 0 {
			offset = slot.offset + r.Min.Y*s.buffers.stride
		}
		s.pending = append(s.pending, s.conn.Send(s.ext.shm.Major, shmGetImage,
			s.screen.Root, xproto.Pair(s.origin.X+r.Min.X, s.origin.Y+r.Min.Y), xproto.Pair(r.Dx(), r.Dy()),
			allPlanes, formatZPixmap, s.buffers.shm.xid, uint32(offset)))
	}
	var first error
	for i, seq := range s.pending {
		_, err := s.conn.Await(ctx, seq)
		var refused xproto.RequestError
		switch {
		case errors.As(err, &refused):
			// The other replies must be read all the same.
			first = err
		case err != nil:
			return err
		default:
			s.buffers.place(slot, s.plan[i])
		}
	}
	return first
}

// maxReply bounds one GetImage request. Servers build the reply in their own memory.
const maxReply = 1 << 20

// readImages is read without shared memory.
func (s *Source) readImages(ctx context.Context, slot *slot) error {
	for _, r := range s.plan {
		row := s.pixels.row(r.Dx())
		rows := max(1, maxReply/row)
		for y := r.Min.Y; y < r.Max.Y; y += rows {
			n := min(rows, r.Max.Y-y)
			dst, stride := slot.pix[y*s.buffers.stride+r.Min.X*4:], s.buffers.stride
			part := read{image.Rect(r.Min.X, y, r.Max.X, y+n), -1}
			if s.pixels.size == 2 { // they do not fit in place
				part.scratch = s.buffers.scratch
				dst, stride = s.buffers.mem[part.scratch:], row
			}
			seq := s.conn.Send(opGetImage, formatZPixmap,
				s.screen.Root, xproto.Pair(s.origin.X+r.Min.X, s.origin.Y+y), xproto.Pair(r.Dx(), n), allPlanes)
			if err := s.conn.AwaitRows(ctx, seq, dst, stride, row, n); err != nil {
				return fmt.Errorf("x11: read %dx%d pixels: %w", r.Dx(), n, err)
			}
			s.buffers.place(slot, part)
		}
	}
	return nil
}
