package capturetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"time"

	"wavryhost/capture"
)

func checkFirst(r *rig) error {
	f, err := r.next()
	if err != nil {
		return err
	}
	if f.Seq != 1 {
		return fmt.Errorf("got number %d; want 1", f.Seq)
	}
	return whole(f)
}

func checkTraits(r *rig) error {
	traits := r.Traits()
	if traits.Slots < 3 || !slices.Contains(capture.Kinds(), traits.Kind) {
		return fmt.Errorf("got %+v; want three slots at least, and a known kind of memory", traits)
	}
	for range 5 {
		f, err := r.next()
		if err != nil {
			return err
		}
		switch {
		case traits.Kind == capture.Memory && (f.Surface != nil || f.Pix == nil),
			traits.Kind != capture.Memory && (f.Surface == nil || f.Surface.Kind() != traits.Kind || f.Pix != nil):
			return fmt.Errorf("got a frame with surface %v and %d bytes; want its pixels in %v alone",
				f.Surface, len(f.Pix), traits.Kind)
		case f.Exact != traits.Damage:
			return fmt.Errorf("got exact damage: %v; want %v, as the traits say", f.Exact, traits.Damage)
		case !f.Exact && whole(f) != nil:
			return fmt.Errorf("got damage that is not exact: %w", whole(f))
		case r.Traits() != traits:
			return fmt.Errorf("got %+v after %+v; want traits that stay", r.Traits(), traits)
		}
		r.release(f)
		r.provoke()
	}
	return nil
}

func checkDemand(r *rig) error {
	kinds := slices.DeleteFunc(capture.Kinds(), func(k capture.Kind) bool { return k == r.Traits().Kind })
	src, err := r.open(context.Background(), capture.Demand{Kinds: kinds})
	if err == nil {
		got := src.Traits().Kind
		if err := src.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
		if !slices.Contains(kinds, got) {
			return fmt.Errorf("got frames in %v; want one of %v, or a refusal", got, kinds)
		}
	} else if err := reasoned(err, capture.ErrDemand); err != nil {
		return err
	}
	demand := capture.Demand{Kinds: capture.Kinds(), FPS: 30, Cursor: capture.CursorHidden}
	hidden, err := r.open(context.Background(), demand)
	if err != nil {
		return fmt.Errorf("open for every kind of memory, without the cursor: %w", err)
	}
	if got := hidden.Traits().Cursor; got != capture.CursorHidden {
		err = fmt.Errorf("got cursor mode %v; want it hidden", got)
	}
	return errors.Join(err, hidden.Close())
}

func checkRefresh(r *rig) error {
	if err := r.skip(); err != nil {
		return err
	}
	for range 3 {
		r.Refresh()
		f, err := r.next()
		if err != nil {
			return err
		}
		if err := whole(f); err != nil {
			return err
		}
		r.release(f)
	}
	// The same while Next waits, if it does.
	done := make(chan error, 1)
	go func() { done <- r.skip() }()
	r.Refresh()
	if err := <-done; err != nil {
		return fmt.Errorf("under Refresh: %w", err)
	}
	return nil
}

func checkChange(r *rig) error {
	if r.opts.Change == nil {
		return fmt.Errorf("%w: runs where the test can change the display", errSkipped)
	}
	before, err := r.next()
	if err == nil {
		_, err = pixels(before) // the display may write into a frame's pixels soon
	}
	if err != nil {
		return err
	}
	for i := range 10 {
		r.opts.Change()
		after, err := r.next()
		if err != nil {
			return err
		}
		if err := changed(before, after); err != nil {
			return fmt.Errorf("change %d: %w", i, err)
		}
		r.release(before)
		before = after
	}
	return nil
}

// changed returns an error unless the frames differ, and only inside the damage.
func changed(before, after *capture.Frame) error {
	a, err := pixels(before)
	if err != nil {
		return err
	}
	b, err := pixels(after)
	if err != nil {
		return err
	}
	switch {
	case len(after.Damage) == 0:
		return errors.New("got no damage")
	case before.Bounds() != after.Bounds():
		return whole(after)
	case bytes.Equal(a, b):
		return errors.New("got the same picture")
	}
	// What is inside the damage may differ.
	for _, d := range after.Damage {
		for y := d.Min.Y; y < d.Max.Y; y++ {
			from, to := (y*after.Width+d.Min.X)*4, (y*after.Width+d.Max.X)*4
			copy(a[from:to], b[from:to])
		}
	}
	for i := range a {
		if a[i] != b[i] {
			at := image.Pt(i/4%after.Width, i/4/after.Width)
			return fmt.Errorf("the frames differ at %v, outside of the damage %v", at, after.Damage)
		}
	}
	return nil
}

// pixels returns a copy of a frame's colors, without padding. The fourth byte of each pixel is 0.
func pixels(f *capture.Frame) ([]byte, error) {
	pix, stride, err := f.Map()
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, 4*f.Width*f.Height)
	for y := range f.Height {
		out = append(out, pix[y*stride:y*stride+4*f.Width]...)
	}
	for i := 3; i < len(out); i += 4 {
		out[i] = 0
	}
	return out, nil
}

