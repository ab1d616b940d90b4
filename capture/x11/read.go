package x11

import (
	"context"
	"errors"
	"fmt"
	"image"
	"time"
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
		s.pending = append(s.pending, s.conn.send(s.ext.shm.major, shmGetImage, s.screen.root,
			pair(r.Min.X, r.Min.Y), pair(r.Dx(), r.Dy()), allPlanes, formatZPixmap, s.buffers.shm.xid, uint32(offset)))
	}
	var first error
	for i, seq := range s.pending {
		_, err := s.conn.await(ctx, seq)
		var refused requestError
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
			body, err := s.conn.awaitHead(ctx, s.conn.send(opGetImage, formatZPixmap, s.screen.root,
				pair(r.Min.X, y), pair(r.Dx(), n), allPlanes))
			if err != nil {
				return err
			}
			s.conn.r += 32
			if body != row*n {
				s.conn.drop(0, body)
				return fmt.Errorf("x11: the server sends %d bytes for %dx%d pixels", body, r.Dx(), n)
			}
			dst, stride := slot.pix[y*s.buffers.stride+r.Min.X*4:], s.buffers.stride
			part := read{image.Rect(r.Min.X, y, r.Max.X, y+n), -1}
			if s.pixels.size == 2 { // they do not fit in place
				part.scratch = s.buffers.scratch
				dst, stride = s.buffers.mem[part.scratch:], row
			}
			if err := s.conn.rows(ctx, dst, stride, row, n); err != nil {
				return err
			}
			s.buffers.place(slot, part)
		}
	}
	return nil
}

// rows reads n rows of width bytes each into dst, stride bytes apart. If ctx ends first, the rest is skipped later.
func (c *conn) rows(ctx context.Context, dst []byte, stride, width, n int) error {
	if width == stride {
		stride, width, n = width*n, width*n, 1
	}
	left := width * n
	for y := range n {
		row := dst[y*stride : y*stride+width]
		for len(row) > 0 {
			m := copy(row, c.in[c.r:c.w])
			c.r += m
			if m == 0 {
				to := row
				if len(row) < len(c.in) {
					to = c.in
				}
				var err error
				limit := time.Now().Add(replyLimit)
				m, err = c.read(to, limit)
				if len(row) < len(c.in) {
					c.r, c.w = 0, m
					m = 0
				}
				if err != nil && !errors.Is(err, errWoken) && !errors.Is(err, errTimeout) {
					return err
				}
				if err == nil {
					c.hear()
				} else if err := expired(ctx, limit); err != nil {
					c.skip = left
					return err
				}
			}
			row = row[m:]
			left -= m
		}
	}
	return nil
}
