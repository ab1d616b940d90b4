// Package capturetest has the tests that every capture.Source must pass.
package capturetest

import (
	"bytes"
	"context"
	"errors"
	"image"
	"testing"
	"time"

	"wavryhost/capture"
)

// Options describe what a Source can do.
type Options struct {
	// Change changes the display's picture, and returns when it has changed. If it is set, the display must not change
	// otherwise. Without it, the display changes on its own, or only Refresh brings a frame.
	Change func(t *testing.T)
	// PollsOnly means that the Source cannot detect changes: Next returns a frame at each call.
	PollsOnly bool
}

// patience is the limit for everything that must happen. blocked is the time in which nothing must happen.
const (
	patience = 20 * time.Second
	blocked  = 150 * time.Millisecond
)

// Run tests the promises of a Source. open returns a new one, which Run closes.
func Run(t *testing.T, open func(t *testing.T) capture.Source, opts Options) {
	t.Helper()
	s := suite{open: open, opts: opts}
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"the first frame is whole and comes at once", s.first},
		{"Refresh brings a whole frame", s.refresh},
		{"a change brings a frame whose damage covers it", s.change},
		{"Next blocks while nothing changes", s.still},
		{"three frames can be held and a fourth waits", s.held},
		{"a held frame keeps its pixels", s.keeps},
		{"numbers and times rise", s.order},
		{"Next returns the error of its context", s.context},
		{"a display that answers is alive", s.alive},
		{"Close unblocks Next", s.closeUnblocks},
		{"frames outlive Close", s.outlives},
		{"a closed source stays closed", s.closed},
	} {
		t.Run(test.name, test.run)
	}
}

type suite struct {
	open func(*testing.T) capture.Source
	opts Options
}

func (s suite) source(t *testing.T) capture.Source {
	t.Helper()
	src := s.open(t)
	t.Cleanup(func() {
		if err := src.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return src
}

// next returns a frame, after checks that apply to every frame.
func next(t *testing.T, src capture.Source) *capture.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f, err := src.Next(ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	if f.Width <= 0 || f.Height <= 0 || f.Stride < f.Width*4 || len(f.Pix) < (f.Height-1)*f.Stride+f.Width*4 {
		t.Fatalf("got a %dx%d frame with stride %d in %d bytes", f.Width, f.Height, f.Stride, len(f.Pix))
	}
	for _, r := range f.Damage {
		if r.Empty() || !r.In(f.Bounds()) {
			t.Fatalf("got damage %v in a picture of %v", r, f.Bounds())
		}
	}
	if f.Time.IsZero() || f.Time.After(time.Now()) || f.Took < 0 {
		t.Fatalf("got a frame read at %v that took %v", f.Time, f.Took)
	}
	return f
}

func whole(f *capture.Frame) bool { return len(f.Damage) == 1 && f.Damage[0] == f.Bounds() }

// another provokes a frame and returns it.
func (s suite) another(t *testing.T, src capture.Source) *capture.Frame {
	t.Helper()
	if s.opts.Change != nil {
		s.opts.Change(t)
	} else {
		src.Refresh()
	}
	return next(t, src)
}

func (s suite) first(t *testing.T) {
	t.Helper()
	f := next(t, s.source(t))
	defer f.Release()
	if !whole(f) {
		t.Errorf("got damage %v; want all of %v", f.Damage, f.Bounds())
	}
	if f.Seq != 1 {
		t.Errorf("got number %d; want 1", f.Seq)
	}
}

func (s suite) refresh(t *testing.T) {
	t.Helper()
	src := s.source(t)
	next(t, src).Release()
	for range 3 {
		src.Refresh()
		f := next(t, src)
		if !whole(f) {
			t.Errorf("got damage %v; want all of %v", f.Damage, f.Bounds())
		}
		f.Release()
	}
	// The same while Next waits, if it does.
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		f, err := src.Next(ctx)
		if err == nil {
			f.Release()
		}
		done <- err
	}()
	src.Refresh()
	if err := <-done; err != nil {
		t.Errorf("Next under Refresh: %v", err)
	}
}

func (s suite) change(t *testing.T) {
	t.Helper()
	if s.opts.Change == nil {
		t.Skip("runs where the test can change the display")
	}
	src := s.source(t)
	before := next(t, src)
	for i := range 10 {
		s.opts.Change(t)
		after := next(t, src)
		if len(after.Damage) == 0 {
			t.Errorf("change %d: got no damage", i)
		}
		if !differ(before, after, before.Bounds()) {
			t.Errorf("change %d: got the same picture", i)
		}
		outside(t, before, after)
		before.Release()
		before = after
	}
	before.Release()
}

// outside fails the test if the frames differ in a row that has no damage.
func outside(t *testing.T, before, after *capture.Frame) {
	t.Helper()
	for y := range after.Height {
		row := image.Rect(0, y, after.Width, y+1)
		at := 0
		for at < after.Width {
			end, damaged := after.Width, false
			for _, r := range after.Damage {
				if y < r.Min.Y || y >= r.Max.Y {
					continue
				}
				if at >= r.Min.X && at < r.Max.X {
					end, damaged = r.Max.X, true
					break
				}
				if r.Min.X > at {
					end = min(end, r.Min.X)
				}
			}
			row.Min.X, row.Max.X = at, end
			if !damaged && differ(before, after, row) {
				t.Fatalf("the frames differ inside %v, outside of the damage %v", row, after.Damage)
			}
			at = end
		}
	}
}

// differ compares the colors inside r.
func differ(a, b *capture.Frame, r image.Rectangle) bool {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		p, q := a.Pix[y*a.Stride+r.Min.X*4:], b.Pix[y*b.Stride+r.Min.X*4:]
		for i := 0; i < r.Dx()*4; i += 4 {
			if p[i] != q[i] || p[i+1] != q[i+1] || p[i+2] != q[i+2] {
				return true
			}
		}
	}
	return false
}