func checkStill(r *rig) error {
	if r.opts.Change == nil || !r.Traits().Damage {
		return fmt.Errorf("%w: runs where the display is still and the source can tell", errSkipped)
	}
	if err := r.skip(); err != nil {
		return err
	}
	// Do it twice: an interrupted wait must leave nothing behind.
	for range 2 {
		if err := r.blocks(); err != nil {
			return err
		}
	}
	r.opts.Change()
	f, err := r.next()
	if err == nil && len(f.Damage) == 0 {
		err = errors.New("got no damage after a change")
	}
	return err
}

func checkHeld(r *rig) error {
	frames, err := r.several(r.Traits().Slots)
	if err != nil {
		return fmt.Errorf("hold %d frames: %w", r.Traits().Slots, err)
	}
	r.Refresh()
	if err := r.blocks(); err != nil {
		return err
	}
	got := make(chan error, 1)
	go func() { got <- r.skip() }()
	frames[1].Retain().Release()
	r.release(frames[1])
	if err := <-got; err != nil {
		return fmt.Errorf("after a release: %w", err)
	}
	return nil
}

func checkKeeps(r *rig) error {
	if r.Traits().Volatile {
		return fmt.Errorf("%w: runs where frames keep their pixels", errSkipped)
	}
	f, err := r.next()
	if err != nil {
		return err
	}
	before, err := pixels(f)
	if err != nil {
		return err
	}
	for range 6 {
		r.provoke()
		if err := r.skip(); err != nil {
			return err
		}
	}
	return same(f, before, "while others were captured")
}

// same returns an error unless the frame's pixels are as before.
func same(f *capture.Frame, before []byte, when string) error {
	after, err := pixels(f)
	if err == nil && !bytes.Equal(before, after) {
		err = fmt.Errorf("the pixels of a held frame changed %s", when)
	}
	return err
}

func checkMap(r *rig) error {
	if r.Traits().Kind == capture.Memory {
		f, err := r.next()
		if err != nil {
			return err
		}
		if pix, stride, err := f.Map(); err != nil || &pix[0] != &f.Pix[0] || stride != f.Stride {
			return fmt.Errorf("got other memory or error %w; want the frame's own", err)
		}
		return nil
	}
	var pictures [2][]byte
	for i := range pictures {
		before := r.opts.Copies()
		f, err := r.next()
		if err != nil {
			return err
		}
		if n := r.opts.Copies() - before; n != 0 {
			return fmt.Errorf("got %d copies of a frame that nobody maps; want none", n)
		}
		if pictures[i], err = pixels(f); err != nil {
			return err
		}
		if _, err := pixels(f); err != nil {
			return err
		}
		if n := r.opts.Copies() - before; n != 1 {
			return fmt.Errorf("got %d copies of a frame; want one", n)
		}
		r.Refresh()
	}
	if r.opts.Change != nil && !bytes.Equal(pictures[0], pictures[1]) {
		return errors.New("got two different copies of a still display")
	}
	return nil
}

func checkOrder(r *rig) error {
	f, err := r.next()
	if err != nil {
		return err
	}
	for range 8 {
		r.provoke()
		g, err := r.next()
		if err != nil {
			return err
		}
		if g.Seq != f.Seq+1 {
			return fmt.Errorf("got number %d after %d", g.Seq, f.Seq)
		}
		if !g.Time.After(f.Time) {
			return fmt.Errorf("got a frame %v after the one before", g.Time.Sub(f.Time))
		}
		r.release(f)
		f = g
	}
	return nil
}

func checkContext(r *rig) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if f, err := r.Next(ctx); !errors.Is(err, context.Canceled) {
		if f != nil {
			f.Release()
		}
		return fmt.Errorf("got %w; want context.Canceled", err)
	}
	// The source must still work.
	f, err := r.next()
	if err != nil {
		return err
	}
	return whole(f)
}

func checkAlive(r *rig) error {
	if err := r.skip(); err != nil {
		return err
	}
	// Wait longer than a source may go without a sign of life. Then the last sign cannot be the first frame.
	for began := time.Now(); ; {
		ctx, cancel := context.WithTimeout(context.Background(), blocked)
		if f, err := r.Next(ctx); err == nil {
			f.Release()
		}
		cancel()
		passed, silent := time.Since(began), time.Since(r.Alive())
		if passed >= 1100*time.Millisecond && silent <= time.Second {
			return nil
		}
		if passed > patience {
			return fmt.Errorf("the display counts as silent for %v; want a second at most", silent)
		}
	}
}

func checkCloseUnblocks(r *rig) error {
	if _, err := r.several(r.Traits().Slots); err != nil {
		return err
	}
	if err := r.blocks(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.Next(context.Background())
		done <- err
	}()
	select {
	case err := <-done:
		return fmt.Errorf("got the error %w; want Next to block while all frames are held", err)
	case <-time.After(blocked):
	}
	if err := r.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	select {
	case err := <-done:
		return reasoned(err, capture.ErrClosed)
	case <-time.After(patience):
		return errors.New("Next did not return after Close")
	}
}

func checkOutlives(r *rig) error {
	f, err := r.next()
	if err != nil {
		return err
	}
	before, err := pixels(f)
	if err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return same(f, before, "at Close")
}

func checkClosed(r *rig) error {
	for range 2 {
		if err := r.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
		r.Refresh()
		f, err := r.Next(context.Background())
		if f != nil {
			f.Release()
		}
		if err := reasoned(err, capture.ErrClosed); err != nil {
			return err
		}
	}
	return nil
}
