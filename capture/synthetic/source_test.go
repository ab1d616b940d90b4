package synthetic

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"wavryhost/capture"
	"wavryhost/capture/capturetest"
)

func open(t testing.TB, cfg Config) *Source {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	capturetest.Run(t, func(t *testing.T) capture.Source { return open(t, Config{Width: 320, Height: 180}) }, capturetest.Options{})
}

func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Width: 320, Height: 180, FPS: 50})
		began := time.Now()
		for i := range 100 {
			f, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			code, err := Decode(f.Pix, f.Stride, f.Width, f.Height)
			if err != nil {
				t.Fatal(err)
			}
			if code.Frame != uint64(i+1) || code.Time.UnixMilli() != f.Time.UnixMilli() || f.Seq != uint64(i+1) {
				t.Fatalf("frame %d is coded %+v at %v; want frame %d", f.Seq, code, f.Time, i+1)
			}
			f.Release()
		}
		if took := time.Since(began); took != 99*20*time.Millisecond {
			t.Errorf("100 frames at 50 fps took %v; want 1.98s", took)
		}
	})
}

func TestStillBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Width: 320, Height: 180, Still: true})
		f, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.Release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a still source's second frame: %v; want it to wait", err)
		}
	})
}

// What the damage does not name is the same as in the frame before.
func TestDamageIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Width: 400, Height: 240, FPS: 7})
		seen := newCanvas(400, 240)
		for range 60 {
			f, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			now := canvas{pix: f.Pix, stride: f.Stride, width: f.Width, height: f.Height}
			for _, r := range f.Damage {
				seen.restore(&now, r)
			}
			if string(seen.pix) != string(f.Pix) {
				t.Fatalf("frame %d differs outside its damage %v", f.Seq, f.Damage)
			}
			f.Release()
		}
	})
}

// The code survives noise, coarse quantization and scaling.
func TestCodeSurvives(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	s := open(t, Config{})
	f, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Release()
	want, err := Decode(f.Pix, f.Stride, f.Width, f.Height)
	if err != nil {
		t.Fatal(err)
	}
	for _, percent := range []int{100, 50, 75, 150} {
		w, h := f.Width*percent/100, f.Height*percent/100
		luma := make([]byte, w*h)
		for y := range h {
			for x := range w {
				p := f.Pix[y*f.Height/h*f.Stride+x*f.Width/w*4:]
				v := (29*int(p[0])+150*int(p[1])+77*int(p[2]))>>8/48*48 + random.IntN(81) - 40
				luma[y*w+x] = byte(min(max(v, 0), 255))
			}
		}
		if got, err := DecodeLuma(luma, w, w, h); err != nil || got != want {
			t.Errorf("at %d %%: %+v, %v; want %+v", percent, got, err, want)
		}
	}
	blank := make([]byte, f.Width*f.Height)
	if _, err := DecodeLuma(blank, f.Width, f.Width, f.Height); !errors.Is(err, ErrNoCode) {
		t.Errorf("a blank picture: %v; want ErrNoCode", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{{Width: 10, Height: 10}, {Width: 10000, Height: 720}, {FPS: 500}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v) is taken; want an error", cfg)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 2, 3}, 640, 320, 180)
	f.Fuzz(func(_ *testing.T, pix []byte, stride, width, height int) {
		_, _ = Decode(pix, stride, width, height)
		_, _ = DecodeLuma(pix, stride, width, height)
	})
}