func (s suite) still(t *testing.T) {
	t.Helper()
	if s.opts.Change == nil || s.opts.PollsOnly {
		t.Skip("runs where the display is still and the source can tell")
	}
	src := s.source(t)
	next(t, src).Release()
	// Do it twice: an interrupted wait must leave nothing behind.
	expectBlocked(t, src)
	expectBlocked(t, src)
	s.opts.Change(t)
	f := next(t, src)
	defer f.Release()
	if len(f.Damage) == 0 {
		t.Error("got no damage after a change")
	}
}

func expectBlocked(t *testing.T, src capture.Source) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), blocked)
	defer cancel()
	if f, err := src.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got frame %v, error %v; want Next to block until its context ends", f, err)
	}
}

func (s suite) held(t *testing.T) {
	t.Helper()
	src := s.source(t)
	frames := []*capture.Frame{next(t, src), s.another(t, src), s.another(t, src)}
	src.Refresh()
	expectBlocked(t, src)
	got := make(chan *capture.Frame, 1)
	go func() {
		defer close(got)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if f, err := src.Next(ctx); err == nil {
			got <- f
		}
	}()
	frames[1].Retain().Release()
	frames[1].Release()
	f := <-got
	if f == nil {
		t.Fatal("Next did not return after a release")
	}
	f.Release()
	frames[0].Release()
	frames[2].Release()
}

func (s suite) keeps(t *testing.T) {
	t.Helper()
	src := s.source(t)
	f := next(t, src)
	pix := bytes.Clone(f.Pix)
	for range 6 {
		s.another(t, src).Release()
	}
	if !bytes.Equal(pix, f.Pix) {
		t.Error("the pixels of a held frame changed")
	}
	f.Release()
}

func (s suite) order(t *testing.T) {
	t.Helper()
	src := s.source(t)
	f := next(t, src)
	for range 8 {
		g := s.another(t, src)
		if g.Seq != f.Seq+1 {
			t.Errorf("got number %d after %d", g.Seq, f.Seq)
		}
		if !g.Time.After(f.Time) {
			t.Errorf("got a frame %v after the one before", g.Time.Sub(f.Time))
		}
		f.Release()
		f = g
	}
	f.Release()
}

func (s suite) context(t *testing.T) {
	t.Helper()
	src := s.source(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := src.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want context.Canceled", err)
	}
	// The source must still work.
	f := next(t, src)
	defer f.Release()
	if !whole(f) {
		t.Errorf("got damage %v; want all of %v", f.Damage, f.Bounds())
	}
}

func (s suite) alive(t *testing.T) {
	t.Helper()
	src := s.source(t)
	f := next(t, src)
	defer f.Release()
	// Wait longer than a source may go without a sign of life. Then the last sign cannot be the first frame.
	for began := time.Now(); time.Since(began) < 1100*time.Millisecond || time.Since(src.Alive()) > time.Second; {
		ctx, cancel := context.WithTimeout(t.Context(), blocked)
		if f, err := src.Next(ctx); err == nil {
			f.Release()
		}
		cancel()
		if time.Since(began) > patience {
			t.Fatalf("the display counts as silent for %v; want a second at most", time.Since(src.Alive()))
		}
	}
}

func (s suite) closeUnblocks(t *testing.T) {
	t.Helper()
	src := s.source(t)
	frames := []*capture.Frame{next(t, src), s.another(t, src), s.another(t, src)}
	expectBlocked(t, src)
	done := make(chan error, 1)
	go func() {
		_, err := src.Next(context.Background())
		done <- err
	}()
	if err := src.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, capture.ErrClosed) {
			t.Errorf("got %v; want ErrClosed", err)
		}
	case <-time.After(patience):
		t.Error("Next did not return after Close")
	}
	for _, f := range frames {
		f.Release()
	}
}

func (s suite) outlives(t *testing.T) {
	t.Helper()
	src := s.source(t)
	f := next(t, src)
	pix := bytes.Clone(f.Pix)
	if err := src.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if !bytes.Equal(pix, f.Pix) {
		t.Error("the pixels of a held frame changed at Close")
	}
	f.Release()
}

func (s suite) closed(t *testing.T) {
	t.Helper()
	src := s.source(t)
	for range 2 {
		if err := src.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		src.Refresh()
		if _, err := src.Next(t.Context()); !errors.Is(err, capture.ErrClosed) {
			t.Errorf("got %v; want ErrClosed", err)
		}
	}
}
