package capturetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"wavryhost/capture"
)

// PointerUntil returns the first pointer of p that satisfies ok. The test fails if none does so within a time. what is
// for its message.
func PointerUntil(
	t testing.TB, p capture.PointerSource, within time.Duration, what string, ok func(capture.Pointer) bool,
) capture.Pointer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for last := (capture.Pointer{}); ; {
		now, err := p.NextPointer(ctx)
		if err != nil {
			t.Fatalf("%s: %v, after %+v", what, err, last)
		}
		if last = now; ok(now) {
			return now
		}
	}
}

// CheckReason checks that an error has one reason, and no other one.
func CheckReason(t testing.TB, err, reason error) {
	t.Helper()
	for _, r := range capture.Reasons() {
		if errors.Is(err, r) != (r == reason) { //nolint:errorlint // the reasons themselves are compared
			t.Errorf("got %v; want %v alone", err, reason)
		}
	}
}

// RunPointer checks that the sources of open keep the promises of capture.PointerSource. move moves the pointer, each
// time to another place of the display, where it is visible. Nothing else may move it.
func RunPointer(t *testing.T, open capture.PointerOpener, move func()) {
	t.Helper()
	source := func(t *testing.T) capture.PointerSource {
		t.Helper()
		s, err := open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	next := func(t *testing.T, s capture.PointerSource) capture.Pointer {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		p, err := s.NextPointer(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	t.Run("the first call returns at once", func(t *testing.T) {
		if p := next(t, source(t)); p.Display.X <= 0 || p.Display.Y <= 0 {
			t.Errorf("got a display of %v", p.Display)
		}
	})
	t.Run("a move is returned, with a shape", func(t *testing.T) {
		s := source(t)
		before := next(t, s)
		move()
		now := next(t, s)
		for !now.Visible || now.At == before.At {
			now = next(t, s)
		}
		if s := now.Shape; s == nil || s.Width <= 0 || s.Height <= 0 || len(s.Pix) != 4*s.Width*s.Height {
			t.Errorf("got shape %+v", s)
		}
		move()
		for at := now.At; now.At == at; {
			shape := now.Shape
			if now = next(t, s); now.Shape != shape {
				t.Error("the shape is another one although it looks the same")
			}
		}
	})
	t.Run("a still pointer is not returned again", func(t *testing.T) {
		s := source(t)
		next(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), blocked)
		defer cancel()
		if p, err := s.NextPointer(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %+v, %v; want the context's error", p, err)
		}
	})
	t.Run("Close unblocks NextPointer", func(t *testing.T) {
		s := source(t)
		next(t, s)
		ended := make(chan error)
		go func() {
			for {
				if _, err := s.NextPointer(t.Context()); err != nil {
					ended <- err
					return
				}
			}
		}()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, capture.ErrClosed) {
			t.Errorf("got %v; want ErrClosed", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if _, err := s.NextPointer(t.Context()); !errors.Is(err, capture.ErrClosed) {
			t.Errorf("after Close: got %v; want ErrClosed", err)
		}
	})
}
