package darwin

import (
	"bytes"
	"context"
	"runtime"
	"testing"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
)

// allowed skips a test unless this process may capture the screen of this Mac.
func allowed(t *testing.T) {
	t.Helper()
	if err := Permission(); err != nil {
		t.Skip(err)
	}
}

// onThisMac returns an opener of the main display, and the number of copies of its newest source.
func onThisMac(t *testing.T, kind capture.Kind) (open capture.Opener, copies func() uint64) {
	t.Helper()
	var last *Source
	open = func(ctx context.Context, d capture.Demand) (capture.Source, error) {
		if len(d.Kinds) == 0 {
			d.Kinds = []capture.Kind{kind}
		}
		s, err := New(ctx, Config{Demand: d}, logger(t))
		if err != nil {
			return nil, err
		}
		last = s
		return s, nil
	}
	return open, func() uint64 { return last.copier.Copies() }
}

// The main display of this Mac keeps the contract, in main memory and as pixel buffers.
func TestContractOnThisMac(t *testing.T) {
	allowed(t)
	for name, kind := range map[string]capture.Kind{"memory": capture.Memory, "pixel buffers": capture.Metal} {
		t.Run(name, func(t *testing.T) {
			open, copies := onThisMac(t, kind)
			capturetest.Run(t, open, capturetest.Options{Copies: copies})
		})
	}
}

// What differs between two frames is inside the damage. Move the pointer and windows while this runs.
func TestContractOfDamageOnThisMac(t *testing.T) {
	allowed(t)
	s, err := New(t.Context(), Config{}, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	last, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	frames, parts := 0, 0
	for frames < 500 {
		f, err := s.Next(ctx)
		if err != nil {
			break
		}
		frames++
		if f.Bounds() == last.Bounds() && f.Damage[0] != f.Bounds() {
			parts++
			undamaged(t, last, f)
		}
		last.Release()
		last = f
	}
	last.Release()
	t.Logf("%d frames, %d with partial damage", frames, parts)
	if parts == 0 {
		t.Skip("nothing moved on the screen")
	}
}

// undamaged compares the rows that no damage of f touches.
func undamaged(t *testing.T, last, f *capture.Frame) {
	t.Helper()
	for y := range f.Height {
		touched := false
		for _, r := range f.Damage {
			touched = touched || y >= r.Min.Y && y < r.Max.Y
		}
		before, after := last.Pix[y*last.Stride:][:4*f.Width], f.Pix[y*f.Stride:][:4*f.Width]
		if !touched && !bytes.Equal(before, after) {
			t.Fatalf("row %d differs outside of the damage %v", y, f.Damage)
		}
	}
}

// Opening and closing leaves no stream and no goroutine.
func TestContractOfOpensOnThisMac(t *testing.T) {
	allowed(t)
	open, _ := onThisMac(t, capture.Memory)
	before := 0
	for n := range 20 {
		s, err := open(t.Context(), capture.Demand{})
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		f.Release()
		if n == 5 {
			before = runtime.NumGoroutine()
		}
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines after 20 opens; want %d, as after 5", n, before)
	}
	m, err := theSystem()
	if err != nil {
		t.Fatal(err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if n := len(m.streams); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}

// Each display of this Mac has an ID and a size. This needs no permission.
func TestContractOfDisplaysOnThisMac(t *testing.T) {
	list := Displays()
	if len(list) == 0 {
		t.Skip("no display: ", Permission())
	}
	for _, d := range list {
		t.Logf("%+v", d)
		if len(d.ID) != 36 || d.Size.X <= 0 || d.Size.Y <= 0 || d.Scale() < 1 {
			t.Errorf("got %+v", d)
		}
	}
}
