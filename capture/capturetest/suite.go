// Package capturetest has the tests that every capture.Source must pass.
package capturetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"wavryhost/capture"
)

// Options describe the display of a Source.
type Options struct {
	// Change changes the display's picture, and returns when it has changed. If it is set, the display must not change
	// otherwise. Without it, the display changes on its own, or only Refresh brings a frame.
	Change func()
	// Copies counts the copies of surfaces to main memory. Sources with surfaces need it.
	Copies func() uint64
}

// patience is the limit for everything that must happen. blocked is the time in which nothing must happen.
const (
	patience = 20 * time.Second
	blocked  = 150 * time.Millisecond
)

// Run checks that the sources of open keep the promises of capture.Source. It opens several, one after the other.
func Run(t *testing.T, open capture.Opener, opts Options) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			switch err := c.try(open, opts); {
			case errors.Is(err, errSkipped):
				t.Skip(err)
			case err != nil:
				t.Error(err)
			}
		})
	}
}

// A check returns what is wrong with a source. Checks return errors instead of failing tests, so that they can be
// tested with sources that break one promise each.
type check struct {
	name string
	run  func(*rig) error
}

var checks = []check{
	{"the first frame is whole and comes at once", checkFirst},
	{"frames are as the traits say", checkTraits},
	{"demands are met or refused", checkDemand},
	{"Refresh brings a whole frame", checkRefresh},
	{"a change brings a frame whose damage covers it", checkChange},
	{"Next blocks while nothing changes", checkStill},
	{"all slots can be held and one more frame waits", checkHeld},
	{"a held frame keeps its pixels", checkKeeps},
	{"Map copies a surface once", checkMap},
	{"numbers and times rise", checkOrder},
	{"Next returns the error of its context", checkContext},
	{"a display that answers is alive", checkAlive},
	{"Close unblocks Next", checkCloseUnblocks},
	{"frames outlive Close", checkOutlives},
	{"a closed source stays closed", checkClosed},
}

// errSkipped is the result of a check that does not apply.
var errSkipped = errors.New("skipped")

// try runs a check with a source of its own.
func (c check) try(open capture.Opener, opts Options) (err error) {
	src, err := open(context.Background(), capture.Demand{})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	r := &rig{Source: src, open: open, opts: opts}
	defer func() {
		for _, f := range r.frames {
			f.Release()
		}
		err = errors.Join(err, src.Close())
	}()
	return c.run(r)
}

// rig is a source under test.
type rig struct {
	capture.Source
	open   capture.Opener
	opts   Options
	frames []*capture.Frame // released at the end
}

// next returns a frame, after checks that apply to every frame. It is released at the end of the check.
func (r *rig) next() (*capture.Frame, error) {
	f, err := r.shot()
	if f != nil {
		r.frames = append(r.frames, f)
	}
	return f, err
}

// skip releases a frame at once.
func (r *rig) skip() error {
	f, err := r.shot()
	if f != nil {
		f.Release()
	}
	return err
}

func (r *rig) shot() (*capture.Frame, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := r.Next(ctx)
	if err != nil {
		return nil, fmt.Errorf("next: %w", err)
	}
	return f, r.valid(f)
}

// valid returns what is wrong with a single frame.
func (r *rig) valid(f *capture.Frame) error {
	if f.Width <= 0 || f.Height <= 0 {
		return fmt.Errorf("got a frame of %dx%d", f.Width, f.Height)
	}
	if f.Surface == nil && (f.Stride < f.Width*4 || len(f.Pix) < (f.Height-1)*f.Stride+f.Width*4) {
		return fmt.Errorf("got a %dx%d frame with stride %d in %d bytes", f.Width, f.Height, f.Stride, len(f.Pix))
	}
	for _, d := range f.Damage {
		if d.Empty() || !d.In(f.Bounds()) {
			return fmt.Errorf("got damage %v in a picture of %v", d, f.Bounds())
		}
	}
	if f.Time.IsZero() || f.Time.After(time.Now()) || f.Took < 0 {
		return fmt.Errorf("got a frame read at %v that took %v", f.Time, f.Took)
	}
	return nil
}

// provoke makes a frame due.
func (r *rig) provoke() {
	if r.opts.Change != nil {
		r.opts.Change()
	} else {
		r.Refresh()
	}
}

// several returns n frames.
func (r *rig) several(n int) ([]*capture.Frame, error) {
	var frames []*capture.Frame
	for range n {
		if len(frames) > 0 {
			r.provoke()
		}
		f, err := r.next()
		if err != nil {
			return nil, err
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// release ends the rig's hold of a frame.
func (r *rig) release(f *capture.Frame) {
	for i := range r.frames {
		if r.frames[i] == f {
			r.frames = append(r.frames[:i], r.frames[i+1:]...)
			f.Release()
			return
		}
	}
}

// blocks returns an error unless Next blocks until its context ends.
func (r *rig) blocks() error {
	ctx, cancel := context.WithTimeout(context.Background(), blocked)
	defer cancel()
	f, err := r.Next(ctx)
	if f != nil {
		f.Release()
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("got frame %v, error %w; want Next to block until its context ends", f != nil, err)
	}
	return nil
}

// whole reports whether a frame's damage is the whole picture.
func whole(f *capture.Frame) error {
	if len(f.Damage) != 1 || f.Damage[0] != f.Bounds() {
		return fmt.Errorf("got damage %v; want all of %v", f.Damage, f.Bounds())
	}
	return nil
}

// reasoned returns an error unless err wraps want, and no other reason.
func reasoned(err, want error) error {
	for _, reason := range capture.Reasons() {
		if errors.Is(err, reason) != (reason == want) { //nolint:errorlint // the reasons themselves are compared
			return fmt.Errorf("got the error %w; want one with this reason alone: %w", err, want)
		}
	}
	return nil
}

// Next returns the next frame of a source, which the caller must release. The test fails if none comes.
func Next(t testing.TB, s capture.Source) *capture.Frame {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	f, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
